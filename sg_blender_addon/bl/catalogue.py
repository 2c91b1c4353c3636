"""The gestures one can choose from: asked of the backend once per library, then remembered on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..client.editing import GestureInfo, VariantInfo
from ..core.errors import UserError
from ..core.files import replacing
from . import backend_settings

_read: dict[Path, tuple[float, tuple[GestureInfo, ...]]] = {}


def gestures() -> tuple[GestureInfo, ...]:
    """What the library of the preferences has, as far as it has ever been asked; by label."""
    path = file_of(backend_settings.library())
    try:
        changed = path.stat().st_mtime
    except OSError:
        return ()
    known = _read.get(path)
    if known is None or known[0] != changed:
        known = _read[path] = (changed, _load(path))
    return known[1]


def find(gesture_id: str) -> GestureInfo | None:
    return next((gesture for gesture in gestures() if gesture.id == gesture_id), None)


def remember(path: Path, found: Sequence[GestureInfo]) -> None:
    """Keep a library's list. A disk that refuses costs the picker its list, nothing else. Needs no Blender."""
    with contextlib.suppress(UserError), replacing(path) as temporary:
        temporary.write_text(json.dumps([asdict(gesture) for gesture in found]), "utf-8")


def file_of(library: str) -> Path:
    """Where a library's list is kept."""
    name = hashlib.sha256(library.encode()).hexdigest()[:16]
    return backend_settings.user_folder("gestures") / f"{name}.json"


def _load(path: Path) -> tuple[GestureInfo, ...]:
    try:
        return tuple(_gesture(item) for item in json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _gesture(item: dict[str, Any]) -> GestureInfo:
    variants = tuple(VariantInfo(**variant) for variant in item["variants"])
    return GestureInfo(
        item["id"],
        item["label"],
        item["description"],
        variants,
        tuple(item["meanings"]),
        tuple(item["examples"]),
        tuple(item["words"]),
        item["preview"],
    )
