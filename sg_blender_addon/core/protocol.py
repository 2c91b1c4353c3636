"""What a generation job may ask for: the one definition that add-on, server, command line and batch share."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from .errors import UserError
from .timeline import Segment

API_VERSION = 1
RETRIEVERS = ("embedded", "openai", "off")
ENGINES = ("faster-whisper", "openai-whisper")
BLENDS = ("auto", "motion", "codes")
MAX_SCRIPT_CHARACTERS = 2_000_000

_RANGES: dict[str, tuple[float, float]] = {
    "fps": (1.0, 240.0),
    "intensity": (0.0, 2.0),
    "density": (0.0, 1.0),
    "seed": (0, 2**31 - 1),
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 4096),
    "audio_start": (0.0, 1e6),
    "audio_end": (0.0, 1e6),
    "range_start": (0.0, 1e6),
    "range_end": (0.0, 1e6),
    "speed": (0.05, 20.0),
}


@dataclass(frozen=True)
class GenerateSettings:
    """Settings of one job. Times are seconds; None means "decide for me" or "all of it".

    audio_start, audio_end: the part of the file that is spoken (a strip's trims), in seconds of the file.
    speed: playback speed of the strip (2.0 is twice as fast); the result is timed as heard.
    script, script_kind: the words, if known: "txt", "srt" or "vtt".
    range_start, range_end: regenerate only this range (seconds as heard) and leave the rest of the timeline alone.
    locked: segments that the animator placed; they stay where they are.
    temperature, top_k, top_p: sampling; None takes what the weights recommend.
    """

    seed: int = 0
    fps: float = 60.0
    intensity: float = 1.0
    density: float = 0.5
    language: str = "en"
    retriever: str = "embedded"
    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = ""
    engine: str = "faster-whisper"
    whisper_model: str = ""
    weights: str = "starter"
    library: str = "starter"
    script: str = ""
    script_kind: str = "txt"
    blend: str = "auto"
    exact: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    audio_start: float | None = None
    audio_end: float | None = None
    speed: float = 1.0
    range_start: float | None = None
    range_end: float | None = None
    locked: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise _refuse(name, f"must lie between {low:g} and {high:g}")
        for name, allowed in (
            ("retriever", RETRIEVERS),
            ("engine", ENGINES),
            ("blend", BLENDS),
            ("script_kind", ("txt", "srt", "vtt")),
        ):
            if getattr(self, name) not in allowed:
                raise _refuse(name, f"must be one of {', '.join(allowed)}")
        if len(self.script) > MAX_SCRIPT_CHARACTERS:
            raise _refuse("script", f"must be shorter than {MAX_SCRIPT_CHARACTERS} characters")
        for first, last in (("audio_start", "audio_end"), ("range_start", "range_end")):
            start, end = getattr(self, first), getattr(self, last)
            if start is not None and end is not None and end <= start:
                raise _refuse(last, f"must be later than {first}")

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that older servers understand newer clients as far as they can."""
        data: dict[str, Any] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value != f.default:
                data[f.name] = [s.to_json() for s in value] if f.name == "locked" else value
        return data

    @classmethod
    def from_json(cls, data: Any) -> GenerateSettings:
        """Raises UserError for unknown names, wrong types and values out of range."""
        if not isinstance(data, dict):
            raise _refuse("settings", "must be a JSON object")
        fields = {f.name: f for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, value in data.items():
            if name not in fields:
                raise UserError(
                    f"The setting {name!r} is unknown.",
                    "Update the add-on or the backend so that both match.",
                    "bad_settings",
                )
            values[name] = _convert(name, value, fields[name])
        return cls(**values)


def _convert(name: str, value: Any, definition: dataclasses.Field[Any]) -> Any:
    if name == "locked":
        try:
            return tuple(Segment.from_json(s) for s in value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refuse(name, "must be a list of segments") from error
    kind = str(definition.type)
    if value is None:
        if "None" in kind:
            return None
        raise _refuse(name, "cannot be empty")
    if kind.startswith("bool"):
        if isinstance(value, bool):
            return value
    elif kind.startswith("str"):
        if isinstance(value, str):
            return value
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if kind.startswith("float"):
            return float(value)
        if value == int(value):
            return int(value)
    raise _refuse(name, f"has the wrong type ({type(value).__name__})")


def _refuse(name: str, why: str) -> UserError:
    return UserError(f"The setting {name!r} {why}.", "Correct it and start again.", "bad_settings")
