"""Compiled functions are made once, whole, by one process; the rest wait."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backend.speech.compiled import DONE, compiled_folder, ensure_compiled, librosa
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Progress
from tests.backend.conftest import ROOT


def compiling(folder: Path, then: str = "") -> str:
    """Stands in for the compiler: writes into the cache and notes that it ran."""
    ran = f"open({str(folder.parent / 'ran')!r}, 'a').write('x')"
    return (
        f"import os, time; time.sleep(0.3); open(os.environ['NUMBA_CACHE_DIR'] + '/half', 'w'); {ran}; {then or 'pass'}"
    )


def times_run(folder: Path) -> int:
    ran = folder.parent / "ran"
    return len(ran.read_text()) if ran.exists() else 0


def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    call = f"ensure_compiled(Path({str(folder)!r}), Progress(), {compiling(folder)!r})"
    imports = "from pathlib import Path; from backend.speech.compiled import ensure_compiled"
    code = f"{imports}; from sg_blender_addon.core.progress import Progress; {call}"
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert times_run(folder) == 1 and (folder / DONE).is_file() and (folder / "half").is_file()


def test_what_a_killed_process_left_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "rubbish").touch()
    ensure_compiled(folder, Progress(), compiling(folder))
    assert not (folder / "rubbish").exists() and times_run(folder) == 1
    ensure_compiled(folder, Progress(), compiling(folder))
    assert times_run(folder) == 1


def test_compiling_can_be_cancelled(tmp_path: Path) -> None:
    folder, stop, told = tmp_path / "cache", threading.Event(), []

    def listen(stage: str, share: float) -> None:
        told.append((stage, share))
        stop.set()

    with pytest.raises(Cancelled):
        ensure_compiled(folder, Progress(listen, stop), compiling(folder, "time.sleep(600)"))
    assert "once on this machine" in told[0][0] and not (folder / DONE).exists()


def test_a_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no compiler here") as caught:
        ensure_compiled(tmp_path / "cache", Progress(), "raise SystemExit('no compiler here')")
    assert caught.value.hint and not (tmp_path / "cache" / DONE).exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="GESTICULATOR_CACHE"):
        ensure_compiled(tmp_path / "file" / "cache", Progress(), "pass")


def test_librosa_comes_with_its_own_cache() -> None:
    import numba

    assert librosa().__name__ == "librosa" and (compiled_folder() / DONE).is_file()
    assert str(compiled_folder()) == numba.config.CACHE_DIR
