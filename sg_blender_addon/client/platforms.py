"""What differs between Windows, macOS and Linux, and nothing else. Standard library alone.

Functions that only calculate take the system as an argument, so that every system's answer is tested on any. The file
is also a program, see `keeper`: it is run by path and must not import from this package.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar

T = TypeVar("T")
P = TypeVar("P", bound=PurePath)

WINDOWS = sys.platform == "win32"
PATH_LIMIT = 259
"""Characters of a path that every program on Windows can open, unless the machine allows longer ones."""
LONGEST_INSIDE = 200
"""Characters that the longest path of an environment adds to its folder's: 198, of a licence that torch has."""
PATIENCE_S = 10.0
"""How long a file that somebody else holds (a virus scanner, an indexer) is tried again."""
LOCK_OFFSET = 1 << 30
"""Where the locked byte lies. Windows locks out readers too, so it is far from what the file says."""


# --- names and places -------------------------------------------------------------------------------------------------


def key(system: str = sys.platform, machine: str = platform.machine()) -> str:
    """The machine's name in `locks/sizes.json`: "linux-x86_64", "macos-arm64", "windows-x86_64" and so on."""
    name = {"win32": "windows", "darwin": "macos"}.get(system, "linux" if system.startswith("linux") else system)
    wide = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    return f"{name}-{'arm64' if name == 'macos' and wide == 'aarch64' else wide}"


def environment_python(environment: P, windows: bool = WINDOWS) -> P:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if windows else "bin/python")


def environment_program(environment: P, name: str, windows: bool = WINDOWS) -> P:
    """A program that a package brought into a virtual environment."""
    return environment / (f"Scripts/{name}.exe" if windows else f"bin/{name}")


def site_packages(environment: P, version: Sequence[int], windows: bool = WINDOWS) -> P:
    """Where a virtual environment of that Python version keeps its packages."""
    return environment / ("Lib/site-packages" if windows else f"lib/python{version[0]}.{version[1]}/site-packages")


def unpacked_python(folder: P, windows: bool = WINDOWS) -> P:
    """The interpreter in an unpacked standalone Python."""
    return folder / ("python.exe" if windows else "bin/python3")


def roomy(folder: P, local: P, *, windows: bool = WINDOWS, long_paths: bool = False) -> P:
    """Where an environment fits: `folder`, or on Windows a short one in `local` where paths would get too long.

    windows without long_paths: the system's old limit of 260 characters holds. local: %LOCALAPPDATA%. Different folders
    keep different places: two Blenders of one user do not share theirs.
    """
    if not windows or long_paths or len(str(folder)) + LONGEST_INSIDE <= PATH_LIMIT:
        return folder
    return local / "Gesture" / hashlib.sha256(str(folder).encode()).hexdigest()[:6]


def too_long(folder: PurePath, *, windows: bool = WINDOWS, long_paths: bool = False) -> bool:
    """True where an environment in `folder` would have paths that Windows cannot open."""
    return windows and not long_paths and len(str(folder)) + LONGEST_INSIDE > PATH_LIMIT


def long_paths() -> bool:
    """True unless this is a Windows that keeps to its old limit of 260 characters."""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as opened:
            return bool(winreg.QueryValueEx(opened, "LongPathsEnabled")[0])
    except OSError:
        return False


def local_folder() -> Path:
    """Windows: where programs keep what belongs to one user on one machine."""
    return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def pythons(versions: Sequence[tuple[int, int]]) -> list[Path]:
    """Interpreters of those versions that are installed here, in the order of the versions; none is started."""
    found: list[Path] = []
    for major, minor in versions:
        found += _registered(major, minor) if WINDOWS else _on_path(f"python{major}.{minor}")
    return list(dict.fromkeys(found))


def _on_path(name: str) -> list[Path]:
    """A program that is started from the desktop has a shorter PATH than a shell: look where others install too."""
    more = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin")
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *more)))
    return [Path(found)] if found else []


