from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from sg_blender_addon.client.job import CANCELLED, Control, Job
from sg_blender_addon.client.process import child_environment
from sg_blender_addon.client.running import run_streaming
from sg_blender_addon.core.errors import UserError

from .wheelhouse import running


def test_lines_come_as_they_are_written_and_the_status_is_the_programs(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import sys; print('zwölf'); print('Ω', file=sys.stderr); raise SystemExit(3)"
    run = run_streaming([sys.executable, "-c", code], Control(), said.append, cwd=tmp_path,
                        env=child_environment(tmp_path))  # fmt: skip
    assert (run, sorted(said)) == (3, ["zwölf", "Ω"])


def test_cancel_ends_a_program_and_its_children(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    grandchild = f"import time; name = {mark!r}; time.sleep(60)"
    code = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "print('up', flush=True); time.sleep(60)"
    )
    up = threading.Event()

    def work(control: Control) -> None:
        run_streaming([sys.executable, "-c", code], control, lambda line: up.set(), cwd=tmp_path,
                      env=child_environment(tmp_path))  # fmt: skip

    job = Job("run", work).start()
    assert up.wait(30)
    assert [pid for pid, command in running() if mark in command]
    job.cancel()
    assert job.wait(20).state == CANCELLED
    deadline = time.monotonic() + 10
    while [pid for pid, command in running() if mark in command] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid, command in running() if mark in command]


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too long"):
        run_streaming([sys.executable, "-c", "import time; time.sleep(60)"], Control(), print, cwd=tmp_path,
                      env=child_environment(tmp_path), timeout_s=0.3)  # fmt: skip


def test_a_silent_program_leaves_time_to_look(tmp_path: Path) -> None:
    looked: list[int] = []

    def look() -> None:
        looked.append(1)
        if len(looked) == 2:
            (tmp_path / "go").touch()

    code = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)"
    run_streaming([sys.executable, "-c", code], Control(), print, cwd=tmp_path, env=child_environment(tmp_path),
                  on_pause=look)  # fmt: skip
    assert len(looked) >= 2
