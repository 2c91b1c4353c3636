"""Finished takes on disk, so that single gestures can be changed later without generating all over again.

A take is the backend's answer as it came. It lies in the extension's user folder under a random name that our strips
carry; a file that travels to another machine arrives without it, and then has to be generated anew.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..client.generation import Take
from ..core import wire
from ..core.errors import UserError
from . import machine

KEPT = 200


def save(take: Take) -> str:
    """Keep a take; returns its name. A full disk loses the take, not the performance: then the name finds nothing."""
    name = uuid.uuid4().hex
    meta = {**_without_arrays(take.report), "segments": [], "fps": take.rhythm.fps}
    meta["skeleton"] = take.rhythm.skeleton.to_json()
    with contextlib.suppress(OSError):
        path = _path(name)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(wire.pack(meta, wire.motion_arrays("rhythm", take.rhythm)))
        os.replace(temporary, path)
        _prune(path.parent)
    return name


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(meta, arrays) with the rhythm of a take; UserError when it is not on this machine."""
    try:
        return wire.unpack(_path(name).read_bytes())
    except OSError as error:
        raise UserError(
            "The motion behind these gestures is not on this machine any more.",
            "Generate once more; locked and changed gestures stay.",
            "take_missing",
        ) from error


def _path(name: str) -> Path:
    return machine.user_folder("takes") / (("".join(c for c in name if c.isalnum()) or "none") + ".npz")


def _prune(folder: Path) -> None:
    """The oldest go when there are too many."""
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[KEPT:]:
        file.unlink(missing_ok=True)


def _without_arrays(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in ("skeleton", "fps", "segments")}
