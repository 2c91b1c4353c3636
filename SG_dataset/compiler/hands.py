"""Hand targets: from keys to a wrist path, a hand orientation and finger rotations over the frames.

All of it is in the LEFT hand's space; `Scene` hands out mirrored transforms for the right hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from SG_dataset.compiler import collide, timing
from SG_dataset.compiler.scene import MIRROR_POINT, Scene, body_capsules, rest_place
from SG_dataset.notation.landmarks import HAND_POINTS, LANDMARKS, TIP_RADIUS
from SG_dataset.notation.records import Cycle, HandKey, Key
from SG_dataset.notation.shapes import TIPS, hand_shape, tip_positions

ORIENTATION_LAG, ORIENTATION_BLUR = 0.03, 0.04  # seconds: the hand trails the arm a little
WAY_OUT, WAY_ROUND = np.array([1.5, 0.0, 5.0]), np.array([20.0, 2.0, -5.0])  # cm: arcs between rest and a gesture
SETTLED_DEPTH = 0.7  # cm that finger tips may press into what the hand lies on
HALF_TURN = 1e-6  # cosine of half the angle between two orientations below which they are opposite
THUMB, THUMB_LIKES = np.array([0.0, 0.0, 1.0]), np.array([-0.2, 1.0, -0.3])  # in the hand; in space: up, a little in
LEAST_LIVELY = 5.95  # cm: files give round numbers, and the limit must not be one of them
STEPS = 9  # shapes tried between the one asked for and straight fingers
FINGER_DELAYS = np.array([0.00, 0.03, 0.05, 0.08, 0.10])  # share of a phase by which each finger starts after the thumb


@cache
def hand_point(name: str, shape: str) -> Floats:
    """A point (3,) of the left hand in its own frame."""
    if name in HAND_POINTS:
        return np.array(HAND_POINTS[name])
    tips = dict(zip(TIPS, tip_positions(hand_shape(shape)), strict=True))
    if name == "fingertips":
        return np.asarray((tips["index"] + tips["middle"] + tips["ring"]) / 3)
    if name == "pinch_tip":
        return np.asarray((tips["index"] + tips["thumb"]) / 2)
    return np.asarray(tips[name.removesuffix("_tip")])


def hand_turn(hand: HandKey) -> Floats:
    """Orientation (4,) of the left hand for its palm and finger directions on the upright body."""
    return _turn(hand.fingers, hand.palm, hand.roll)


@cache
def _turn(along: tuple[float, ...], facing: tuple[float, ...], roll: float) -> Floats:
    """`hand_turn` of the key's numbers alone: the keys of a gesture share a few orientations."""
    x, palm = rot.normalize(np.array(along)), np.array(facing)
    y = -rot.normalize(palm - (palm @ x) * x)
    turn = rot.from_matrix(np.stack([x, y, rot.cross(x, y)], -1))
    if roll:
        turn = rot.mul(turn, rot.from_axis_angle([1.0, 0.0, 0.0], np.radians(roll)))
    turn.setflags(write=False)
    return turn


@dataclass
class Targets:
    """Wrist path (F, 3), hand orientation (F, 4), finger rotations (F, 15, 4), how much it touches (F,), wrist and
    orientation at each key (K, ...)."""

    wrist: Floats
    turn: Floats
    fingers: Floats
    touching: Floats
    free_of_hands: Floats


