from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sg_blender_addon.client import environment, locks
from sg_blender_addon.client.environment import Attempt, Marker
from sg_blender_addon.client.job import Control
from sg_blender_addon.client.platforms import environment_python
from sg_blender_addon.core.errors import UserError


def root_with(folder: Path, doctor: str) -> Path:
    (folder / "backend").mkdir(parents=True)
    (folder / "backend" / "__main__.py").write_text(doctor)
    return folder


def test_states_follow_from_files_alone(tmp_path: Path) -> None:
    folder, root = tmp_path / "user", tmp_path / "root"
    (root / "locks").mkdir(parents=True)
    (root / "locks" / "backend.txt").write_text("one==1\n")
    assert environment.state(folder, root) == environment.MISSING
    folder.mkdir()
    Attempt("env-1", "x").write(folder)
    assert environment.state(folder, root) == environment.INCOMPLETE
    python = environment_python(folder / "env-1")
    python.parent.mkdir(parents=True)
    python.touch()
    base = tmp_path / "base python"
    base.touch()
    Marker("env-1", locks.fingerprint(root), "x", str(base)).write(folder)
    assert environment.state(folder, root) == environment.READY
    assert environment.environment_python(folder) == python
    (root / "locks" / "backend.txt").write_text("one==1\ntwo==2\n")
    assert environment.state(folder, root) == environment.OUTDATED
    base.unlink()  # Blender was updated, its Python is another one now
    assert environment.state(folder, root) == environment.INCOMPLETE
    (folder / environment.MARKER).write_text("{}")
    assert environment.environment_python(folder) is None


def test_a_doctor_that_is_content_may_talk_and_its_progress_is_seen(tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", "print('warning: {'); print('{\"ok\": true, \"checks\": []}')")
    control = Control()
    assert environment.doctor(Path(sys.executable), root, control, 0.9) == {"ok": True, "checks": []}
    assert control.snapshot().stage.startswith("Starting the backend (")
    assert 0.9 < control.snapshot().fraction < 1


def test_a_doctor_that_finds_something_missing(tmp_path: Path) -> None:
    report = {"ok": False, "checks": [
        {"name": "weights", "ok": False, "required": True, "message": "There are no weights."},
        {"name": "films", "ok": False, "required": False, "message": "No films."},
    ]}  # fmt: skip
    root = root_with(tmp_path / "root", f"print({json.dumps(report)!r}); raise SystemExit(1)")
    with pytest.raises(UserError, match="does not work") as caught:
        environment.doctor(Path(sys.executable), root)
    assert caught.value.message.endswith("does not work: There are no weights.")


def test_a_doctor_that_crashes(tmp_path: Path) -> None:
    root = root_with(tmp_path / "root", "import torch_is_not_here")
    with pytest.raises(UserError, match="No module named 'torch_is_not_here'") as caught:
        environment.doctor(Path(sys.executable), root)
    assert "Traceback" in caught.value.details


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    environment.remove(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
