"""The library librosa, with the functions that it compiles (numba) compiled once, by one process, before any use.

Two processes that compile at the same time can leave a cache whose halves do not belong together, and whoever loads
that dies of a segmentation fault (numba issue 10128). So the cache is a folder of our own, named by the versions that
made it; it counts only when the process that filled it from nothing has said so, and everybody else waits.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from backend.cache import cache_folder
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress

POLL_S = 0.2  # between looks at whether somebody wants to stop
DONE = "complete"
COMPILE = (
    "import numpy as np; from backend.speech import features; from backend.speech.audio import Audio; "
    "features.extract(Audio.from_samples(np.random.default_rng(0).normal(0.0, 0.1, 32000), 16000))"
)
INSIDE = "GESTICULATOR_COMPILES"  # set in the one process that fills the cache


@cache
def compiled_folder() -> Path:
    """Where the compiled functions lie, by the versions of what made them."""
    made_by = "-".join(f"{name}{version(name)}" for name in ("librosa", "numba", "numpy"))
    return cache_folder() / "compiled" / f"python{sys.version_info.major}.{sys.version_info.minor}-{made_by}"


def librosa(progress: Progress | None = None) -> Any:
    """The module. Its first use on a machine compiles for half a minute of processor time; `Cancelled` ends it."""
    if not os.environ.get(INSIDE):
        ensure_compiled(compiled_folder(), progress or Progress())
        os.environ["NUMBA_CACHE_DIR"] = str(compiled_folder())
        numba = sys.modules.get("numba")
        if numba is not None:  # another library was first (openai-whisper): numba has read its settings already
            numba.config.CACHE_DIR = str(compiled_folder())
    return importlib.import_module("librosa")


def ensure_compiled(folder: Path, progress: Progress, code: str = COMPILE) -> None:
    """Fill the folder unless that was done, and let nobody else do it meanwhile. `Cancelled` between looks.

    UserError when the folder cannot be written or the compiling process fails.
    """
    if (folder / DONE).is_file():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        while True:
            try:
                lock.acquire(timeout=POLL_S)
                break
            except Timeout:
                progress.check()
        try:
            if not (folder / DONE).is_file():
                shutil.rmtree(folder, ignore_errors=True)  # a half of somebody who was killed
                folder.mkdir()
                _compile(folder, progress, code)
                (folder / DONE).touch()
        finally:
            lock.release()
    except OSError as error:
        raise UserError(
            f"The folder {folder.parent} for compiled functions cannot be written: {error.strerror or error}.",
            "Make room, or name another folder in the environment variable GESTICULATOR_CACHE.",
            "cannot_write",
        ) from error


def _compile(folder: Path, progress: Progress, code: str) -> None:
    """In a process of its own, which can be stopped at any time."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), INSIDE: "1"}
    root = Path(__file__).resolve().parents[2]
    with (folder.parent / f"{folder.name}.log").open("w+b") as log:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=root, env=environment, stdout=log, stderr=log)
        began = time.monotonic()
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                progress.stage("Compiling audio analysis, once on this machine", _share(time.monotonic() - began))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            log.seek(0)
            last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:] or [f"code {process.returncode}"]
            raise UserError(
                f"The audio analysis could not be compiled: {last[0]}.", "Install the backend again.", "missing_package"
            )


def _share(seconds: float) -> float:
    """How far compiling is likely to be, 0..1: half after 20 s, ever slower."""
    return seconds / (seconds + 20.0)