def _registered(major: int, minor: int) -> list[Path]:
    """Windows: what the installers of Python wrote into the registry (PEP 514)."""
    if sys.platform != "win32":
        return []
    import winreg

    found = []
    for hive in (winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE):
        with contextlib.suppress(OSError):
            name = rf"Software\Python\PythonCore\{major}.{minor}\InstallPath"
            with winreg.OpenKey(hive, name) as opened:
                found.append(Path(winreg.QueryValueEx(opened, None)[0]) / "python.exe")
    return [path for path in found if path.is_file()]


# --- files that others may hold ---------------------------------------------------------------------------------------


def patiently(
    action: Callable[[], T], patience_s: float = PATIENCE_S, sleep: Callable[[float], object] = time.sleep
) -> T:
    """Do something to a file; where another program holds it for a moment, try again until the patience is over.

    sleep: also the way out; what it raises (a cancel) ends the waiting.
    """
    pause, waited = 0.05, 0.0
    while True:
        try:
            return action()
        except PermissionError as refused:
            if waited >= patience_s or refused.errno == errno.EROFS:
                raise
        sleep(pause)
        waited += pause
        pause = min(2 * pause, 1.0)


def remove_tree(path: Path, **patience: Any) -> None:
    """Delete a folder and what is in it, write-protected files too. OSError where something holds a file for longer."""

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path, onerror=_unprotect)

    patiently(remove, **patience)


def _unprotect(function: Callable[[str], object], path: str, failure: Any) -> None:
    """Windows does not delete a file that is marked read-only."""
    if not WINDOWS or not isinstance(failure[1], PermissionError):
        raise failure[1]
    Path(path).chmod(stat.S_IWRITE)
    function(path)


def has_symlinks(folder: Path) -> bool:
    """Whether the file system of a folder has symbolic links (exFAT has none, Windows asks for a right)."""
    if WINDOWS:
        return False
    probe = folder / ".link"
    try:
        probe.symlink_to("nowhere")
        probe.unlink()
    except OSError:
        return False
    return True


class FileLock:
    """A lock between processes that the system takes back when its holder ends, however it ends.

    Where a file system knows no locks (some network folders) everybody gets it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock unless another process, or another FileLock of this one, has it. OSError: cannot be written."""
        file = self.path.open("a+b")
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return False
        except OSError as error:
            if error.errno in (errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK)):
                file.close()
                return False
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                file.close()
                raise
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._file = file
        return True

    def holder(self) -> str:
        """The number of the process that took the lock last; empty where that is not known."""
        try:
            return self.path.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def release(self) -> None:
        """Let go. The file stays: deleting it would let two processes hold one lock each."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(LOCK_OFFSET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held(lock: FileLock) -> Iterator[bool]:
    """The lock for the time of a `with`; says whether it was to be had."""
    taken = lock.acquire()
    try:
        yield taken
    finally:
        lock.release()


# --- child processes --------------------------------------------------------------------------------------------------


def detached() -> dict[str, Any]:
    """Popen options that keep a child out of our console window and away from a Ctrl+C meant for Blender."""
    if WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    return {"start_new_session": True}


def end_tree(child: subprocess.Popen[Any]) -> None:
    """End a child that was started `detached()` and all that it started, if it still runs, and collect it."""
    if child.poll() is None:
        if sys.platform == "win32":
            _taskkill(child.pid)
        else:
            os.killpg(child.pid, signal.SIGKILL)  # it leads a group of its own
    child.wait()


def _taskkill(pid: int) -> None:
    subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)


def keeper(command: Sequence[str]) -> list[str]:
    """A command line that runs `command` and ends it, with all that it started, when its stdin closes.

    The stdin is a pipe that nobody writes to. It closes when the process at its other end is gone, also one that was
    killed: a set-up that nobody watches any more must not go on writing.
    """
    return [sys.executable, "-I", "-S", __file__, *command]


def _keep(command: Sequence[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        while os.read(0, 1):
            pass
        if sys.platform == "win32":
            _taskkill(child.pid)
        elif os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        else:
            child.kill()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    try:
        sys.exit(_keep(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror or error}")
