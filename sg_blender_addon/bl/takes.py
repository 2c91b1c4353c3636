"""Finished takes on disk, so that single gestures can be changed later without generating all over again.

Of a take its rhythm is kept; the gestures are on the NLA. It lies in the extension's user folder under a random name
that our strips carry; a file that travels to another machine arrives without it, and then has to be generated anew.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from ..client.generation import Take
from ..core import wire
from . import machine

KEPT = 200


def new_name() -> str:
    return uuid.uuid4().hex


def write(path: Path, take: Take) -> None:
    """Keep a take. A full disk loses the take, not the performance: then there is nothing under its name."""
    meta = {"fps": take.rhythm.fps, "skeleton": take.rhythm.skeleton.to_json(), "report": dict(take.report)}
    with contextlib.suppress(OSError):
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            wire.write(file, meta, wire.motion_arrays("rhythm", take.rhythm))
        os.replace(temporary, path)
        _prune(path.parent)


def path_of(name: str) -> Path:
    """Where a take lies, if it is on this machine."""
    return machine.user_folder("takes") / (("".join(c for c in name if c.isalnum()) or "none") + ".npz")


def _prune(folder: Path) -> None:
    """The oldest go when there are too many."""
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[KEPT:]:
        file.unlink(missing_ok=True)
