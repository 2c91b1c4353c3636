"""The backend as a child process whose life hangs on ours.

The child binds port 0 and says which port it got in one JSON line on stdout, so two Blenders never fight over a port.
It takes its token on stdin, so the token is in no command line and no file. It leaves when stdin closes, so it cannot
outlive Blender, not even a Blender that was killed. Its stderr goes straight into a log file: a pipe would fill up, and
stop the child, while Blender is busy.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..core.errors import UserError
from .platforms import detached

READY_TIMEOUT_S = 180.0
"""Generous: the first start on a slow or busy disk takes long, and a child that dies is noticed at once anyway."""
STOP_TIMEOUT_S = 3.0
LOG_NAME = "backend.log"
LOGS_KEPT = 3
TAIL_BYTES = 4000


@dataclass(frozen=True)
class ServeCommand:
    """What is needed to start a backend: which Python, where the source lies, where the log goes."""

    python: Path
    root: Path
    """Holds `backend/`, `SG_dataset/` and `sg_blender_addon/`; working folder and PYTHONPATH of the child."""
    log_folder: Path
    arguments: tuple[str, ...] = ()
    """More options of `python -m backend serve`."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables added to the child's environment."""

    def argv(self) -> list[str]:
        return [str(self.python), "-m", "backend", "serve", "--port", "0", "--token-stdin", *self.arguments]


def child_environment(root: Path) -> dict[str, str]:
    """Our environment without what would pull Blender's Python, or a foreign path, into the child's."""
    unwanted = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment.update(PYTHONPATH=str(root), PYTHONUNBUFFERED="1", PYTHONUTF8="1")
    return environment


def rotate_logs(folder: Path) -> Path:
    """Make room for a new log: backend.log becomes backend.1.log and so on; returns the path of the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = folder / LOG_NAME
    names = [newest, *(folder / f"backend.{index}.log" for index in range(1, LOGS_KEPT))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if newer.exists():
            try:
                os.replace(newer, older)
            except OSError:  # Windows: another Blender's backend still writes to it; a shared log is the lesser evil
                break
    return newest


class BackendProcess:
    """One running backend. `start()` blocks until it is ready; call it from a worker thread."""

    def __init__(self, command: ServeCommand) -> None:
        self.command = command
        self.token = secrets.token_urlsafe(32)
        self.url = ""
        self.version = ""
        self.log_path = command.log_folder / LOG_NAME
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """True while the child runs; also collects its exit status, so that it does not stay behind as a zombie."""
        return self._child is not None and self._child.poll() is None

    def ended(self, patience_s: float) -> bool:
        """True when the child has ended, or does so within that time."""
        if self._child is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(patience_s)
        return not self.alive

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the child and wait for its ready line; UserError (with the end of its log) when that does not come."""
        child = self._child = self._spawn()
        try:
            self._hand_over_token(_pipe(child.stdin))
            self._read_ready(_pipe(child.stdout), timeout_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask by closing stdin, then terminate, then kill; returns when the child is gone.

        Any thread may call it, also while another one waits in `start()`, which then fails.
        """
        child, self._child = self._child, None
        if child is None:
            return
        _close(child.stdin)
        if not self.url:
            child.terminate()  # it has not got to reading its stdin
        for insist in (child.terminate, child.kill):
            try:
                child.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                insist()
        child.wait()
        _close(child.stdout)

    def log_tail(self) -> str:
        """The last lines the backend wrote, for an error's details."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - TAIL_BYTES))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self.command
        if not command.python.is_file():
            raise UserError(
                f"The backend's Python was not found: {command.python}",
                "Press 'Set up backend' in the add-on's preferences, or correct the interpreter path there.",
                "backend_missing",
            )
        if not (command.root / "backend" / "__main__.py").is_file():
            raise UserError(
                "The backend's source is missing from the extension.", "Install the extension again.", "backend_missing"
            )
        self.log_path = rotate_logs(command.log_folder)
        try:
            with self.log_path.open("ab") as log:
                return subprocess.Popen(
                    command.argv(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=command.root,
                    env=child_environment(command.root) | dict(command.environment),
                    **detached(),
                )
        except OSError as error:
            raise UserError(
                f"The backend could not be started: {error.strerror or error}",
                "Check the interpreter path in the add-on's preferences.",
                "backend_start",
            ) from error

    def _hand_over_token(self, stdin: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # it died or was stopped; the wait for the ready line says why
            stdin.write(self.token.encode() + b"\n")
            stdin.flush()

    def _read_ready(self, stdout: IO[bytes], timeout_s: float) -> None:
        """Wait for `{"event": "ready", "port": N, ...}`; other lines on stdout are skipped."""
        answer: dict[str, Any] = {}
        ready = threading.Event()

        def read() -> None:
            try:
                for line in stdout:
                    message = _json_object(line)
                    if message.get("event") == "ready" and not ready.is_set():
                        answer.update(message)
                        ready.set()
            except (OSError, ValueError):  # the pipe was closed under us: stop() was called
                pass
            ready.set()

        threading.Thread(target=read, name="backend-stdout", daemon=True).start()
        came = ready.wait(timeout_s)
        port = answer.get("port")
        if not isinstance(port, int):
            raise self._not_ready(came)
        self.url = f"http://127.0.0.1:{port}"
        self.version = str(answer.get("version", ""))

    def _not_ready(self, ended: bool) -> UserError:
        last = self.log_tail().splitlines()[-1:] or [""]
        what = "stopped while starting" if ended else "did not become ready in time"
        reason = f": {last[0]}" if last[0] else "."
        return UserError(
            f"The backend {what}{reason}",
            "Press 'Set up backend' in the add-on's preferences to repair it; the log is at " + str(self.log_path),
            "backend_start",
        )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the child is made with pipes"
    return pipe


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _close(pipe: IO[bytes] | None) -> None:
    with contextlib.suppress(OSError):
        if pipe is not None:
            pipe.close()
