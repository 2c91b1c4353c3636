"""The set-up with a real pip, real environments and a package index on the loopback."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sg_blender_addon.client import environment, locks, platforms, setup
from sg_blender_addon.client.environment import EnvironmentPlan
from sg_blender_addon.client.job import CANCELLED, DONE, Control, Job, Snapshot
from sg_blender_addon.client.pip import Pip
from sg_blender_addon.client.pythons import Interpreter, examine
from sg_blender_addon.client.setup import set_up
from sg_blender_addon.client.virtual import make_environment
from sg_blender_addon.core.errors import Cancelled, UserError

from .wheelhouse import Index, pip_environment, pip_wheel, running, wheel, write_root, write_sizes

ROOT = Path(__file__).parents[2]
DOCTOR = 'import alpha, beta, torch; print(\'{"ok": true, "torch": "\' + torch.VERSION + \'"}\')'
ELSEWHERE = """
import shutil, sys
from pathlib import Path
from sg_blender_addon.client import setup
from sg_blender_addon.client.environment import EnvironmentPlan
from sg_blender_addon.client.job import Control
folder, root, template = map(Path, sys.argv[1:])
setup.GROUP = 1
setup.make_environment = lambda base, made, folder, control: shutil.copytree(template, made, symlinks=True)
setup.set_up(EnvironmentPlan(folder, root, Path(sys.executable)), Control())
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with a current pip: making one takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("template")
    version, content = pip_wheel()
    (folder / f"pip-{version}-py3-none-any.whl").write_bytes(content)
    base = examine(Path(sys.executable), Control())
    make_environment(base, folder / "env", folder, Control())
    pip = Pip(platforms.environment_python(folder / "env"), folder, folder / "log")
    pip(["install", "--no-index", "--find-links", str(folder), f"pip=={version}"], Control(), offline=True)
    return folder / "env"


@dataclass
class House:
    """An extension, the index that has its packages, and the plan to set it up."""

    index: Index
    plan: EnvironmentPlan
    template: Path

    @property
    def folder(self) -> Path:
        return self.plan.folder

    @property
    def root(self) -> Path:
        return self.plan.root

    def state(self) -> str:
        return environment.state(self.folder, self.root)

    def set_up(self, **changes: object) -> dict:
        return set_up(replace(self.plan, **changes), Control())

    def elsewhere(self) -> subprocess.Popen[bytes]:
        """The same set-up in a process of its own, as another Blender does it."""
        command = [sys.executable, "-c", ELSEWHERE, str(self.folder), str(self.root), str(self.template)]
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())


