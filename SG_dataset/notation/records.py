"""What a gesture file says, as records: sentences, keys of hands and body, variants, the gesture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """A sentence and the word in it that is gestured."""

    text: str
    word: str


@dataclass(frozen=True)
class Cycle:
    """A movement repeated `times` within a phase: to and fro (`shake`), away and back (`tap`) or round (`circle`)."""

    times: float
    style: str = "shake"
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    circle: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    grow: bool = False
    wave: float = 0.0
    flap: float = 0.0
    twist: float = 0.0
    shape: str = ""
    decay: float = 0.0


@dataclass(frozen=True)
class HandKey:
    """Where a hand is at the end of a phase. Directions and offsets as the left hand sees them (out, up, forward)."""

    rest: bool = False
    anchor: str = ""  # a landmark, "zone", or "other" for a point of the other hand
    other_point: str = ""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    point: str = "centre"
    touching: bool = False
    gap: float = 0.0
    palm: tuple[float, float, float] = (0.0, -1.0, 0.0)
    fingers: tuple[float, float, float] = (0.0, 0.0, 1.0)
    roll: float = 0.0
    shape: str = "relaxed"
    elbow: float = 0.0
    shoulder: float = 0.0
    arc: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cycle: Cycle | None = None


@dataclass(frozen=True)
class Key:
    """The end of a phase: its kind, how long it takes to get there, and every channel's value there."""

    phase: str
    seconds: float
    hands: Mapping[str, HandKey]
    body: Mapping[str, float]
    body_cycles: Mapping[str, tuple[Cycle, Mapping[str, float]]] = field(default_factory=dict)
    accent: float | None = None
    stop: bool = False
    gaze: str = ""


@dataclass(frozen=True)
class VariantSpec:
    """How a variant differs: hand, size and tempo factors, more repetitions, shift of free places, its movement."""

    number: int
    hand: str = "right"
    size: float = 1.0
    tempo: float = 1.0
    times: float = 0.0
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    elbow: float = 0.0
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class GestureSpec:
    """One gesture file."""

    id: str
    label: str
    description: str
    meanings: tuple[str, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, Any]
    variants: tuple[VariantSpec, ...]
    participation: float = 1.0
    similar: Mapping[str, str] = field(default_factory=dict)
