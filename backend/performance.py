"""What a job makes: both motions, the words, the gestures and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, Any

from sg_blender_addon.core import wire
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.timeline import Segment, Word
from sg_blender_addon.core.wire import motion_arrays


@dataclass(frozen=True, eq=False)
class Performance:
    """What a job makes. rhythm and merged have the same frames; times are seconds from the start of the audio."""

    rhythm: Motion
    merged: Motion
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    audio_info: dict[str, Any]
    timing: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """REPORT.json."""
        return {
            "audio": self.audio_info,
            "words": [w.to_json() for w in self.words],
            "segments": [s.to_json() for s in self.segments],
            "timing": {name: round(value, 4) for name, value in self.timing.items()},
            "warnings": list(self.warnings),
        }

    def write(self, file: IO[bytes]) -> None:
        """The result of a job: report, frame rate, skeleton and both motions, as `wire` has them."""
        meta = {**self.report(), "fps": self.merged.fps, "skeleton": self.merged.skeleton.to_json()}
        wire.write(file, meta, {**motion_arrays("rhythm", self.rhythm), **motion_arrays("merged", self.merged)})
