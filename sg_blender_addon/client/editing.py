"""The work behind single edits: another gesture, another variant, moved gestures, a range made anew.

The rhythm of a take is kept; the backend lays the rearranged gestures over it again. Runs in a job's worker thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core import rotations as rot
from ..core import wire
from ..core.errors import UserError
from ..core.motion import Motion
from ..core.performance import Performance
from ..core.protocol import BLENDS
from ..core.timeline import Segment
from .api import Api
from .connection import BackendChoice, Connection
from .generation import GenerateRequest, generate, with_restart
from .job import Control

FADE_S = 0.4


@dataclass(frozen=True)
class VariantInfo:
    """One way to make a gesture; `stroke`: seconds from its start to the instant that belongs on the word."""

    number: int
    hand: str
    seconds: float
    stroke: float


@dataclass(frozen=True)
class GestureInfo:
    """A gesture of the backend's library. words: what the examples' gestures are made on; preview: what it shows."""

    id: str
    label: str
    description: str
    variants: tuple[VariantInfo, ...]
    meanings: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    preview: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GestureInfo:
        variants = tuple(
            VariantInfo(int(v["number"]), str(v.get("hand", "")), float(v["seconds"]), float(v["phases"]["stroke"]))
            for v in data["variants"]
        )
        examples = data.get("examples", ())
        return cls(
            str(data["id"]),
            str(data["label"]),
            str(data.get("description", "")),
            variants,
            tuple(str(text) for text in data.get("meanings", ())),
            tuple(str(example["text"]) for example in examples),
            tuple(dict.fromkeys(str(example["word"]) for example in examples)),
            str(data.get("picture", "")),
        )


@dataclass(frozen=True)
class Rearrangement:
    """Gestures to lay over a take's rhythm: those that stay as they are, and those that are new or changed.

    take: file of the take. `natural` segments get the times of their variant around their stroke; others keep theirs.
    weights: whose tokenizer blends; the ones that the take was generated with, as far as anybody knows.
    """

    backend: BackendChoice
    take: Path
    stay: tuple[Segment, ...]
    placed: tuple[Segment, ...]
    natural: bool
    library: str = "starter"
    weights: str = "starter"


@dataclass(frozen=True)
class Rearranged:
    """The new take, and the placed segments with the times and the blend they got, in the order asked for."""

    take: Performance
    placed: tuple[Segment, ...]


def catalogue(api: Api, library: str = "starter") -> tuple[GestureInfo, ...]:
    """All gestures of the backend's library by label."""
    try:
        return tuple(GestureInfo.from_json(item) for item in api.gestures(library=library))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The backend's list of gestures cannot be read.",
            "Add-on and backend must have the same version.",
            "backend_failed",
        ) from error


def read_take(path: Path) -> Motion:
    """The rhythm of a kept take; UserError when it is not on this machine."""
    try:
        with path.open("rb") as file:
            meta, arrays = wire.unpack(file)
    except OSError as error:
        raise UserError(
            "The motion behind these gestures is not on this machine any more.",
            "Generate once more; locked and changed gestures stay.",
            "take_missing",
        ) from error
    return wire.motion_from("rhythm", meta, arrays)


def rearrange(connection: Connection, request: Rearrangement, control: Control) -> Rearranged:
    """Blend the gestures over the take's rhythm again."""
    rhythm = read_take(request.take)

    def call(api: Api) -> Rearranged:
        placed = request.placed
        if request.natural:
            control.report("Looking up the gesture", 0.2)
            known = {gesture.id: gesture for gesture in catalogue(api, request.library)}
            placed = tuple(with_natural_times(s, known, (len(rhythm) - 1) / rhythm.fps) for s in placed)
        control.report("Blending gestures", 0.4)
        segments = _in_time((*request.stay, *placed))
        blended = _blended(api, rhythm, segments, request.library, request.weights)
        became = dict(zip(segments, blended.segments, strict=True))
        return Rearranged(blended, tuple(became[segment] for segment in placed))

    return with_restart(connection, request.backend, control, call)


