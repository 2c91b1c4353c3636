"""Running a program whose output is watched line by line and that can be stopped."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..core.errors import UserError
from .job import TICK_S, Control
from .platforms import detached, end_tree, keeper


def run_streaming(
    command: Sequence[str],
    control: Control,
    on_line: Callable[[str], None],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float | None = None,
    on_pause: Callable[[], None] = lambda: None,
) -> int:
    """Run a program, hand over each line of its output as it comes, return its exit code.

    A cancel ends the program and all that it started, then raises Cancelled; so does the time limit, with a UserError.
    When this process is killed, they end too. on_pause: called now and then while the program says nothing.
    """
    try:
        child = subprocess.Popen(
            keeper(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, env=dict(env), text=True, encoding="utf-8", errors="replace", **detached(),
        )  # fmt: skip
    except OSError as error:
        raise UserError(
            f"This program cannot be started: {command[0]} ({error.strerror or error})",
            "Choose another Python under 'Make it from' in the add-on's preferences.",
            "bad_python",
        ) from error
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    lines = _lines_of(child)
    try:
        while True:
            control.check()
            if deadline is not None and time.monotonic() > deadline:
                raise UserError(f"This took too long: {' '.join(command[1:5])}", "Try again.", "timeout")
            try:
                line = lines.get(timeout=TICK_S)
            except queue.Empty:
                on_pause()
                continue
            if line is None:
                return child.wait()
            on_line(line)
    finally:
        end_tree(child)
        assert child.stdin is not None, "it was made with a pipe"
        child.stdin.close()


def _lines_of(child: subprocess.Popen[str]) -> queue.Queue[str | None]:
    """Lines of a child's output as they come, then None. Its own thread, so that a silent child can be cancelled."""
    lines: queue.Queue[str | None] = queue.Queue()
    stdout = child.stdout
    assert stdout is not None, "it was made with a pipe"

    def read() -> None:
        with stdout:
            for line in stdout:
                lines.put(line.rstrip("\r\n"))
        lines.put(None)

    threading.Thread(target=read, name="setup-output", daemon=True).start()
    return lines
