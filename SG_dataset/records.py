"""A library's gestures and variants as records: those that were read, and those to be written."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sg_blender_addon.core.motion import Motion
from SG_dataset.motion_codec import decode_motion
from SG_dataset.notation.records import Example
from SG_dataset.phases import Phases


@dataclass(frozen=True)
class Variant:
    """One way of making a gesture. `digest` names its motion's content, for caches."""

    gesture_id: str
    number: int
    phases: Phases
    hand: str
    seconds: float
    digest: str
    source: Path = field(repr=False)

    def motion(self) -> Motion:
        """The motion: 60 frames per second, canonical skeleton, from the shared rest pose and back to it."""
        with zipfile.ZipFile(self.source) as archive:
            return decode_motion(archive.read(f"motion/{self.gesture_id}-{self.number}"))


@dataclass(frozen=True)
class Gesture:
    """A gesture with its texts and variants; ids keep their leading zeros.

    `picture` names what its picture shows: another picture, another name. Empty if there is nothing to show."""

    id: str
    label: str
    description: str
    meanings: tuple[str, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, Any]
    variants: tuple[Variant, ...]
    picture: str = ""

    def to_json(self) -> dict[str, Any]:
        """The gesture as the command line's --json prints it."""
        return {
            "id": self.id,
            "label": self.label,
            "description": self.description,
            "meanings": list(self.meanings),
            "examples": [{"text": e.text, "word": e.word} for e in self.examples],
            "tags": dict(self.tags),
            "picture": self.picture,
            "variants": [
                {
                    "number": v.number,
                    "hand": v.hand,
                    "seconds": round(v.seconds, 3),
                    "phases": {k: round(x, 3) for k, x in vars(v.phases).items()},
                    "digest": v.digest,
                }
                for v in self.variants
            ],
        }


@dataclass(frozen=True)
class NewVariant:
    """A variant to be written into a library."""

    number: int
    motion: Motion
    phases: Phases
    hand: str


@dataclass(frozen=True)
class NewGesture:
    """A gesture to be written: texts, variants and a PNG picture (may be empty)."""

    id: str
    label: str
    description: str
    meanings: tuple[str, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, Any]
    variants: tuple[NewVariant, ...]
    picture: bytes = b""
