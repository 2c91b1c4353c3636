"""Preparation, stroke, hold and retraction of a recorded gesture (Kendon 2004; Kita, van Gijn and van der Hulst 1998).

Hands are followed as points of the palm and finger tips seen from the chest; where no hand does anything, the head,
then the feet. Movement that leaves the rest and first comes to a stop or turns is the preparation; the last movement
back to rest is the retraction; what lies between is stroke, and stillness at its end is hold. A hand that only rises,
stays and sinks has its stroke in the last part of the rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.importing.smooth import low_pass
from SG_dataset.phases import Phases

ANALYSIS_CUTOFF = 6.0  # Hz
MOVES = 10.0  # cm that a hand must leave its place by to count as gesturing
MOVES_LITTLE, RAISED = 3.0, 40.0  # cm: or by this much, where it is so far from the shared rest pose all the time
MOVES_TOO = 0.35  # of the other hand's travel, for a gesture of both hands
HEAD_MOVES, FOOT_MOVES = 2.5, 3.0  # cm, of nose and toes
SLOW = 0.12  # of the peak speed: below it a hand rests or holds
ARRIVES, LEAVES = 0.5, 0.35  # of the peak speed: a minimum below it ends a preparation, begins a retraction
FAR = 0.25  # of the farthest distance from rest that a preparation covers at least
A_BEAT = 0.5  # of the peak speed: a first or last movement faster than that is itself a beat of the head
LATE_RISE = 0.35  # s: the most of a plain rise that counts as stroke
STILL = 0.04  # of the peak speed: no movement at all
TURNED = -0.3  # cosine to the beat's first direction: a circle has no stop, but it turns away
BEAT_ENDS = 0.5  # of its peak speed: a minimum below it ends a beat
SETTLING = 0.05  # s
LEAST_STROKE = 5.0  # cm/s: slower is sway
BUSY = 0.3  # of the peak speed inside: faster is stroke
SLOW_STROKE = 15.0  # cm/s: a stroke that begins so fast has begun, whatever it does later (a wipe before a flick)
BEAT, SLOW_BEAT = 0.4, 30.0  # of the peak speed, cm/s: what a first beat reaches at least, the lesser of the two
LONG, LONG_ACCENT = 1.25, 0.4  # s: a stroke so long without a beat, and where its accent is taken to be
RESTING = 0.1  # s at either end, over which a resting hand gets nowhere, however it trembles
_POINTS = ("Hand", "HandIndex1", "HandPinky1", "HandIndex3", "HandThumb3")


@dataclass(frozen=True)
class Found:
    """Times in seconds from the source clip's start: onset and offset of movement, the phases, and who gestures."""

    onset: float
    offset: float
    phases: Phases
    hand: str
    rests_before: bool
    rests_after: bool


@dataclass(frozen=True, eq=False)
class Actors:
    """Speed (F,) in cm/s and direction of movement (F, P * 3), of length 1, of the points that gesture."""

    speed: Floats
    direction: Floats

    @classmethod
    def of(cls, tracks: Floats, fps: float) -> Actors:
        return cls(_speed(tracks, fps), rot.normalize(np.gradient(tracks.reshape(len(tracks), -1), axis=0)))


class Still(Exception):  # noqa: N818 - says what was seen
    """Nothing in the clip moves enough to be a gesture."""


