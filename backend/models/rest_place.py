"""Where hands rest in the motion that weights were trained on: what posture is planned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

NUMBERS = 6
FARTHEST = 300.0  # cm


@dataclass(frozen=True)
class RestPlace:
    """formal: 0 casual to 1 formal. held: 0 hanging to 1 holding on. place: where the hands are, cm from the chest
    joint in its frame: left x y z, right x y z."""

    formal: float
    held: float
    place: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {"formal": self.formal, "held": self.held, "place": list(self.place)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """ValueError for what is no rest."""
        try:
            rest = cls(float(data["formal"]), float(data["held"]), tuple(float(x) for x in data["place"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"a rest cannot be read ({error})") from error
        numbers = (rest.formal, rest.held, *rest.place)
        if len(rest.place) != NUMBERS or not all(np.isfinite(numbers)) or max(map(abs, rest.place)) > FARTHEST:
            raise ValueError("a rest needs six numbers for its place")
        if not (0 <= rest.formal <= 1 and 0 <= rest.held <= 1):
            raise ValueError("how formal and how held a rest is must lie between 0 and 1")
        return rest