def key_target(
    hand: HandKey, scene: Scene, rest: tuple[Floats, Floats], other: HandKey, shift: Floats
) -> tuple[Floats, Floats]:
    """Wrist place (F, 3) and hand orientation (F, 4) that a key asks for, as the body moves."""
    place, turn = scene.joint("Spine2")
    if hand.rest:
        return place + rot.rotate(turn, rest[0]), rot.mul(turn, rest[1])
    point = hand_point(hand.point, hand.shape)
    offset = np.array(hand.offset) + np.array(hand.move) + (0 if hand.touching else shift)
    own = rot.mul(turn, hand_turn(hand))
    if hand.anchor == "zone":
        goal = place + rot.rotate(turn, offset - rest_place("Spine2"))
    elif hand.anchor == "other":
        wrist, other_turn = scene.joint("OtherHand")
        local = hand_point(hand.other_point, "relaxed" if other.rest else other.shape) * MIRROR_POINT
        goal = wrist + rot.rotate(other_turn, local) + rot.rotate(turn, offset)
    else:
        mark = LANDMARKS[hand.anchor]
        joint, joint_turn = scene.joint(mark.joint)
        flesh = TIP_RADIUS if hand.point.endswith(("tip", "tips")) else 0.0
        out = rot.normalize(np.array(mark.normal)) * ((hand.gap + flesh) if hand.touching else 0.0)
        goal = joint + rot.rotate(joint_turn, np.array(mark.place) + offset + out - rest_place(mark.joint))
        if mark.joint == "Head":
            own = rot.mul(joint_turn, hand_turn(hand))
    return goal - rot.rotate(own, point), own


def hand_targets(
    keys: Sequence[Key],
    side: str,
    key_times: Floats,
    time: Floats,
    scene: Scene,
    rest: tuple[Floats, Floats],
    size: float,
    shift: Floats,
    seed: int,
) -> Targets:
    """Curves of one hand ("right" or "left") through its keys."""
    hands = [k.hands[side] for k in keys]
    others = [k.hands["left" if side == "right" else "right"] for k in keys]
    found: dict[tuple[HandKey, HandKey], tuple[Floats, Floats]] = {}
    pairs = []
    for hand, other in zip(hands, others, strict=True):
        same = replace(hand, cycle=None, arc=(0.0, 0.0, 0.0), elbow=0.0), other if hand.anchor == "other" else hand
        if same not in found:
            found[same] = key_target(hand, scene, rest, other, shift)
        pairs.append(found[same])
    wrists, turns = np.stack([p for p, _ in pairs]), np.stack([q for _, q in pairs])
    _apply_size(keys, hands, wrists, size)
    flow = np.array([0.0 if k.stop or h.touching else timing.FLOW for k, h in zip(keys, hands, strict=True)])
    path = timing.interpolate(time, key_times, wrists, flow)
    turn = _turns(time, key_times, turns)
    states = np.array([[float(h.touching), float(h.anchor == "other")] for h in hands])
    touching, with_hand = timing.interpolate(time, key_times, states, 0 * flow).T
    shapes = _settled_shapes(hands, wrists, turns, scene, key_times, time)
    fingers = _fingers(keys, shapes, key_times, time)
    chest = scene.joint("Spine2")[1]
    path = path + _arcs(hands, keys, key_times, time, chest) + _liveliness(keys, hands, wrists, key_times, time)
    path = path + (1 - touching)[:, None] * _tremor(time, seed)
    for k, (key, hand) in enumerate(zip(keys, hands, strict=True)):
        if hand.cycle:
            x = (time - key_times[k - 1]) / (key_times[k] - key_times[k - 1])
            offset, spin, wave = _cycle(hand.cycle, x, size)
            path = path + rot.rotate(chest, offset)
            turn = rot.mul(turn, spin)
            fingers = _shape_cycle(hand, fingers, x, wave)
        del key
    return Targets(path, turn, fingers, touching, 1 - with_hand)


def _apply_size(keys: Sequence[Key], hands: Sequence[HandKey], wrists: Floats, size: float) -> None:
    """Stretch free strokes away from the preparation they start from."""
    start: int | None = None
    for k, (key, hand) in enumerate(zip(keys, hands, strict=True)):
        if key.phase in {"prepare", "retract"} or hand.rest:
            start = k if key.phase == "prepare" and not hand.rest else None
        elif start is not None and not hand.touching:
            wrists[k] = wrists[start] + size * (wrists[k] - wrists[start])


def _turns(time: Floats, key_times: Floats, turns: Floats) -> Floats:
    """Orientation through the keys, a little behind the arm and rounded."""
    index, x = timing.segments(time - ORIENTATION_LAG, key_times)
    frames = np.arange(len(time))
    start = turns[index, frames]
    q = rot.slerp(start, _one_way(start, turns[index + 1, frames]), minimum_jerk(x))
    q = timing.blur(rot.continuous(q), 1.0 / max(time[1] - time[0], 1e-6), ORIENTATION_BLUR)
    return rot.normalize(q)


