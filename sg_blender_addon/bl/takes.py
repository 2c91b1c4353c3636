"""Finished takes on disk, so that single gestures can be changed later without generating all over again.

Of a take its rhythm is kept; the gestures are on the NLA. It lies in the extension's user folder under a random name
that our strips carry; a file that travels to another machine arrives without it, and then has to be generated anew.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path

from ..core import wire
from ..core.errors import UserError
from ..core.files import replacing
from ..core.performance import Performance
from . import backend_settings

KEPT = 200
KEPT_BYTES = 4 << 30
"""An hour of motion takes 200 MB."""


def new_name() -> str:
    return uuid.uuid4().hex


def write(path: Path, take: Performance, check: Callable[[], None] = lambda: None) -> None:
    """Keep a take. A full disk loses the take, not the performance: then there is nothing under its name.

    check: raises when nobody wants it any more; then there is nothing under its name either.
    """
    meta = {"fps": take.rhythm.fps, "skeleton": take.rhythm.skeleton.to_json(), "report": take.report()}
    with contextlib.suppress(OSError, UserError):
        with replacing(path) as temporary:
            with temporary.open("wb") as file:
                wire.write(file, meta, wire.motion_arrays("rhythm", take.rhythm))
            check()
        _prune(path.parent)


def path_of(name: str) -> Path:
    """Where a take lies, if it is on this machine."""
    return backend_settings.user_folder("takes") / (("".join(c for c in name if c.isalnum()) or "none") + ".npz")


def forget(path: Path) -> None:
    """Remove a take that no strip came to need."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    """The oldest go when there are too many, or too many bytes of them; never the newest."""
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for number, file in enumerate(files):
        total += file.stat().st_size
        if number and (number >= KEPT or total > KEPT_BYTES):
            file.unlink(missing_ok=True)
