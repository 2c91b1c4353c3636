"""The phases of a gesture's clip (Kendon; McNeill): preparation, stroke, hold, retraction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phases:
    """Seconds from the clip's start; `stroke` is the instant that belongs on the word's onset."""

    stroke_start: float
    stroke: float
    stroke_end: float
    retraction: float
