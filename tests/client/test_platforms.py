"""What differs between systems: the pure parts with both path flavours, the rest as far as it runs here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from sg_blender_addon.client import platforms
from sg_blender_addon.client.platforms import FileLock

from .wheelhouse import running

ROAMING = PureWindowsPath(r"C:\Users\Jürgen Müller\AppData\Roaming\Blender Foundation\Blender\5.2\extensions\.user")
BACKEND = ROAMING / "user_default" / "semantic_gesticulator" / "backend"
LOCAL = PureWindowsPath(r"C:\Users\Jürgen Müller\AppData\Local")


@pytest.mark.parametrize(
    ("system", "machine", "key"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "aarch64", "linux-aarch64"),
        ("win32", "AMD64", "windows-x86_64"),
        ("win32", "ARM64", "windows-aarch64"),
        ("darwin", "arm64", "macos-arm64"),
        ("darwin", "x86_64", "macos-x86_64"),
        ("freebsd14", "amd64", "freebsd14-x86_64"),
    ],
)
def test_a_machines_name_in_the_sizes(system: str, machine: str, key: str) -> None:
    assert platforms.key(system, machine) == key


def test_where_things_are_in_an_environment() -> None:
    windows, posix = PureWindowsPath(r"C:\e"), PurePosixPath("/e")
    assert platforms.environment_python(windows, True) == PureWindowsPath(r"C:\e\Scripts\python.exe")
    assert platforms.environment_python(posix, False) == PurePosixPath("/e/bin/python")
    assert platforms.environment_program(windows, "uv", True) == PureWindowsPath(r"C:\e\Scripts\uv.exe")
    assert platforms.environment_program(posix, "uv", False) == PurePosixPath("/e/bin/uv")
    assert platforms.site_packages(windows, (3, 11), True) == PureWindowsPath(r"C:\e\Lib\site-packages")
    assert platforms.site_packages(posix, (3, 13), False) == PurePosixPath("/e/lib/python3.13/site-packages")
    assert platforms.unpacked_python(windows, True) == PureWindowsPath(r"C:\e\python.exe")
    assert platforms.unpacked_python(posix, False) == PurePosixPath("/e/bin/python3")


def test_a_short_folder_where_paths_would_get_too_long() -> None:
    assert platforms.too_long(BACKEND, windows=True)
    short = platforms.roomy(BACKEND, LOCAL, windows=True)
    assert short.is_relative_to(LOCAL)
    assert not platforms.too_long(short, windows=True)
    assert short == platforms.roomy(BACKEND, LOCAL, windows=True), "the next start looks there too"
    other = platforms.roomy(PureWindowsPath(str(BACKEND).replace("5.2", "4.2")), LOCAL, windows=True)
    assert other != short, "two Blenders would clear each other's"


def test_the_folder_stays_where_paths_may_be_long() -> None:
    assert platforms.roomy(BACKEND, LOCAL, windows=True, long_paths=True) == BACKEND
    assert not platforms.too_long(BACKEND, windows=True, long_paths=True)
    near = PureWindowsPath(r"D:\b")
    assert platforms.roomy(near, LOCAL, windows=True) == near
    deep = PurePosixPath("/home/someone/.config/blender" + "/x" * 200)
    assert platforms.roomy(deep, PurePosixPath("/"), windows=False) == deep


def test_even_the_short_folder_can_be_too_long() -> None:
    local = PureWindowsPath(r"C:\Users") / ("n" * 40) / r"AppData\Local"
    assert platforms.too_long(platforms.roomy(BACKEND, local, windows=True), windows=True)


def test_a_file_that_somebody_holds_is_tried_again() -> None:
    tries: list[float] = []

    def held() -> str:
        if len(tries) < 4:
            raise PermissionError(13, "The process cannot access the file")
        return "done"

    assert platforms.patiently(held, sleep=tries.append) == "done"
    assert tries == sorted(tries) and len(tries) == 4
    with pytest.raises(PermissionError):
        platforms.patiently(_refused, patience_s=0.2, sleep=lambda pause: None)


def _refused() -> None:
    raise PermissionError(13, "held for ever")


def test_nobody_waits_for_a_read_only_disk() -> None:
    import errno

    def refused() -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    with pytest.raises(PermissionError):
        platforms.patiently(refused, sleep=lambda pause: pytest.fail("waited"))


def test_a_tree_goes_although_somebody_holds_a_file_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "lib" / "torch.dll").touch()
    real, refusals = shutil.rmtree, [1, 1]

    def scanned(path: Path, **options: object) -> None:
        if refusals:
            refusals.pop()
            raise PermissionError(13, "Access is denied")
        real(path)

    monkeypatch.setattr(shutil, "rmtree", scanned)
    platforms.remove_tree(tmp_path / "env", sleep=lambda pause: None)
    assert not (tmp_path / "env").exists()
    platforms.remove_tree(tmp_path / "env")  # gone already: nothing to do


def test_symlinks_are_looked_for_and_leave_nothing(tmp_path: Path) -> None:
    assert platforms.has_symlinks(tmp_path)
    assert not platforms.has_symlinks(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def test_a_lock_has_one_holder_and_says_who(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == str(os.getpid())
    first.release()
    with platforms.held(second) as taken:
        assert taken
        assert not first.acquire()
    assert first.acquire()
    first.release()


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sg_blender_addon.client.platforms import FileLock\n"
        "lock = FileLock(Path(sys.argv[1]))\nprint(lock.acquire(), flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lock = FileLock(tmp_path / "lock")
        assert not lock.acquire()
        assert lock.holder() == str(holder.pid)
        holder.kill()
    assert lock.acquire()
    lock.release()


def test_a_lock_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        FileLock(tmp_path / "nowhere" / "lock").acquire()


def test_what_a_keeper_keeps_ends_with_its_parent(tmp_path: Path) -> None:
    """A process starts one through a keeper, which starts another, and is killed."""
    mark = str(tmp_path / "grandchild")
    grandchild = f"import time; name = {mark!r}; time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    parent = (
        "import subprocess, sys, time\n"
        f"from sg_blender_addon.client.platforms import detached, keeper\n"
        f"child = subprocess.Popen(keeper([sys.executable, '-c', {child!r}]), stdin=subprocess.PIPE, **detached())\n"
        "time.sleep(60)\n"
    )
    blender = subprocess.Popen([sys.executable, "-c", parent], cwd=Path(__file__).parents[2])

    def alive() -> list[int]:
        return [pid for pid, command in running() if mark in command and pid != blender.pid]

    _wait(lambda: len(alive()) >= 3)  # the keeper, the child and the grandchild
    blender.send_signal(signal.SIGKILL)
    blender.wait()
    _wait(lambda: not alive())


def _kept(command: list[str]) -> tuple[int, str]:
    """Exit code and output of a command in a keeper's hands."""
    child = subprocess.Popen(
        platforms.keeper(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    with child.stdout, child.stdin:
        return child.wait(), child.stdout.read().decode().strip()


def test_a_keeper_passes_on_output_and_status() -> None:
    assert _kept([sys.executable, "-c", "print('grüße'); raise SystemExit(7)"]) == (7, "grüße")


def test_a_keeper_of_what_cannot_be_started(tmp_path: Path) -> None:
    code, said = _kept([str(tmp_path / "nothing")])
    assert code == 1
    assert "No such file" in said


def _wait(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()
