from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sg_blender_addon.client.process import LOGS_KEPT, BackendProcess, ServeCommand, rotate_logs
from sg_blender_addon.core.errors import UserError

ROOT = Path(__file__).parents[2]
PARENT = """
import sys, time
from pathlib import Path
from sg_blender_addon.client.process import BackendProcess, ServeCommand
process = BackendProcess(ServeCommand(Path(sys.executable), Path({root!r}), Path({logs!r})))
process.start()
print(process.pid, flush=True)
time.sleep(60)
"""


def running(pid: int) -> bool:
    """True while a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, patience_s: float = 5.0) -> bool:
    deadline = time.monotonic() + patience_s
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


def test_it_gets_ready_answers_with_its_token_and_leaves_no_zombie(serve: ServeCommand) -> None:
    process = BackendProcess(serve)
    process.start()
    pid = process.pid
    assert pid is not None
    assert process.alive
    assert process.version == "0.0-small"
    health = process.url + "/v1/health"
    assert requests.get(health, headers={"Authorization": f"Bearer {process.token}"}, timeout=5).status_code == 200
    assert requests.get(health, timeout=5).status_code == 401
    process.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not process.alive


def test_the_token_is_in_no_command_line_and_no_environment(serve: ServeCommand) -> None:
    process = BackendProcess(serve)
    process.start()
    try:
        for name in ("cmdline", "environ"):
            assert process.token.encode() not in Path(f"/proc/{process.pid}/{name}").read_bytes()
    finally:
        process.stop()


def test_two_backends_never_meet_on_a_port(serve: ServeCommand, tmp_path: Path) -> None:
    first, second = BackendProcess(serve), BackendProcess(replace(serve, log_folder=tmp_path / "other"))
    try:
        first.start()
        second.start()
        assert first.url != second.url
    finally:
        first.stop()
        second.stop()


def test_a_child_whose_parent_is_killed_goes_too(serve: ServeCommand) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(root=str(serve.root), logs=str(serve.log_folder))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert running(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(child)


def test_a_missing_interpreter_is_one_sentence(serve: ServeCommand) -> None:
    with pytest.raises(UserError, match="Python was not found") as caught:
        BackendProcess(replace(serve, python=Path("/nowhere/python"))).start()
    assert caught.value.code == "backend_missing"
    assert "Set up" in caught.value.hint


def test_a_missing_source_is_one_sentence(serve: ServeCommand, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source is missing"):
        BackendProcess(replace(serve, root=tmp_path)).start()


def test_a_child_that_dies_at_start_says_why(serve: ServeCommand, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "backend").mkdir(parents=True)
    (root / "backend" / "__main__.py").write_text("import sys; sys.exit('no module named torch')")
    process = BackendProcess(replace(serve, root=root))
    with pytest.raises(UserError, match="no module named torch") as caught:
        process.start()
    assert caught.value.code == "backend_start"
    assert not process.alive


def test_a_child_that_never_gets_ready_is_ended(serve: ServeCommand, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "backend").mkdir(parents=True)
    (root / "backend" / "__main__.py").write_text("import sys; print('hm', flush=True); sys.stdin.read()")
    process = BackendProcess(replace(serve, root=root))
    with pytest.raises(UserError, match="did not become ready"):
        process.start(timeout_s=0.5)
    assert process.pid is None


def test_logs_rotate_and_their_number_is_bounded(tmp_path: Path) -> None:
    for number in range(LOGS_KEPT + 3):
        rotate_logs(tmp_path).write_text(str(number))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backend.1.log", "backend.2.log", "backend.log"]
    assert (tmp_path / "backend.log").read_text() == str(LOGS_KEPT + 2)
    assert (tmp_path / "backend.2.log").read_text() == str(LOGS_KEPT)


def test_the_child_writes_its_log_there(serve: ServeCommand) -> None:
    process = BackendProcess(serve)
    process.start()
    requests.get(process.url + "/v1/health", timeout=5)
    process.stop()
    assert "GET /v1/health" in process.log_path.read_text()


def test_pythonpath_of_the_parent_does_not_leak(serve: ServeCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    process = BackendProcess(serve)
    process.start()
    try:
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        process.stop()
    assert b"/somewhere" not in environment
    assert b"PYTHONHOME" not in environment
    assert os.environ["PYTHONHOME"] == "/nowhere"
