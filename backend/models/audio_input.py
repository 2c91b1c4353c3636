"""What generators hear, in training and at inference alike: which features, how far from the mean, which columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from backend.models.config import AUDIO_FEATURES, PROSODY_FEATURES, PROSODY_VOICE

EVERYTHING = ((0, AUDIO_FEATURES),)
WIDTHS = {"reference": AUDIO_FEATURES, "prosody": PROSODY_FEATURES}


@dataclass(frozen=True)
class AudioInput:
    """features: "reference" (`backend.speech.features`) or "prosody" (`backend.speech.prosody`, and the plan of posture
    and manner of `backend.motion.posture_plan`). clip: how far, in standard deviations, a feature may be from its mean
    (0: as far as it is). columns: the spans (start, end) of the reference's features that are heard; the others are at
    their mean, which is 0 standardised.

    The default is the reference's: everything, as it is. The tempogram looks at 51 s, so its mean and its outliers grow
    with a recording's length: generators trained on short clips must not hear it.
    """

    clip: float = 0.0
    columns: tuple[tuple[int, int], ...] = EVERYTHING
    features: str = "reference"

    def __post_init__(self) -> None:
        """ValueError for unknown features, spans that are empty, out of order or beyond them, and a negative clip."""
        edges = [edge for span in self.columns for edge in span]
        fits = edges == sorted(set(edges)) and all(0 <= e <= AUDIO_FEATURES for e in edges) and len(edges) > 0
        known = self.features == "reference" or (self.features in WIDTHS and self.columns == EVERYTHING)
        if not known or not fits or not 0 <= self.clip < np.inf:
            raise ValueError(f"no such audio_input: {self.features}, clip {self.clip}, columns {self.columns}")

    @property
    def width(self) -> int:
        """Numbers per token."""
        return WIDTHS[self.features]

    @property
    def voice(self) -> slice:
        """The columns that are the voice's: beside them stand, of prosody, posture and manner."""
        return slice(0, PROSODY_VOICE if self.features == "prosody" else self.width)

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """(width,): the features that are not heard."""
        if self.columns == EVERYTHING:
            return np.zeros(self.width, dtype=bool)
        hidden = np.ones(self.width, dtype=bool)
        for start, end in self.columns:
            hidden[start:end] = False
        return hidden

    def apply(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Standardised rows (T, width) as they are heard; in place."""
        if self.clip:
            np.clip(rows, -self.clip, self.clip, out=rows)
        if self.columns != EVERYTHING:
            rows[..., self.hidden] = 0.0
        return rows

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"clip": self.clip, "columns": [list(span) for span in self.columns]}
        return data if self.features == "reference" else {"features": self.features, "clip": self.clip}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """ValueError for what is no audio_input."""
        if not isinstance(data, dict):
            raise ValueError("it must be a table")
        features = data.get("features", "reference")
        if set(data) - {"features"} != ({"clip", "columns"} if features == "reference" else {"clip"}):
            raise ValueError("it must have clip and columns, or features and clip")
        clip, columns = data["clip"], data.get("columns", [list(span) for span in EVERYTHING])
        if isinstance(clip, bool) or not isinstance(clip, int | float) or not isinstance(columns, list):
            raise ValueError("clip must be a number and columns a list")
        if not all(isinstance(s, list) and len(s) == 2 and all(type(e) is int for e in s) for s in columns):
            raise ValueError("columns must be pairs of whole numbers")
        return cls(float(clip), tuple((s[0], s[1]) for s in columns), str(features))
