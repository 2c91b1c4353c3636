"""A performance as clips, one for each strip to be: numbers only, so that any thread can make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .arrays import Floats
from .channels import Channel, channels
from .errors import UserError
from .joint_groups import LOWER_BODY
from .motion import Motion, concatenate
from .performance import Performance
from .retarget import Retargeted, retarget
from .strip_plan import Span, plan_spans, segment_motion
from .target_rig import TargetRig
from .timeline import Segment

_CHANGED = 2e-3  # a channel that moves less than this (a quarter of a degree, 2 mm) is not part of a gesture


@dataclass(frozen=True, eq=False)
class Clip:
    """Pose channels with one row per scene frame; span: the gesture's place, None for the rhythm."""

    span: Span | None
    channels: Sequence[Channel]

    @property
    def keys(self) -> int:
        return sum(c.values.size for c in self.channels)


def seconds(performance: Performance) -> float:
    """How long it lasts, from its first frame to its last."""
    return (len(performance.rhythm) - 1) / performance.rhythm.fps


def whole(performance: Performance, rig: TargetRig, fps: float) -> list[Clip]:
    """The rhythm's clip and one for each gesture in order of time, at `fps` frames per second of the scene."""
    _check(performance)
    spans = plan_spans(performance.rhythm, performance.merged, performance.segments)
    return [_rhythm(performance, rig, fps), *_gestures(performance, spans, rig, fps)]


def of_segments(performance: Performance, wanted: Sequence[Segment], rig: TargetRig, fps: float) -> list[Clip]:
    """The clips of single gestures; UserError if one does not lie within the performance."""
    _check(performance)
    spans = plan_spans(performance.rhythm, performance.merged, performance.segments)
    return _gestures(performance, [_span_of(spans, segment) for segment in wanted], rig, fps)


def _check(performance: Performance) -> None:
    rhythm, merged = performance.rhythm, performance.merged
    if len(rhythm) < 2 or len(rhythm) != len(merged) or rhythm.fps != merged.fps:
        raise UserError("The generated motion is too short to be used.", "Use a longer recording.", "motion_too_short")
    arrays = (rhythm.root_positions, rhythm.rotations, merged.root_positions, merged.rotations)
    if not all(np.isfinite(a).all() for a in arrays):
        raise UserError("The generated motion contains invalid numbers.", "Generate again.", "bad_motion_data")


def _span_of(spans: Sequence[Span], segment: Segment) -> Span:
    span = next((s for s in spans if s.segment == segment), None)
    if span is None:
        raise UserError(
            f"{segment.label} does not lie within the performance.", "Move it, or generate again.", "segment_outside"
        )
    return span


def _times(start: float, end: float, fps: float) -> Floats:
    """Seconds of one key per scene frame, from start until end is reached."""
    return start + np.arange(max(2, int(np.ceil((end - start) * fps - 1e-6)) + 1)) / fps


def _origin(performance: Performance) -> tuple[float, float]:
    x, _, z = performance.rhythm.root_positions[0]
    return float(x), float(z)


def _rhythm(performance: Performance, rig: TargetRig, fps: float) -> Clip:
    motion = performance.rhythm.at(_times(0.0, seconds(performance), fps))
    return Clip(None, channels(rig, retarget(motion, rig, _origin(performance))))


def _gestures(performance: Performance, spans: Sequence[Span], rig: TargetRig, fps: float) -> list[Clip]:
    """The merged motion over each span on every channel that the gesture changes."""
    clips = []
    for span, (below, above) in zip(spans, _poses(performance, spans, rig, fps), strict=True):
        rhythm = channels(rig, below)
        clips.append(Clip(span, _changed(rig, rhythm, channels(rig, above, like=rhythm))))
    return clips


def _poses(
    performance: Performance, spans: Sequence[Span], rig: TargetRig, fps: float
) -> list[tuple[Retargeted, Retargeted]]:
    """(rhythm, merged) poses of every span.

    All go through retargeting as one clip: it works frame by frame, and short arrays would cost mostly overhead.
    """
    rhythm, merged = performance.rhythm, performance.merged
    motions: list[Motion] = []
    for span in spans:
        times = _times(span.start, span.end, fps)
        motions += [rhythm.at(times), segment_motion(rhythm, merged, span, times)]
    if not motions:
        return []
    posed = retarget(concatenate(motions), rig, _origin(performance))
    ends = np.cumsum([0, *(len(m) for m in motions)])
    parts = [posed.slice(a, b) for a, b in pairwise(ends.tolist())]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _changed(rig: TargetRig, below: Sequence[Channel], above: Sequence[Channel]) -> list[Channel]:
    """Channels that move; hips and legs go together, or the feet would leave the ground when the strip is moved."""
    lower = {rig.names[rig.joints[j]] for j in LOWER_BODY if j in rig.joints}
    size = {"location": 100 * rig.scale}  # locations count in metres of the character's own size
    moved = [
        np.abs(a.values - b.values).max() > _CHANGED * size.get(a.path, 1.0) for a, b in zip(above, below, strict=True)
    ]
    with_legs = any(m for m, c in zip(moved, above, strict=True) if c.bone in lower)
    chosen = [c for m, c in zip(moved, above, strict=True) if m or (with_legs and c.bone in lower)]
    return chosen or [c for c in above if c.bone == rig.names[rig.joints.get("RightHand", 0)]] or list(above)