def with_natural_times(segment: Segment, known: Mapping[str, GestureInfo], seconds: float) -> Segment:
    """The segment with its variant's own preparation and end around its stroke, cut to the take's length."""
    gesture = known.get(segment.gesture_id)
    variant = next((v for v in gesture.variants if v.number == segment.variant), None) if gesture else None
    if gesture is None or variant is None:
        raise UserError(
            f"The backend's library has no variant {segment.variant} of gesture {segment.gesture_id}.",
            "Choose another gesture.",
            "unknown_gesture",
        )
    start = segment.stroke - variant.stroke
    return replace(segment, label=gesture.label, start=max(0.0, start), end=min(seconds, start + variant.seconds))


def regenerate_range(connection: Connection, request: GenerateRequest, take: Path, control: Control) -> Performance:
    """Generate anew, and take of it only the request's range; before and after it the old rhythm goes on."""
    old = read_take(take)
    settings = request.settings
    if settings.range_start is None or settings.range_end is None:
        raise ValueError("a request for a range needs range_start and range_end")
    new = generate(connection, request, control)
    if len(new.rhythm) != len(old):
        raise UserError(
            "The voice is not the one that these gestures were made for.", "Generate all of it once.", "take_differs"
        )
    rhythm = splice(old, new.rhythm, settings.range_start, settings.range_end)

    def call(api: Api) -> Performance:
        blended = _blended(api, rhythm, _in_time(new.segments), settings.library, settings.weights)
        return replace(new, rhythm=blended.rhythm, merged=blended.merged, segments=blended.segments)

    return with_restart(connection, request.backend, control, call)


def splice(outside: Motion, inside: Motion, start: float, end: float, fade: float = FADE_S) -> Motion:
    """`inside` between start and end seconds, `outside` elsewhere, with soft changes inside the range.

    The root follows the outer path plus the inner one's own movement, brought back by the end of the range: a character
    that wandered elsewhere in the new motion does not jump.
    """
    seconds = np.arange(len(outside)) / outside.fps
    fade = max(1e-6, min(fade, (end - start) / 2))
    ramp = np.clip(np.minimum(seconds - start, end - seconds) / fade, 0.0, 1.0)
    weight = ramp * ramp * (3 - 2 * ramp)
    rotations = rot.slerp(outside.rotations, inside.rotations, weight[:, None])
    drift = inside.root_positions - outside.root_positions
    ends = [int(np.clip(round(t * outside.fps), 0, len(outside) - 1)) for t in (start, end)]
    share = np.clip((seconds - start) / max(end - start, 1e-6), 0.0, 1.0)[:, None]
    own = drift - (1 - share) * drift[ends[0]] - share * drift[ends[1]]
    return replace(outside, root_positions=outside.root_positions + weight[:, None] * own, rotations=rotations)


def _in_time(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    return tuple(sorted(segments, key=lambda segment: segment.start))


def _blended(api: Api, rhythm: Motion, segments: Sequence[Segment], library: str, weights: str) -> Performance:
    meta = {
        "fps": rhythm.fps,
        "skeleton": rhythm.skeleton.to_json(),
        "segments": [segment.to_json() for segment in segments],
        "library": library,
        "weights": weights,
    }
    answer, arrays = api.blend(meta, wire.motion_arrays("rhythm", rhythm))
    merged = wire.motion_from("merged", {**meta, **answer}, arrays)
    return Performance(rhythm, merged, (), _as_blended(segments, answer.get("blends")))


def _as_blended(segments: Sequence[Segment], blends: Any) -> tuple[Segment, ...]:
    """The segments with what the backend made of "auto"; one that says nothing leaves them as they were asked for."""
    if not isinstance(blends, list) or len(blends) != len(segments):
        return tuple(segments)
    known = (blend if blend in BLENDS else segment.blend for blend, segment in zip(blends, segments, strict=True))
    return tuple(replace(segment, blend=blend) for segment, blend in zip(segments, known, strict=True))
