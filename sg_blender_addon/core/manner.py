"""How somebody moves: the one record of style.

Everything that asks for a style (settings of a generation, assembly of training motion, and what is conditioned on it)
takes a `Manner`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, get_type_hints

from .errors import UserError
from .records import Range, Reader

_READER = Reader(
    "The manner",
    "The manner's",
    'Write a preset, numbers ("width=1.2"), or both: "calm,width=1.2".',
    "bad_settings",
)


@dataclass(frozen=True)
class Manner:
    """A style of moving; the defaults are an ordinary speaker.

    liveliness: how much and how often, 1 is ordinary. width: how far the hands go from the body, 1 is ordinary.
    hand: which hand leads, -1 only the left to 1 only the right, 0 either. formality: 0 casual (weight on one leg,
    self-touches) to 1 formal (upright, hands in front). speed: of strokes and preparations, 1 is ordinary.
    """

    liveliness: Annotated[float, Range(0.3, 2)] = 1.0
    width: Annotated[float, Range(0.5, 1.6)] = 1.0
    hand: Annotated[float, Range(-1, 1)] = 0.3
    formality: Annotated[float, Range(0, 1)] = 0.5
    speed: Annotated[float, Range(0.6, 1.6)] = 1.0

    def __post_init__(self) -> None:
        _READER.check(self)

    def to_json(self) -> dict[str, float]:
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Manner:
        """Raises UserError for anything but known names with numbers in range."""
        return _READER.read(cls, data)

    @classmethod
    def parse(cls, text: str) -> Manner:
        """From "calm", "width=1.2", or "calm, width=1.2": a preset or "ordinary" first, if any, then what differs."""
        manner = cls()
        for number, part in enumerate(p.strip() for p in text.split(",") if p.strip()):
            name, equals, value = (x.strip() for x in part.partition("="))
            if not equals:
                manner = _named(name, first=number == 0)
                continue
            if name not in {f.name for f in fields(cls)}:
                raise _READER.refuse(name, "is unknown")
            try:
                manner = replace(manner, **{name: float(value)})
            except ValueError:
                raise _READER.refuse(name, f"must be a number, not {value!r}") from None
        return manner


ORDINARY = Manner()
PRESETS: dict[str, Manner] = {
    "calm": Manner(liveliness=0.6, width=0.85, hand=0.3, formality=0.5, speed=0.88),
    "lively": Manner(liveliness=1.5, width=1.15, hand=0.25, formality=0.3, speed=1.12),
    "formal": Manner(liveliness=0.8, width=0.85, hand=0.3, formality=0.95, speed=0.95),
    "big stage": Manner(liveliness=1.5, width=1.4, hand=0.15, formality=0.6, speed=0.95),
    "shy": Manner(liveliness=0.5, width=0.65, hand=0.4, formality=0.6, speed=0.95),
}


NAMED: dict[str, Manner] = {"ordinary": ORDINARY, **PRESETS}
"""All that have a name."""


def limits(name: str) -> tuple[float, float]:
    """Least and greatest value of a field."""
    (allowed,) = get_type_hints(Manner, include_extras=True)[name].__metadata__
    return allowed.low, allowed.high


def _named(name: str, *, first: bool) -> Manner:
    if name.lower() not in NAMED:
        raise _not_understood(f"{name!r} is not a preset ({', '.join(NAMED)})")
    if not first:
        raise _not_understood(f"the preset {name!r} must come first")
    return NAMED[name.lower()]


def _not_understood(why: str) -> UserError:
    return _READER.refuse("", f"is not understood: {why}")