def _one_way(start: Floats, goal: Floats) -> Floats:
    """Goals (F, 4) that half a turn from the start (F, 4) leads to one way only.

    A palm that flips could go either way round, and rounding would decide. It goes by way of the thumb pointing up, as
    a forearm does: the goal is brought a hair nearer on that side."""
    tied = np.flatnonzero(np.abs(rot.dot(start, goal)[:, 0]) < HALF_TURN)
    if len(tied):
        a, b = start[tied], goal[tied]
        ways = np.stack([b, -b])
        thumbs = rot.rotate(rot.normalize(a + ways), THUMB)
        goal = goal.copy()
        goal[tied] = rot.normalize(ways[(thumbs @ THUMB_LIKES).argmax(0), np.arange(len(tied))] + 10 * HALF_TURN * a)
    return goal


def _behind(hand: HandKey) -> bool:
    """Whether a key puts the hand behind the body's front, where the straight way leads through the shoulder."""
    mark = LANDMARKS.get(hand.anchor)
    return mark is not None and mark.place[2] + hand.offset[2] < -2.0


def _arcs(hands: Sequence[HandKey], keys: Sequence[Key], key_times: Floats, time: Floats, chest: Floats) -> Floats:
    """Detours of the path between keys; hands leave and return to rest in a slight arc forward and out."""
    total = np.zeros((len(time), 3))
    for k in range(1, len(keys)):
        arc = np.array(hands[k].arc)
        if hands[k - 1].rest != hands[k].rest:
            arc = arc + (WAY_ROUND if _behind(hands[k - 1]) or _behind(hands[k]) else WAY_OUT)
        if not arc.any():
            continue
        x = np.clip((time - key_times[k - 1]) / (key_times[k] - key_times[k - 1]), 0, 1)
        total += (64 * (x * (1 - x)) ** 3)[:, None] * arc
    return rot.rotate(chest, total)


def _liveliness(
    keys: Sequence[Key], hands: Sequence[HandKey], wrists: Floats, key_times: Floats, time: Floats
) -> Floats:
    """Anticipation before free strokes and a small follow-through after them."""
    total = np.zeros((len(time), 3))
    for k in range(1, len(keys)):
        if keys[k].phase != "stroke" or hands[k].rest or hands[k].cycle:
            continue
        frame = int(np.clip(np.searchsorted(time, key_times[k]), 0, len(time) - 1))
        stroke = wrists[k, frame] - wrists[k - 1, frame]
        if np.linalg.norm(stroke) < LEAST_LIVELY:
            continue
        if not hands[k - 1].touching and keys[k - 1].phase == "prepare":
            early = np.exp(-0.5 * ((time - key_times[k - 1] + 0.03) / 0.075) ** 2)
            total -= 0.06 * early[:, None] * stroke
        if not hands[k].touching and k + 1 < len(keys) and keys[k + 1].phase in {"hold", "retract"}:
            late = np.maximum(time - key_times[k], 0.0) / 0.045
            total += 0.05 * (late**3 * np.exp(3 - late) / 27.0)[:, None] * stroke
    return total


def _tremor(time: Floats, seed: int) -> Floats:
    """Nobody holds a hand perfectly still: a few millimetres of slow drift, none at the ends."""
    rng = np.random.default_rng(seed)
    fade = minimum_jerk(np.minimum(time, time[-1] - time) / 0.5)[:, None]
    waves = [np.sin(2 * np.pi * (time[:, None] / rng.uniform(1.1, 2.3, 3) + rng.uniform(size=3))) for _ in range(2)]
    return np.asarray(0.22 * fade * (waves[0] + waves[1]))


