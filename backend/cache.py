"""What need not be made again: the last results in memory, small arrays in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing

MOST_CACHED = 4000


def cache_folder() -> Path:
    """The user's cache folder for this project (not created here): by environment, else where the system has caches."""
    if chosen := os.environ.get("GESTICULATOR_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "semantic_gesticulator"


def content_hash(parts: Sequence[str]) -> str:
    """A name for cached results of these texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()[:32]


class LeastRecentlyUsed:
    """The last few results by key; keys hold everything that a result depends on, so nothing goes stale."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._items: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        value = make()
        with self._lock:
            self._items[key] = value
            while len(self._items) > self._kept:
                self._items.popitem(last=False)
        return value


class CodeCache:
    """Small arrays by content hash, in memory and in the user's cache folder. A cache that fails costs only time."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "gesture-codes"
        self._memory: dict[str, npt.NDArray[np.float64]] = {}

    def get(self, key: str) -> npt.NDArray[np.float64] | None:
        if key not in self._memory:
            try:
                self._memory[key] = np.array(json.loads((self._folder / f"{key}.json").read_text("ascii")), dtype=float)
            except (OSError, ValueError):
                return None
        return self._memory[key]

    def put(self, key: str, value: npt.NDArray[np.float64]) -> None:
        self._memory[key] = value
        try:
            with replacing(self._folder / f"{key}.json") as temporary:
                temporary.write_text(json.dumps(value.tolist()), "ascii")
            self._prune()
        except (UserError, OSError):
            return

    def _prune(self) -> None:
        found = list(self._folder.glob("*.json"))
        if len(found) > MOST_CACHED:
            found.sort(key=lambda p: p.stat().st_mtime)
            for old in found[: len(found) // 4]:
                old.unlink(missing_ok=True)
