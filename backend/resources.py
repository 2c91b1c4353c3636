"""What is loaded once and kept: weights, gesture libraries, and the last recordings' words and features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backend.cache import CodeCache, LeastRecentlyUsed

if TYPE_CHECKING:
    from backend.models.weights import Weights
    from SG_dataset.library import Library

KEPT_MODELS = 2
KEPT_RECORDINGS = 4


class Resources:
    """Shared by all jobs of a process. device: "auto" takes the GPU where there is one."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._weights = LeastRecentlyUsed(KEPT_MODELS)
        self._libraries = LeastRecentlyUsed(KEPT_MODELS)
        self.words = LeastRecentlyUsed(KEPT_RECORDINGS)
        self.features = LeastRecentlyUsed(KEPT_RECORDINGS)
        self._codes: CodeCache | None = None

    @property
    def codes(self) -> CodeCache:
        """Encoded gestures."""
        if self._codes is None:
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
        from SG_dataset.open import OVER_OURS, open_library

        key = (where, _changed(where.removesuffix(OVER_OURS), "library.zip"))
        library: Library = self._libraries.get(key, lambda: open_library(where))
        return library


def _changed(where: str, name: str) -> float:
    """When a folder's file was last written, so that new weights of the same name are noticed; 0 for our own."""
    try:
        return (Path(where) / name).stat().st_mtime
    except OSError:
        return 0.0
