"""From a performance to NLA strips: how far each gesture's strip reaches and how it fades into what lies below.

A strip of a semantic gesture holds the merged motion; below it lies the rhythm. It must begin and end where the two
agree, and blend in and out besides, so that it stays continuous when an animator moves, stretches or mutes it.
All times are seconds from the start of the audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .arrays import Floats
from .motion import Motion
from .storage import blocks
from .timeline import Segment

_SAME = np.radians(0.3)  # joints closer than this are the same pose
_FURTHEST = 0.6  # seconds that a transition may reach beyond the gesture's own times
_CLOSE = 0.25  # neighbours nearer than this pass from one gesture to the next without visiting the rhythm
_FADE = 0.4
_SHORTEST = 0.08
_FRAME = 1 / 24  # seconds by which a strip, whole frames long, may be longer than its span


@dataclass(frozen=True)
class Span:
    """Where a gesture's strip lies and how long it blends in and out."""

    segment: Segment
    start: float
    end: float
    blend_in: float
    blend_out: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def plan_spans(rhythm: Motion, merged: Motion, segments: Sequence[Segment]) -> list[Span]:
    """One span per usable segment, in order of time; segments outside the motion are left out."""
    if len(rhythm) != len(merged):
        raise ValueError("rhythm and merged motion must have the same length")
    last = (len(merged) - 1) / merged.fps
    ordered = sorted((s for s in segments if s.start < last and s.end > max(s.start, 0.0)), key=lambda s: s.start)
    differing = _differs(rhythm, merged)
    spans = [
        _span(s, differing, merged.fps, _limit_before(ordered, i), _limit_after(ordered, i, last))
        for i, s in enumerate(ordered)
    ]
    return _two_at_most(_bridge(spans, differing, merged.fps))


def segment_motion(rhythm: Motion, merged: Motion, span: Span, times: Floats) -> Motion:
    """The merged motion at `times`, its root brought back to the rhythm's path at both ends of the span.

    A gesture may leave the root somewhere else than the rhythm does; without this its strip would slide the character.
    """
    ends = np.array([span.start, span.end])
    drift = merged.at(ends).root_positions - rhythm.at(ends).root_positions
    sampled = merged.at(times)
    share = np.clip((np.asarray(times) - span.start) / max(span.seconds, 1e-6), 0.0, 1.0)[:, None]
    return replace(sampled, root_positions=sampled.root_positions - drift[0] * (1 - share) - drift[1] * share)


def _differs(rhythm: Motion, merged: Motion) -> Floats:
    """Per frame whether any joint differs visibly (bool, F)."""
    result: Floats = np.empty(len(rhythm), bool)
    for part in blocks(len(rhythm), rhythm.rotations, merged.rotations):
        dots = np.abs(np.sum(rhythm.rotations[part] * merged.rotations[part], axis=-1))
        result[part] = (dots < np.cos(_SAME / 2)).any(axis=1)
    return result


def _limit_before(ordered: Sequence[Segment], i: int) -> float:
    """No further back than the middle of the pause since the previous gesture."""
    earlier = [s.end for s in ordered[:i]]
    return (max(earlier) + ordered[i].start) / 2 if earlier and max(earlier) < ordered[i].start else 0.0


def _limit_after(ordered: Sequence[Segment], i: int, last: float) -> float:
    later = [s.start for s in ordered[i + 1 :] if s.start >= ordered[i].end]
    return (ordered[i].end + min(later)) / 2 if later else last


def _span(segment: Segment, differing: Floats, fps: float, earliest: float, latest: float) -> Span:
    start = _reach(segment.start, differing, fps, -1, max(earliest, segment.start - _FURTHEST))
    end = _reach(segment.end, differing, fps, 1, min(latest, segment.end + _FURTHEST))
    start, end = max(start, 0.0), min(end, (len(differing) - 1) / fps)
    stroke = float(np.clip(segment.stroke, start, end))
    blend_in = float(np.clip(0.7 * (stroke - start), 0.0, _FADE))
    blend_out = float(np.clip(0.5 * (end - stroke), 0.0, _FADE))
    least = min(_SHORTEST, 0.4 * (end - start))
    return Span(segment, start, end, max(blend_in, least), max(blend_out, least))


def _reach(time: float, differing: Floats, fps: float, step: int, limit: float) -> float:
    """From `time` outwards to the first frame on which rhythm and merged agree, but not beyond `limit`."""
    frame = int(np.clip(np.floor(time * fps) if step < 0 else np.ceil(time * fps), 0, len(differing) - 1))
    while 0 <= frame < len(differing) and differing[frame] and (frame / fps - limit) * step < 0:
        frame += step
    reached = float(np.clip(frame, 0, len(differing) - 1)) / fps
    return min(time, max(reached, limit)) if step < 0 else max(time, min(reached, limit))


def _bridge(spans: list[Span], differing: Floats, fps: float) -> list[Span]:
    """Let a strip lie under its close successor until that is fully in, so that no dip to the rhythm comes between."""
    out = list(spans)
    for i, (a, b) in enumerate(pairwise(spans)):
        joined = b.start - a.end < _CLOSE and differing[int(np.clip(round(b.start * fps), 0, len(differing) - 1))]
        if joined and a.end < b.end:
            fade = min(_FADE, max(b.end - b.start - b.blend_in, _SHORTEST))
            end = min(max(a.end, b.start + b.blend_in + fade), b.end)
            out[i] = replace(a, end=end, blend_out=min(fade, 0.4 * (end - a.start)))
    return out


def _two_at_most(spans: Sequence[Span]) -> list[Span]:
    """Where a third strip begins, of the two there the one that ends first has to end, if its stroke is over.

    Every strip holds the merged motion, so the other one shows what it would have shown; that has to be in by then.
    """
    out = list(spans)
    for third in sorted(spans, key=lambda span: span.start):
        there = [i for i, s in enumerate(out) if s.start < third.start < s.end + _FRAME]
        if len(there) < 2:
            continue
        i, j = sorted(there, key=lambda k: out[k].end)[:2]
        first, other, end = out[i], out[j], third.start - _FRAME
        both = end - max(first.start, other.start)
        if first.segment.stroke < end and both > _SHORTEST:
            fade = min(first.blend_out, 0.5 * both, end - first.start - first.blend_in)
            out[i] = replace(first, end=end, blend_out=fade)
            out[j] = replace(other, blend_in=min(other.blend_in, both - fade))
    return out
