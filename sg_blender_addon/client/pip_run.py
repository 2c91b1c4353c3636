"""Running a program whose output is watched line by line and that can be stopped, and reading pip's lines."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..core.errors import UserError
from .job import TICK_S, Control
from .process import detached

_RAW = re.compile(r"^Progress (\d+) of (\d+)$")
_COLLECTING = re.compile(r"^Collecting ([A-Za-z0-9._-]+)")
_DOWNLOADING = re.compile(r"^Downloading (?:\S+/)?([A-Za-z0-9._]+?)-\d")


class PipProgress:
    """How far a `pip install --progress-bar=raw` is, from its lines.

    pip does not know how many packages will come until it has seen them all, so the bar counts packages against an
    expected number and never runs backwards.
    """

    def __init__(self, expected_packages: int) -> None:
        self.stage = "Looking for packages"
        self.fraction = 0.0
        self._expected = max(1, expected_packages)
        self._seen = 0
        self._package = ""

    def feed(self, line: str) -> bool:
        """Take one line; True when stage or fraction changed."""
        before = (self.stage, self.fraction)
        if match := _COLLECTING.match(line.strip()):
            self._seen += 1
            self._package = match[1]
            self.stage = f"Looking for {self._package}"
            self._advance(0.0)
        elif match := _DOWNLOADING.match(line.strip()):
            self._package = match[1].replace("_", "-")
            self.stage = f"Downloading {self._package}"
        elif match := _RAW.match(line.strip()):
            done, total = int(match[1]), int(match[2])
            self._downloading(done, total)
        elif line.startswith("Installing collected packages"):
            self.stage = "Installing the packages (this takes a minute)"
            self.fraction = max(self.fraction, 0.9)
        return before != (self.stage, self.fraction)

    def _downloading(self, done: int, total: int) -> None:
        if total > 1 << 20:
            self.stage = f"Downloading {self._package} ({done >> 20} of {total >> 20} MB)"
        self._advance(done / total if total else 0.0)

    def _advance(self, part: float) -> None:
        share = (self._seen - 1 + part) / self._expected
        self.fraction = max(self.fraction, 0.88 * min(1.0, share))


def run_streaming(
    command: Sequence[str],
    control: Control,
    on_line: Callable[[str], None],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float | None = None,
) -> int:
    """Run a program, hand over each line of its output as it comes, return its exit code.

    A cancel ends the program and all that it started, then raises Cancelled; so does the time limit, with a UserError.
    """
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env),
            text=True,
            encoding="utf-8",
            errors="replace",
            **detached(),
        )
    except OSError as error:
        raise UserError(
            f"This program cannot be started: {command[0]} ({error.strerror or error})",
            "Check the interpreter path in the add-on's preferences.",
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
                continue
            if line is None:
                return child.wait()
            on_line(line)
    finally:
        end_tree(child)


def _lines_of(child: subprocess.Popen[str]) -> queue.Queue[str | None]:
    """Lines of a child's output as they come, then None. Its own thread, so that a silent child can be cancelled."""
    lines: queue.Queue[str | None] = queue.Queue()
    stdout = child.stdout
    assert stdout is not None

    def read() -> None:
        with stdout:
            for line in stdout:
                lines.put(line.rstrip("\r\n"))
        lines.put(None)

    threading.Thread(target=read, name="setup-output", daemon=True).start()
    return lines


def end_tree(child: subprocess.Popen[str]) -> None:
    """End a child and its children, if it still runs, and collect it."""
    if child.poll() is None:
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], capture_output=True, check=False)
        else:
            os.killpg(child.pid, signal.SIGKILL)  # `detached()` made it the leader of its own group
    child.wait()
