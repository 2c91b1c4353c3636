"""The records of a performance's timeline, as they stand in REPORT.json, in job results and on Blender's Actions.

All times are seconds from the start of the audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Word:
    """A spoken word with its punctuation, as written."""

    text: str
    start: float
    end: float

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "start": round(self.start, 3), "end": round(self.end, 3)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Word:
        return cls(str(data["text"]), float(data["start"]), float(data["end"]))


@dataclass(frozen=True)
class Alternative:
    """Another gesture that the retriever would have accepted for the word."""

    gesture_id: str
    label: str
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "confidence": round(self.confidence, 4)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Alternative:
        return cls(str(data["gesture_id"]), str(data["label"]), float(data["confidence"]))


@dataclass(frozen=True)
class Segment:
    """One semantic gesture in its place.

    start: preparation begins; stroke: the instant that falls on the word; end: the retraction is over. `variant` is
    the library's number (from 1). word_index counts the report's words from 0, -1 where a gesture sits on no word.
    `locked` segments were placed by the animator and are not moved.
    """

    gesture_id: str
    label: str
    variant: int
    word: str
    word_index: int
    start: float
    stroke: float
    end: float
    confidence: float
    alternatives: tuple[Alternative, ...] = ()
    locked: bool = False
    blend: str = "motion"

    def to_json(self) -> dict[str, Any]:
        data = dict(vars(self))
        for name in ("start", "stroke", "end", "confidence"):
            data[name] = round(data[name], 4)
        data["alternatives"] = [a.to_json() for a in self.alternatives]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Segment:
        return cls(
            gesture_id=str(data["gesture_id"]),
            label=str(data["label"]),
            variant=int(data["variant"]),
            word=str(data.get("word", "")),
            word_index=int(data.get("word_index", -1)),
            start=float(data["start"]),
            stroke=float(data["stroke"]),
            end=float(data["end"]),
            confidence=float(data.get("confidence", 1.0)),
            alternatives=tuple(Alternative.from_json(a) for a in data.get("alternatives", ())),
            locked=bool(data.get("locked", False)),
            blend=str(data.get("blend", "motion")),
        )