def find_phases(motion: Motion) -> Found:
    """Phases of a recorded gesture on the canonical skeleton; raises Still where nothing gestures."""
    fps = motion.fps
    hand, tracks, toes = _actors(motion)
    tracks, toes = _calmed(tracks, fps), _calmed(toes, fps)
    actors = Actors.of(tracks, fps)
    speed = actors.speed
    away_start, away_end = (_distance(tracks, tracks[f]) for f in (slice(0, 3), slice(-3, None)))
    onset, offset = _movement(speed, away_start, away_end, fps)
    arrive = _arrival(speed, away_start, onset, offset)
    leave = _departure(speed, away_end, arrive, offset)
    if hand == "none":
        arrive, leave = _beats_at_ends(speed, onset, arrive, leave, offset)
    stepping = _travel(toes) > FOOT_MOVES and hand != "none"
    phases = _inside(actors, onset, arrive, leave, fps, Actors.of(toes, fps) if stepping else None)
    least, span = 2 * SLOW * speed.max(), max(1, min(round(RESTING * fps), len(tracks) // 2))
    before, after = (float(_distance(tracks[a], tracks[b][None])) * fps / span for a, b in ((0, span), (-1, -1 - span)))
    return Found(onset / fps, offset / fps, phases, hand, before < least, after < least)


def _actors(motion: Motion) -> tuple[str, Floats, Floats]:
    """Who gestures ("right", "left", "both", "none"), the points (F, P, 3) that show it, and the toes (F, 2, 3)."""
    places, world = motion.forward_kinematics()
    sk = motion.skeleton
    chest = sk.index("Spine2")

    def seen(points: Floats, centre: int = chest) -> Floats:
        return np.asarray(rot.rotate(rot.inverse(world[:, centre, None]), points - places[:, centre, None]))

    feet = [sk.index(s + "Foot") for s in ("Right", "Left")]
    toes = places[:, feet] + rot.rotate(world[:, feet], np.array([0.0, -8.0, 15.0]))
    tracks = {s: seen(places[:, [sk.index(s + p) for p in _POINTS]]) for s in ("Right", "Left")}
    travel = {s: _travel(t) for s, t in tracks.items()}
    most = max(travel.values())
    raised = most > MOVES_LITTLE and max(_raised(tracks[s], s) for s in tracks) > RAISED
    if most > MOVES or raised:
        least = max(MOVES_LITTLE if raised else MOVES, MOVES_TOO * most)
        acting = [s for s in tracks if travel[s] > least]
        points = np.concatenate([tracks[s] for s in acting], axis=1)
        return ("both" if len(acting) == 2 else acting[0].lower()), points, toes
    head = sk.index("Head")
    tip = places[:, [head]] + rot.rotate(world[:, [head]], np.array([0.0, 6.0, 11.0]))
    nose = seen(tip, sk.index("Hips"))
    if _travel(toes) > FOOT_MOVES and _travel(toes) > _travel(nose):
        return "none", toes, toes
    if _travel(nose) > HEAD_MOVES:
        return "none", nose, toes
    raise Still


@cache
def _resting(side: str) -> Floats:
    """Places (P, 3) of a hand's points in the shared rest pose, seen from the chest."""
    root, local = rest_pose()
    places, world = Motion(60.0, canonical(), root[None], local[None]).forward_kinematics()
    chest = canonical().index("Spine2")
    points = places[0, [canonical().index(side + p) for p in _POINTS]]
    return np.asarray(rot.rotate(rot.inverse(world[0, chest]), points - places[0, chest]))


def _raised(track: Floats, side: str) -> float:
    """The least distance (cm) of a hand's points (F, P, 3) from their places at rest."""
    return float(np.linalg.norm(track - _resting(side), axis=-1).mean(axis=1).min())


def _calmed(track: Floats, fps: float) -> Floats:
    return low_pass(track.reshape(len(track), -1), fps, ANALYSIS_CUTOFF).reshape(track.shape)


def _travel(track: Floats) -> float:
    """The farthest (cm) that the points' mean or any of them gets from where it starts, noise left out."""
    path = np.linalg.norm(track - np.median(track[: max(1, len(track) // 12)], axis=0), axis=-1)
    return float(np.percentile(path, 98, axis=0).max())


def _speed(track: Floats, fps: float) -> Floats:
    """Root mean square speed (F,) of the points, cm/s."""
    return np.asarray(np.sqrt((np.gradient(track, axis=0) ** 2).sum(-1).mean(-1)) * fps)


def _distance(track: Floats, rest: Floats) -> Floats:
    return np.asarray(np.sqrt(((track - rest.mean(axis=0)) ** 2).sum(-1).mean(-1)))


def _movement(speed: Floats, away_start: Floats, away_end: Floats, fps: float) -> tuple[int, int]:
    """First and last frame of the gesture; outside, the actors are slow and near where the clip begins or ends."""
    limit, near = SLOW * speed.max(), 0.08 * max(away_start.max(), away_end.max())
    busy = (speed > limit) & ((away_start > near) | (away_end > near))
    frames = np.flatnonzero(busy)
    onset, offset = int(frames[0]), int(frames[-1])
    while onset > 0 and speed[onset - 1] < speed[onset] and speed[onset] > 0.3 * limit:
        onset -= 1
    while offset < len(speed) - 1 and speed[offset + 1] < speed[offset] and speed[offset] > 0.3 * limit:
        offset += 1
    return onset, offset


def _arrival(speed: Floats, away: Floats, onset: int, offset: int) -> int:
    """Frame at which the preparation ends: the first stop or turn after getting away from rest."""
    far = FAR * away[onset : offset + 1].max()
    top = speed[onset]
    for f in range(onset + 1, offset):
        top = max(top, speed[f])
        minimum = speed[f] <= speed[f - 1] and speed[f] < speed[f + 1]
        if away[f] > far and ((minimum and speed[f] < ARRIVES * top) or speed[f] < SLOW * top):
            return f
    return int(onset + np.argmax(away[onset : offset + 1]))


def _departure(speed: Floats, away: Floats, arrive: int, offset: int) -> int:
    """Frame at which the retraction begins: the last stop or turn before coming home."""
    far = FAR * away[arrive : offset + 1].max()
    top = speed[offset]
    for f in range(offset - 1, arrive, -1):
        top = max(top, speed[f])
        minimum = speed[f] < speed[f - 1] and speed[f] <= speed[f + 1]
        if away[f] > far and ((minimum and speed[f] < LEAVES * top) or speed[f] < SLOW * top):
            still = f
            while still > arrive and STILL * top < speed[still] > speed[still - 1]:  # down to where the hand stands
                still -= 1
            return still
    return arrive


def _beats_at_ends(speed: Floats, onset: int, arrive: int, leave: int, offset: int) -> tuple[int, int]:
    """A nodding head needs no preparation: quick first and last movements belong to the stroke."""
    quick = A_BEAT * float(speed.max())
    if speed[onset : arrive + 1].max() > quick:
        arrive = onset
    if speed[leave : offset + 1].max() > quick:
        leave = offset
    return arrive, leave


def _inside(actors: Actors, onset: int, arrive: int, leave: int, fps: float, others: Actors | None = None) -> Phases:
    """Stroke, its instant and its end, from what happens between preparation and retraction.

    others: other parts of the body, whose beats count where the hands only stay.
    """
    speed = actors.speed
    margin = round(SETTLING * fps)  # the tail of the preparation and the head of the retraction are not stroke
    part = speed[arrive + margin : leave - margin + 1]
    brisk = BUSY * float(part.max(initial=0.0))
    busy = np.flatnonzero(part > max(LEAST_STROKE, brisk))
    if len(busy) < max(3, round(0.05 * fps)) and others is not None:
        return _inside(others, onset, arrive, leave, fps)
    if len(busy) < max(3, round(0.05 * fps)):  # a plain rise: its last part is the stroke
        peak = onset + int(np.argmax(speed[onset : arrive + 1]))
        start = max(peak, arrive - round(LATE_RISE * fps))
        return Phases(start / fps, arrive / fps, arrive / fps, max(leave, arrive) / fps)
    first, last = (arrive + margin + int(f) for f in (np.argmax(part > min(SLOW_STROKE, brisk)), busy[-1]))
    start, end = max(_calm(speed, first, -1), arrive), min(_calm(speed, last, 1), leave)
    return Phases(start / fps, _accent(actors, start, end, fps) / fps, end / fps, leave / fps)


def _calm(speed: Floats, f: int, step: int) -> int:
    """The frame next to f, in the direction of `step`, where a movement begins or has ended."""
    least = 0.15 * speed[max(0, f - 12) : f + 12].max()
    while 0 < f < len(speed) - 1 and speed[f + step] < speed[f] and speed[f] > least:
        f += step
    return f


def _accent(actors: Actors, start: int, end: int, fps: float) -> int:
    """End of the first beat of the stroke: where its first real speed has come down again, or a circle turns away.

    A long stroke that does neither (a growing spiral, typing fingers) is accented soon after it has begun.
    """
    part, going = actors.speed[start : end + 1], actors.direction[start : end + 1]
    real, top, long = min(SLOW_BEAT, BEAT * float(part.max())), 0.0, round(LONG * fps)
    for f in range(1, min(len(part) - 1, long)):
        top = max(top, float(part[f]))
        if top > real and part[f] < BEAT_ENDS * top and part[f] <= part[f - 1] and part[f] < part[f + 1]:
            return start + f
    first = int(np.argmax(part > real))
    along = going @ going[first]
    away = np.flatnonzero(along < TURNED)
    away = away[(away > first) & (away < long)]
    if len(away) and (along[away[0] :] > -TURNED).any():  # it comes round again
        return start + int(away[0])
    return start + round(LONG_ACCENT * fps) if len(part) > long else end
