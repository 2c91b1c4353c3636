"""What a generation makes: both motions, the words, the gestures and how it went; and its way over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from . import wire
from .errors import UserError
from .motion import Motion
from .timeline import Segment, Word


@dataclass(frozen=True, eq=False)
class Performance:
    """rhythm and merged: canonical motions of the same frames, without and with the gestures.

    Times are seconds from the start of the audio. audio_info and timing: as REPORT.json has them (docs/protocol.md).
    """

    rhythm: Motion
    merged: Motion
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    audio_info: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """REPORT.json."""
        return {
            "audio": dict(self.audio_info),
            "words": [w.to_json() for w in self.words],
            "segments": [s.to_json() for s in self.segments],
            "timing": {name: round(value, 4) for name, value in self.timing.items()},
            "warnings": list(self.warnings),
        }

    def write(self, file: IO[bytes]) -> None:
        """The result of a job: report, frame rate, skeleton and both motions, as `wire` has them."""
        meta = {**self.report(), "fps": self.merged.fps, "skeleton": self.merged.skeleton.to_json()}
        motions = {**wire.motion_arrays("rhythm", self.rhythm), **wire.motion_arrays("merged", self.merged)}
        wire.write(file, meta, motions)

    @classmethod
    def from_wire(cls, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> Performance:
        """What `write` wrote, unpacked. UserError when the answer is not a performance."""
        try:
            words = tuple(Word.from_json(item) for item in meta.get("words", ()))
            segments = tuple(Segment.from_json(item) for item in meta.get("segments", ()))
            audio_info = dict(meta.get("audio", {}))
            timing = {str(name): float(value) for name, value in meta.get("timing", {}).items()}
            warnings = tuple(str(text) for text in meta.get("warnings", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                "The backend's answer cannot be read.",
                "Add-on and backend must have the same version.",
                "bad_motion_data",
            ) from error
        rhythm, merged = wire.motion_from("rhythm", meta, arrays), wire.motion_from("merged", meta, arrays)
        return cls(rhythm, merged, words, segments, audio_info, timing, warnings)