def _cycle(cycle: Cycle, x: Floats, size: float) -> tuple[Floats, Floats, Floats]:
    """Offset (F, 3) on the upright body, spin (F, 4) in the hand's frame and the wave (F,) of a repeated movement."""
    inside = ((x > 0) & (x < 1)).astype(float)
    u = np.clip(x, 0, 1)
    wave = (timing.tap if cycle.style == "tap" else timing.shake)(u, cycle.times, cycle.decay) * inside
    offset = size * wave[:, None] * np.array(cycle.move)
    if cycle.circle:
        angle = 2 * np.pi * cycle.times * timing.eased(u)
        grow = minimum_jerk(u) if cycle.grow else minimum_jerk(np.minimum(u, 1 - u) * cycle.times * 2)
        first, second = (np.array(v) for v in cycle.circle)
        radius = (size * grow * inside)[:, None]
        offset = offset + radius * (np.sin(angle)[:, None] * first + np.cos(angle)[:, None] * second)
    vector = np.stack([cycle.twist * wave, -cycle.wave * wave, -cycle.flap * wave], -1)
    return offset, rot.from_rotation_vector(np.radians(vector)), wave


def _settled_shapes(
    hands: Sequence[HandKey], wrists: Floats, turns: Floats, scene: Scene, key_times: Floats, time: Floats
) -> Floats:
    """Finger rotations (K, 15, 4) at the keys; fingers of a touching hand straighten as far as the body makes them."""
    shapes = np.stack([hand_shape(h.shape) for h in hands])
    touch = np.array([k for k, h in enumerate(hands) if h.touching and h.anchor != "other"], dtype=int)
    if not len(touch):
        return shapes
    frames = np.minimum(len(time) - 1, np.searchsorted(time, key_times[touch]))
    share = np.linspace(0, 1, STEPS)[:, None]
    tried = rot.slerp(shapes[touch][:, None], hand_shape("tray"), np.broadcast_to(share, (len(touch), STEPS, 15)))
    tips = tip_positions(tried).reshape(len(touch), STEPS * 5, 3)
    tips = wrists[touch, frames][:, None] + rot.rotate(turns[touch, frames][:, None], tips)
    depth = collide.depths(tips, np.full(STEPS * 5, 0.75), body_capsules(scene.at(frames)))[0]
    depth = depth.max(2).reshape(len(touch), STEPS, 5)
    fits = depth < SETTLED_DEPTH
    best = np.where(fits.any(1), fits.argmax(1), depth.argmin(1))
    shapes[touch] = tried[np.arange(len(touch))[:, None], np.repeat(best, 3, axis=1), np.arange(15)]
    return shapes


def _fingers(keys: Sequence[Key], shapes: Floats, key_times: Floats, time: Floats) -> Floats:
    """Finger rotations (F, 15, 4): shapes form before the hand arrives, finger by finger, and relax late."""
    index, x = timing.segments(time, key_times)
    early = np.array([k.phase != "retract" for k in keys])[index + 1]
    u = x[:, None] - FINGER_DELAYS
    progress = minimum_jerk(np.where(early[:, None], u / 0.78, (u - 0.05) / 0.85))
    progress = np.repeat(progress, 3, axis=1)
    return rot.slerp(shapes[index], shapes[index + 1], progress)


def _shape_cycle(hand: HandKey, fingers: Floats, x: Floats, wave: Floats) -> Floats:
    """Fingers going to another shape and back with the cycle's wave, one after the other."""
    cycle = hand.cycle
    if cycle is None or not cycle.shape:
        return fingers
    inside = (x > 0) & (x < 1)
    delays = np.array([0.0, 0.0, 0.10, 0.20, 0.30]) / max(cycle.times, 1.0)
    if cycle.style == "tap":
        delays = delays * 0.3
    u = np.clip(x[:, None] - delays, 0, 1)
    weight = np.where(inside[:, None], 0.5 - 0.5 * np.cos(2 * np.pi * cycle.times * timing.eased(u)), 0.0)
    edge = minimum_jerk((1 - np.clip(x, 0, 1)) * cycle.times * 2.0)[:, None]
    weight = np.repeat(weight * edge, 3, axis=1)
    del wave
    goal = np.broadcast_to(hand_shape(cycle.shape), fingers.shape)
    return rot.slerp(fingers, goal, weight)