@pytest.fixture
def house(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Packages alpha, beta and torch, each downloaded by a call of its own."""
    index = Index()
    version, content = pip_wheel()
    installer = index.add("pip", version, content)
    lines = [index.add(name) for name in ("alpha", "beta", "torch")]
    root = write_root(tmp_path / "root é", lines, installer, DOCTOR)
    for name, value in pip_environment(index.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(setup, "GROUP", 1)

    def copy(base: Interpreter, made: Path, folder: Path, control: Control) -> None:
        assert base.fits and base.makes_environments
        shutil.copytree(template, made, symlinks=True)

    monkeypatch.setattr(setup, "make_environment", copy)
    yield House(index, EnvironmentPlan(tmp_path / "us er ü" / "backend", root, Path(sys.executable)), template)
    index.close()


def watched(job: Job[dict]) -> list[Snapshot]:
    """All that a job shows until it ends."""
    job.start()
    seen = [job.tick()]
    while not seen[-1].finished:
        seen.append(job.wait(0.02))
    return seen


def wait_for(condition: Callable[[], bool], patience_s: float = 20.0) -> bool:
    deadline = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_from_nothing_to_ready_and_to_the_next_version(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "make_environment", make_environment)  # the real one, with the pip of this Python
    assert house.state() == environment.MISSING
    seen = watched(Job("setup", lambda control: set_up(house.plan, control)))
    assert seen[-1].state == DONE, seen[-1]
    fractions = [snapshot.fraction for snapshot in seen]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 5
    assert house.state() == environment.READY
    assert house.names() == ["env-1"], "what was only needed meanwhile is gone"

    fetched = list(house.index.fetched)
    assert house.set_up()["torch"] == "1.0"  # looks whether it works, and that is all
    assert house.index.fetched == fetched
    assert house.names() == ["env-1"]

    lines = [house.index.add(name, "2.0") for name in ("alpha", "beta", "torch")]
    (house.root / "locks" / "backend.txt").write_text("".join(lines))
    assert house.state() == environment.OUTDATED
    del house.index.wheels["beta-2.0-py3-none-any.whl"]
    with pytest.raises(UserError, match=r"no beta==2\.0"):
        house.set_up()
    python = environment.environment_python(house.folder)
    assert python is not None and python.parent.parent.name == "env-1", "until the new one works the old one serves"
    house.index.add("beta", "2.0")
    assert house.set_up()["torch"] == "2.0"
    assert house.names() == ["env-2"]
    assert house.state() == environment.READY

    environment.remove(house.folder)
    assert house.state() == environment.MISSING
    assert house.names() == []


def test_a_connection_that_breaks_is_taken_up_again(house: House) -> None:
    house.index.broken["beta-1.0-py3-none-any.whl"] = 1
    assert house.set_up()["ok"]


def test_without_a_network_it_stops_with_a_sentence_and_then_goes_on(house: House) -> None:
    house.index.broken["beta-1.0-py3-none-any.whl"] = 1000
    with pytest.raises(UserError, match="no connection to the package index") as caught:
        house.set_up()
    assert caught.value.code == "no_network"
    assert "goes on where it stopped" in caught.value.hint
    assert house.state() == environment.INCOMPLETE
    house.index.broken.clear()
    house.index.fetched.clear()
    assert house.set_up()["ok"]
    assert "alpha-1.0-py3-none-any.whl" not in house.index.fetched, "what was there was fetched again"
    assert house.names() == ["env-1"]


def test_a_killed_set_up_takes_its_children_along_and_is_gone_on_with(house: House) -> None:
    reached = house.index.hold("beta-1.0-py3-none-any.whl")
    blender = house.elsewhere()
    assert reached.wait(120)
    pips = [pid for pid, command in running() if " -m pip download" in command and str(house.folder) in command]
    assert pips
    blender.send_signal(signal.SIGKILL)
    blender.wait()
    assert wait_for(lambda: not set(pips) & {pid for pid, command in running() if command})
    house.index.release()
    house.index.fetched.clear()
    assert house.state() == environment.INCOMPLETE
    assert house.set_up()["ok"]
    assert "alpha-1.0-py3-none-any.whl" not in house.index.fetched
    assert house.names() == ["env-1"]


def test_two_at_once(house: House) -> None:
    reached = house.index.hold("beta-1.0-py3-none-any.whl")
    other = house.elsewhere()
    assert reached.wait(120)
    with pytest.raises(UserError, match=f"Another Blender is setting up the backend .process {other.pid}") as caught:
        house.set_up()
    assert caught.value.code == "setup_elsewhere"
    with pytest.raises(UserError, match="Another Blender"):
        environment.remove(house.folder)
    house.index.release()
    assert other.wait(120) == 0
    assert house.state() == environment.READY
    assert house.set_up()["ok"]


def test_cancel_ends_the_download(house: House) -> None:
    reached = house.index.hold("beta-1.0-py3-none-any.whl")
    job = Job("setup", lambda control: set_up(house.plan, control)).start()
    assert reached.wait(120)
    job.cancel()
    assert job.wait(10).state == CANCELLED
    assert not [pid for pid, command in running() if str(house.folder) in command and " -m pip" in command]
    assert house.state() == environment.INCOMPLETE


def test_another_python_takes_effect_after_a_failure(house: House) -> None:
    house.index.broken["torch-1.0-py3-none-any.whl"] = 1000
    with pytest.raises(UserError):
        house.set_up()
    house.index.broken.clear()
    house.index.fetched.clear()
    other = Path(os.path.realpath(sys.executable))
    assert house.set_up(chosen_python=other)["ok"]
    assert house.names() == ["env-2"]
    marker = environment.Marker.read(house.folder)
    assert marker is not None and marker.base_python == str(other)
    assert "alpha-1.0-py3-none-any.whl" not in house.index.fetched, "the same Python takes the same wheels"


def test_an_ill_environment_is_made_anew(house: House) -> None:
    doctor = house.root / "backend" / "__main__.py"
    doctor.write_text("import sys; sys.exit('torch is ill')")
    with pytest.raises(UserError, match="torch is ill"):
        house.set_up()
    doctor.write_text(DOCTOR)
    house.index.fetched.clear()
    assert house.set_up()["ok"]
    assert house.names() == ["env-2"]
    assert house.index.fetched == [], "the wheels were there"


def test_from_a_folder_of_wheels_without_any_network(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, content in house.index.wheels.items():
        (folder / name).write_bytes(content)
    house.index.close()
    assert house.set_up(wheels=folder)["ok"]
    assert house.index.fetched == []

    environment.remove(house.folder)
    (folder / "beta-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UserError, match=r"no beta==1\.0") as caught:
        house.set_up(wheels=folder)
    assert caught.value.code == "no_package"
    with pytest.raises(UserError, match="folder of wheels is not there"):
        house.set_up(wheels=tmp_path / "nowhere")


@pytest.mark.parametrize("source", ["folder", "index"])
def test_the_small_torch_comes_from_where_the_user_says(house: House, tmp_path: Path, source: str) -> None:
    write_sizes(house.root, 3_000_000_000, 60_000)
    assert locks.brings_cuda(house.root)
    content = wheel("torch", "1.0+cpu")
    if source == "folder":
        where = tmp_path / "torch"
        where.mkdir()
        (where / "torch-1.0+cpu-py3-none-any.whl").write_bytes(content)
        given = str(where)
    else:
        del house.index.wheels["torch-1.0-py3-none-any.whl"]
        house.index.add("torch", "1.0+cpu", content)
        given = house.index.url
    assert house.set_up(small_torch=True, torch_source=given)["torch"] == "1.0+cpu"


def test_a_package_that_was_changed_on_the_way(house: House) -> None:
    house.index.wheels["beta-1.0-py3-none-any.whl"] = wheel("beta", files={"beta.py": b"evil = True\n"})
    with pytest.raises(UserError, match="not the one that was asked for") as caught:
        house.set_up()
    assert caught.value.code == "package_changed"
    house.index.add("beta")
    assert house.set_up()["ok"], "the wrong one came out of the cache again"


def test_no_room_on_the_disk_is_said_before_anything_is_fetched(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sizes(house.root, 900_000_000, 600_000_000)
    usage = shutil.disk_usage(house.root)
    needed = 900_000_000 + (locks.unpacked_bytes(house.root, small=False) or 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(UserError, match=r"3\.4 GB are free, 3\.4 GB are needed") as caught:
        house.set_up()
    assert caught.value.code == "disk_full"
    assert house.index.fetched == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    assert house.set_up()["ok"]


def test_a_disk_that_fills_up_meanwhile(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sizes(house.root, 0, 0)  # the estimate was wrong: what is to be unpacked does not fit
    usage = shutil.disk_usage(house.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(UserError, match="not enough room"):
        house.set_up()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    house.index.fetched.clear()
    assert house.set_up()["ok"]
    assert not any(name.startswith(("alpha", "torch")) for name in house.index.fetched)


def test_a_folder_that_cannot_be_written(house: House, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="folder for the backend cannot be written") as caught:
        house.set_up(folder=tmp_path / "file" / "backend")
    assert caught.value.code == "folder_unwritable"


def test_a_computer_for_which_there_is_no_torch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "key", lambda: "macos-x86_64")
    with pytest.raises(UserError, match="no PyTorch for this kind of computer") as caught:
        house.set_up()
    assert "another machine" in caught.value.hint


def test_what_pip_was_killed_in_the_middle_of_is_installed_again(house: House) -> None:
    attempted = threading.Event()

    def cancel_at_install(control: Control) -> dict:
        report = control.report

        def reporting(stage: str, fraction: float, eta_s: float | None = None) -> None:
            if stage == "Starting the backend":
                attempted.set()
                raise Cancelled
            report(stage, fraction, eta_s)

        control.report = reporting  # type: ignore[method-assign]
        return set_up(house.plan, control)

    with pytest.raises(Cancelled):
        cancel_at_install(Control())
    assert attempted.is_set()
    site = platforms.site_packages(house.folder / "env-1", sys.version_info)
    (site / "beta-1.0.dist-info" / "RECORD").unlink()
    (site / "beta.py").write_text("this is half a file")
    attempt = environment.Attempt.read(house.folder)
    assert attempt is not None
    attempt.done.remove("install")
    attempt.write(house.folder)
    assert house.set_up()["ok"]
    assert house.names() == ["env-1"]


def test_a_cancelled_control_stops_before_anything_happens(house: House) -> None:
    control = Control()
    control.cancelled.set()
    with pytest.raises(Cancelled):
        set_up(house.plan, control)
    assert not house.folder.exists()


def test_a_broken_extension(house: House) -> None:
    shutil.rmtree(house.root / "locks")
    with pytest.raises(UserError, match="list of the backend's packages is missing"):
        house.set_up()


def test_the_projects_own_locks_can_be_read() -> None:
    lines = locks.requirements(ROOT, locks.BACKEND)
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    assert locks.pin(ROOT, "torch").startswith("torch==")
    uv = locks.requirements(ROOT, locks.UV)
    assert [line.split("==")[0] for line in uv] == ["uv"]
    for key in ("linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-arm64"):
        size, small = locks.download_bytes(ROOT, False, key), locks.download_bytes(ROOT, True, key)
        assert size and small and 100_000_000 < small <= size
        assert locks.brings_cuda(ROOT, key) is key.startswith("linux")
    assert locks.download_bytes(ROOT, False, "macos-x86_64") is None


def test_checksums_in_a_lock_are_those_of_its_files(house: House) -> None:
    line = next(line for line in locks.requirements(house.root, locks.BACKEND) if line.startswith("beta"))
    content = house.index.wheels["beta-1.0-py3-none-any.whl"]
    assert line == f"beta==1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}"
