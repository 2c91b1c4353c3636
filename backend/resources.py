"""What is loaded once and kept: weights, gesture libraries, and the last recordings' words and features."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.models.weights import Weights
    from backend.motion.blend_codes import CodeCache
    from SG_dataset.library import Library

KEPT_MODELS = 2
KEPT_RECORDINGS = 4


class Memory:
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


class Resources:
    """Shared by all jobs of a process. device: "auto" takes the GPU where there is one."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._weights = Memory(KEPT_MODELS)
        self._libraries = Memory(KEPT_MODELS)
        self.words = Memory(KEPT_RECORDINGS)
        self.features = Memory(KEPT_RECORDINGS)
        self._codes: CodeCache | None = None

    @property
    def codes(self) -> CodeCache:
        """Encoded gestures."""
        if self._codes is None:
            from backend.motion.blend_codes import CodeCache

            self._codes = CodeCache()
        return self._codes

    @property
    def device(self) -> str:
        if self._device == "auto":
            import torch

            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        return self._device

    def weights(self, where: str = "starter") -> Weights:
        """Raises UserError where they are missing or damaged."""
        from backend.models.weights import Weights

        key = (where, _changed(where, "weights.json"))
        weights: Weights = self._weights.get(key, lambda: Weights.load(where, self.device))
        return weights

    def library(self, where: str = "starter") -> Library:
        """Raises UserError where it is missing or damaged."""
        from SG_dataset.library import OVER_OURS, Library

        key = (where, _changed(where.removesuffix(OVER_OURS), "library.zip"))
        library: Library = self._libraries.get(key, lambda: Library.load(where))
        return library


def _changed(where: str, name: str) -> float:
    """When a folder's file was last written, so that new weights of the same name are noticed; 0 for our own."""
    try:
        return (Path(where) / name).stat().st_mtime
    except OSError:
        return 0.0
