"""What a generation job may ask for: the one definition that add-on, server, command line and batch share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from .manner import ORDINARY, Manner
from .records import Length, OneOf, Range, Reader
from .timeline import Segment

API_VERSION = 1
RETRIEVERS = ("embedded", "openai", "off")
ENGINES = ("faster-whisper", "openai-whisper")
BLENDS = ("auto", "motion", "codes")
MAX_SCRIPT_CHARACTERS = 2_000_000

SCRIPT_KINDS = ("txt", "srt", "vtt")
MOST_SECONDS = 1e6

Seconds = Annotated[float, Range(0, MOST_SECONDS)]
_READER = Reader(
    "The settings",
    "The setting",
    "Correct it and start again.",
    "bad_settings",
    unknown_hint="Update the add-on or the backend so that both match.",
    own={Segment: Segment.from_json},
)


@dataclass(frozen=True)
class GenerateSettings:
    """Settings of one job. Times are seconds; None means "decide for me" or "all of it".

    audio_start, audio_end: the part of the file that is spoken (a strip's trims), in seconds of the file.
    speed: playback speed of the strip (2.0 is twice as fast); the result is timed as heard.
    script, script_kind: the words, if known: "txt", "srt" or "vtt".
    range_start, range_end: regenerate only this range (seconds as heard) and leave the rest of the timeline alone.
    manner: how the speaker moves.
    locked: segments that the animator placed; they stay where they are.
    temperature, top_k, top_p: sampling; None takes what the weights recommend.
    """

    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    fps: Annotated[float, Range(1, 240)] = 60.0
    intensity: Annotated[float, Range(0, 2)] = 1.0
    density: Annotated[float, Range(0, 1)] = 0.5
    manner: Manner = ORDINARY
    language: str = "en"
    retriever: Annotated[str, OneOf(*RETRIEVERS)] = "embedded"
    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = ""
    engine: Annotated[str, OneOf(*ENGINES)] = "faster-whisper"
    whisper_model: str = ""
    weights: str = "starter"
    library: str = "starter"
    script: Annotated[str, Length(MAX_SCRIPT_CHARACTERS)] = ""
    script_kind: Annotated[str, OneOf(*SCRIPT_KINDS)] = "txt"
    blend: Annotated[str, OneOf(*BLENDS)] = "auto"
    exact: bool = False
    temperature: Annotated[float, Range(0, 2)] | None = None
    top_k: Annotated[int, Range(0, 4096)] | None = None
    top_p: Annotated[float, Range(0, 1)] | None = None
    audio_start: Seconds | None = None
    audio_end: Seconds | None = None
    speed: Annotated[float, Range(0.05, 20)] = 1.0
    range_start: Seconds | None = None
    range_end: Seconds | None = None
    locked: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        _READER.check(self)
        for first, last in (("audio_start", "audio_end"), ("range_start", "range_end")):
            start, end = getattr(self, first), getattr(self, last)
            if start is not None and end is not None and end <= start:
                raise _READER.refuse(last, f"must be later than {first}")

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that older servers understand newer clients as far as they can."""
        data: dict[str, Any] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value != f.default:
                data[f.name] = _plain(value)
        return data

    @classmethod
    def from_json(cls, data: Any) -> GenerateSettings:
        """Raises UserError for unknown names, wrong types and values out of range."""
        return _READER.read(cls, data)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [segment.to_json() for segment in value]
    return value.to_json() if isinstance(value, Manner) else value
