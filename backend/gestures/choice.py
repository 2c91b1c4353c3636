"""What retrieval answers and placing asks for: a gesture on a word."""

from __future__ import annotations

from dataclasses import dataclass

from sg_blender_addon.core.timeline import Alternative


@dataclass(frozen=True)
class Choice:
    """A gesture for a word; `alternatives` are the next best for the same word, best first."""

    word_index: int
    gesture_id: str
    confidence: float
    alternatives: tuple[Alternative, ...] = ()
