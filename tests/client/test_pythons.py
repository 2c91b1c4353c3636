from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from sg_blender_addon.client import platforms, pythons, uv
from sg_blender_addon.client.job import Control
from sg_blender_addon.client.pythons import choose, examine
from sg_blender_addon.client.uv import Uv
from sg_blender_addon.core.errors import UserError

from .wheelhouse import wheel

OWN = Path(sys.executable)
BUILT = "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"
VERSION = ".".join(map(str, sys.version_info[:3]))


def script(path: Path, told: dict[str, object]) -> Path:
    """Something that answers like an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    path.chmod(0o755)
    return path


def told(version: tuple[int, int], **changes: object) -> dict[str, object]:
    return {"version": version, "wide": True, "free_threaded": False, "venv": True, **changes}


def test_this_interpreter() -> None:
    found = examine(OWN, Control())
    assert found.version == sys.version_info[:2]
    assert found.fits and found.makes_environments


@pytest.mark.parametrize("python", ["/nowhere/python", __file__])
def test_not_a_python(python: str) -> None:
    with pytest.raises(UserError, match="not a Python that can be run"):
        examine(Path(python), Control())


@pytest.mark.parametrize(
    "what",
    [told((3, 10)), told((3, 15)), told((3, 13), wide=False), told((3, 13), free_threaded=True)],
    ids=["old", "new", "32 bit", "free-threaded"],
)
def test_one_for_which_there_are_no_packages(tmp_path: Path, what: dict[str, object]) -> None:
    other = script(tmp_path / "python", what)
    with pytest.raises(UserError, match="cannot use Python 3") as caught:
        choose(other, OWN, Control())
    assert "3.11 to 3.14" in caught.value.hint
    assert "expert" not in caught.value.hint


def test_one_that_makes_no_environments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot make virtual environments") as caught:
        choose(script(tmp_path / "python", told((3, 13), venv=False)), OWN, Control())
    assert "python3.13-venv" in caught.value.hint


def test_blenders_own_unless_it_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = script(tmp_path / "bin" / "python3.13", told((3, 13)))
    monkeypatch.setattr(platforms, "pythons", lambda versions: [tmp_path / "broken", fit])
    found = choose(None, OWN, Control())
    assert found is not None and found.path == OWN
    found = choose(None, script(tmp_path / "blenders", told((3, 16))), Control())
    assert found is not None and found.path == fit
    monkeypatch.setattr(platforms, "pythons", lambda versions: [])
    assert choose(None, tmp_path / "blenders", Control()) is None


def test_interpreters_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "python3.12", told((3, 12)))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tmp_path / "python3.12" in platforms.pythons(pythons.supported())


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive of a standalone Python: here one whose interpreter hands over to this one."""
    folder = tmp_path / "mirror" / "1"
    folder.mkdir(parents=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        # uv edits what an interpreter says of how it was built
        told = f"_sysconfigdata_{sys.abiflags}_{sys.platform}_{platforms.key().split('-')[1]}-linux-gnu.py"
        library = f"python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/{told}"
        texts = {"python/bin/python3": f'#!/bin/sh\nexec "{OWN}" "$@"\n', library: BUILT}
        for name, text in texts.items():
            item = tarfile.TarInfo(name)
            item.size, item.mode = len(text.encode()), 0o755
            archive.addfile(item, io.BytesIO(text.encode()))
    file = f"cpython-{VERSION}.tar.gz"
    (folder / file).write_bytes(packed.getvalue())
    system, machine = platforms.key().split("-")
    entry = {
        "name": "cpython", "arch": {"family": machine, "variant": None}, "os": system, "libc": "gnu",
        "major": sys.version_info[0], "minor": sys.version_info[1], "patch": sys.version_info[2], "prerelease": "",
        "url": f"https://github.com/astral-sh/python-build-standalone/releases/download/1/{file}",
        "sha256": hashlib.sha256(packed.getvalue()).hexdigest(), "variant": None, "build": "1",
    }  # fmt: skip
    (tmp_path / "pythons.json").write_text(json.dumps({"here": entry}))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(tmp_path / "pythons.json"))
    monkeypatch.setenv(uv.MIRROR, str(tmp_path / "mirror"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setattr(uv, "VERSION", ".".join(map(str, sys.version_info[:2])))
    return folder / file


@pytest.fixture
def program(tmp_path: Path) -> Uv:
    """uv from a folder of wheels, into which the one that is installed here is packed."""
    module = pytest.importorskip("uv")
    binary = Path(module.find_uv_bin()).read_bytes()
    (tmp_path / "wheels").mkdir()
    (tmp_path / "user").mkdir()
    (tmp_path / "root" / "locks").mkdir(parents=True)
    content = wheel("uv", "1.0", {"uv-1.0.data/scripts/uv": binary})
    (tmp_path / "wheels" / "uv-1.0-py3-none-any.whl").write_bytes(content)
    lock = tmp_path / "root" / "locks" / "uv.txt"
    lock.write_text(f"uv==1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    return Uv(tmp_path / "root", tmp_path / "user", tmp_path / "log", tmp_path / "wheels")


def test_a_python_is_fetched_from_a_mirror_folder(program: Uv, mirror: Path) -> None:
    base = examine(OWN, Control())
    fetched = program.fetch_python(base, Control())
    assert fetched.is_relative_to(program.folder / "python")
    assert examine(fetched, Control()).fits
    mirror.unlink()
    assert program.fetch_python(base, Control()) == fetched, "the next press takes the one that is there"


def test_no_python_can_be_fetched(program: Uv, mirror: Path) -> None:
    mirror.unlink()
    with pytest.raises(UserError, match="no other could be fetched") as caught:
        program.fetch_python(examine(OWN, Control()), Control())
    assert "python.org" in caught.value.hint
    assert caught.value.details


def test_pytorchs_own_index_is_out_of_reach(program: Uv, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    base = examine(OWN, Control())
    with pytest.raises(UserError, match="small build was not found") as caught:
        program.find_small_torch(base, base, "torch==2.13.0", Control())
    assert "switch 'Small PyTorch' off" in caught.value.hint
    assert os.environ["https_proxy"] in caught.value.details or "error" in caught.value.details.lower()
