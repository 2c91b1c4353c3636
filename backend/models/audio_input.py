"""What generators hear of the standardised audio features, in training and at inference alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from backend.models.config import AUDIO_FEATURES

EVERYTHING = ((0, AUDIO_FEATURES),)


@dataclass(frozen=True)
class AudioInput:
    """clip: how far, in standard deviations, any feature may be from its mean (0: as far as it is). columns: the spans
    (start, end) of features that are heard; the others are at their mean, which is 0 standardised.

    The default is the reference's: everything, as it is. The tempogram looks at 51 s, so its mean and its outliers grow
    with a recording's length: generators trained on short clips must not hear it.
    """

    clip: float = 0.0
    columns: tuple[tuple[int, int], ...] = EVERYTHING

    def __post_init__(self) -> None:
        """ValueError for spans that are empty, out of order or beyond the features, and for a negative clip."""
        edges = [edge for span in self.columns for edge in span]
        fits = edges == sorted(set(edges)) and all(0 <= e <= AUDIO_FEATURES for e in edges) and len(edges) > 0
        if not fits or not 0 <= self.clip < np.inf:
            raise ValueError(f"no such audio_input: clip {self.clip}, columns {self.columns}")

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """(437,): the features that are not heard."""
        hidden = np.ones(AUDIO_FEATURES, dtype=bool)
        for start, end in self.columns:
            hidden[start:end] = False
        return hidden

    def apply(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Standardised rows (T, 437) as they are heard; in place."""
        if self.clip:
            np.clip(rows, -self.clip, self.clip, out=rows)
        if self.columns != EVERYTHING:
            rows[..., self.hidden] = 0.0
        return rows

    def to_json(self) -> dict[str, Any]:
        return {"clip": self.clip, "columns": [list(span) for span in self.columns]}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """ValueError for what is no audio_input."""
        if not isinstance(data, dict) or set(data) != {"clip", "columns"}:
            raise ValueError("it must have clip and columns")
        clip, columns = data["clip"], data["columns"]
        if isinstance(clip, bool) or not isinstance(clip, int | float) or not isinstance(columns, list):
            raise ValueError("clip must be a number and columns a list")
        if not all(isinstance(s, list) and len(s) == 2 and all(type(e) is int for e in s) for s in columns):
            raise ValueError("columns must be pairs of whole numbers")
        return cls(float(clip), tuple((s[0], s[1]) for s in columns))
