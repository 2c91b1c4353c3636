"""How somebody moves: the one record of style.

Everything that asks for a style (assembly of training motion, and what is conditioned on it) takes a `Manner`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .errors import UserError

_RANGES: dict[str, tuple[float, float]] = {
    "liveliness": (0.3, 2.0),
    "width": (0.5, 1.6),
    "hand": (-1.0, 1.0),
    "formality": (0.0, 1.0),
    "speed": (0.6, 1.6),
}


@dataclass(frozen=True)
class Manner:
    """A style of moving; the defaults are an ordinary speaker.

    liveliness: how much and how often, 1 is ordinary. width: how far the hands go from the body, 1 is ordinary.
    hand: which hand leads, -1 only the left to 1 only the right, 0 either. formality: 0 casual (weight on one leg,
    self-touches) to 1 formal (upright, hands in front). speed: of strokes and preparations, 1 is ordinary.
    """

    liveliness: float = 1.0
    width: float = 1.0
    hand: float = 0.3
    formality: float = 0.5
    speed: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _refuse(f"{name} must be a number, not {value!r}")
            if not (math.isfinite(value) and low <= value <= high):
                raise _refuse(f"{name} must lie between {low:g} and {high:g}, not {value:g}")

    def to_json(self) -> dict[str, float]:
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Manner:
        """Raises UserError for anything but known names with numbers in range."""
        if not isinstance(data, dict):
            raise _refuse("it must be a table of numbers")
        _known(data)
        return cls(**data)

    @classmethod
    def parse(cls, text: str) -> Manner:
        """From "calm", "width=1.2", or "calm, width=1.2": a preset first, if any, then what differs."""
        manner = cls()
        for number, part in enumerate(p.strip() for p in text.split(",") if p.strip()):
            name, equals, value = (x.strip() for x in part.partition("="))
            if not equals:
                if number or name.lower() not in PRESETS:
                    raise _refuse(f"{part!r} is not a preset" if not number else f"{part!r} must come first")
                manner = PRESETS[name.lower()]
                continue
            _known({name: value})
            try:
                manner = replace(manner, **{name: float(value)})
            except ValueError:
                raise _refuse(f"{name} must be a number, not {value!r}") from None
        return manner


PRESETS: dict[str, Manner] = {
    "calm": Manner(liveliness=0.6, width=0.85, hand=0.3, formality=0.5, speed=0.88),
    "lively": Manner(liveliness=1.5, width=1.15, hand=0.25, formality=0.3, speed=1.12),
    "formal": Manner(liveliness=0.8, width=0.85, hand=0.3, formality=0.95, speed=0.95),
    "big stage": Manner(liveliness=1.5, width=1.4, hand=0.15, formality=0.6, speed=0.95),
    "shy": Manner(liveliness=0.5, width=0.65, hand=0.4, formality=0.6, speed=0.95),
}


def limits(name: str) -> tuple[float, float]:
    """Least and greatest value of a field."""
    return _RANGES[name]


def _known(names: Any) -> None:
    allowed = [f.name for f in fields(Manner)]
    for name in names:
        if name not in allowed:
            raise _refuse(f"there is no {name!r} in it")


def _refuse(why: str) -> UserError:
    known = ", ".join(PRESETS)
    return UserError(
        f"The manner is not understood: {why}.",
        f'Write a preset ({known}), numbers ("width=1.2"), or both: "calm,width=1.2".',
        "bad_settings",
    )
