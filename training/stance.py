"""Standing while talking: weight that goes from leg to leg and stays there, small steps, soft knees, planted feet.

The hips' place is said between the feet: -1 over the right foot, 1 over the left one. Shifts begin where speech breaks
and take their time course from real ones. Nothing here sways by itself: what idles do is laid over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backend.motion.posture_plan import Leg, shift_plan
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.manner import Manner
from training.curves import Reach, settle
from training.life import Posture, Shift
from training.motion_folder import FPS
from training.prosody import Prosody
from training.units import TRUNK_JOINTS

_OTHER = {"Left": "Right", "Right": "Left"}
_SIGN = {"Left": 1.0, "Right": -1.0}
_STEP_SECONDS = 0.55
_STEP_LIFT = 3.2  # cm
_STEP_RATE = 0.34  # share of an ordinary speaker's shifts that free a foot and end with it set elsewhere
_LEAST_STEP = 4.5  # cm: nobody lifts a foot for less
_ANKLE_PITCH = 11.0  # degrees the heel rises first
_KNEE_SOFT = 1.2  # cm by which the hips hang below straight legs
_TILT, _TURN = 4.2, -3.0  # degrees of pelvis at full weight on the left leg: that hip up, and turned to it
_HALF_WIDTH = 10.0  # cm from the middle to an ankle: people who talk stand narrower than people who wait
_UP, _LEFT = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True, eq=False)
class Stance:
    """hips (F, 3) cm; turns (F, 7, 4) of `TRUNK_JOINTS`; feet: ankle paths (F, 3) and world turns (F, 4) by side."""

    hips: Floats
    turns: Floats
    feet: dict[str, tuple[Floats, Floats]]
    legs: tuple[Leg, ...]


def stand(
    prosody: Prosody, posture: Posture, shifts: Sequence[Shift], frames: int, manner: Manner, rng: np.random.Generator
) -> Stance:
    """A clip's standing."""
    times = np.arange(frames) / FPS
    legs = shift_plan(prosody.spans, frames / FPS, manner, rng)
    weight, ahead, detour, turns = _carried(legs, shifts, times, rng)
    feet = _stepped(posture, legs, times, manner, rng)
    places = {s: at for s, (at, _) in feet.items()}
    share = ((1 + weight) / 2)[:, None]
    hips = (1 - share) * places["Right"] + share * places["Left"]
    hips[:, 1] = posture.hips[1] - _KNEE_SOFT + detour[:, 0]
    hips[:, 2] += np.clip(posture.hips[2], 2.0, 5.0) + ahead + detour[:, 1]
    turns[:, 0] = rot.mul(turns[:, 0], _leaning_on(weight))
    level = rot.from_rotation_vector(np.radians(np.outer(weight, [0.0, -0.25 * _TURN, -0.3 * _TILT])))
    for k in (1, 2, 3):  # the shoulders stay level
        turns[:, k] = rot.mul(turns[:, k], level)
    return Stance(hips, turns, feet, tuple(legs))


def _leaning_on(weight: Floats) -> Floats:
    return rot.from_rotation_vector(np.radians(np.outer(weight, [0.0, _TURN, _TILT])))


def _carried(
    legs: Sequence[Leg], shifts: Sequence[Shift], times: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weight (F,), hips ahead (F,), detour (F, 2) up and ahead, and turns (F, 7, 4) of the trunk on the way."""
    weight, detour = np.full(len(times), legs[0].weight), np.zeros((len(times), 2))
    turns = rot.identity(len(times), len(TRUNK_JOINTS))
    for before, leg in pairwise(legs):
        begin, end = np.searchsorted(times, (leg.start, leg.end))
        x = (times[begin:end] - leg.start) / (leg.end - leg.start)
        progress, scale = minimum_jerk(x), min(abs(leg.weight - before.weight), 1.0)
        if shifts:
            shift = shifts[int(rng.integers(len(shifts)))]
            rows = x * (len(shift.progress) - 1)
            # real time courses, held to still ends
            progress = 0.5 * progress + 0.5 * np.interp(rows, np.arange(len(shift.progress)), shift.progress)
            edge = minimum_jerk(np.minimum(x, 1 - x) / 0.2)
            detour[begin:end] = scale * edge[:, None] * shift.detour[np.round(rows).astype(int)]
            own = shift.turns[np.round(rows).astype(int)]
            if leg.weight < before.weight:  # shifts are kept as ways to the left foot
                own = own * np.array([1.0, 1.0, -1.0, -1.0])
            share = np.repeat((0.8 * scale * edge)[:, None], len(TRUNK_JOINTS), axis=1)
            turns[begin:end] = rot.slerp(rot.identity(*own.shape[:-1]), own, share)
        weight[begin:end] = before.weight + progress * (leg.weight - before.weight)
        weight[end:] = leg.weight
    moves = [Reach(leg.end, leg.end - leg.start, (leg.ahead,)) for leg in legs[1:]]
    return weight, settle(times, moves, (legs[0].ahead,))[:, 0], detour, turns


def _stepped(
    posture: Posture, legs: Sequence[Leg], times: Floats, manner: Manner, rng: np.random.Generator
) -> dict[str, tuple[Floats, Floats]]:
    """Feet that stand still but for a small step now and then, taken by the one that bears no weight."""
    half = _HALF_WIDTH * float(rng.uniform(0.92, 1.12)) * (0.85 + 0.15 * manner.width)
    home, paths, pitch = {}, {}, {}
    for side in SIDES:
        at, _ = posture.feet[side]
        home[side] = np.array([_SIGN[side] * half, at[1], float(np.clip(at[2], -2.5, 2.5))])
        paths[side] = np.tile(home[side], (len(times), 1))
        pitch[side] = np.zeros(len(times))
    for leg in legs[1:]:
        rate = _STEP_RATE * manner.liveliness * (1.15 - 0.5 * manner.formality)
        if abs(leg.weight) < 0.36 or rng.random() > rate:
            continue
        free = "Right" if leg.weight > 0 else "Left"
        start = leg.end - 0.25
        begin, end = np.searchsorted(times, (start, start + _STEP_SECONDS))
        if end >= len(times):
            continue
        x = (times[begin:end] - start) / _STEP_SECONDS
        path = paths[free]
        before = path[begin].copy()
        goal = _new_place(home[free], before, _SIGN[free], rng)
        # lifted before it travels and down after it has arrived: a foot on the floor does not slide
        path[begin:end] += minimum_jerk((x - 0.12) / 0.76)[:, None] * (goal - before)
        path[begin:end, 1] += _STEP_LIFT * np.sin(np.pi * x) ** 2
        path[end:] = goal
        pitch[free][begin:end] += _ANKLE_PITCH * np.sin(2 * np.pi * minimum_jerk(x)) * np.where(x < 0.5, 1.0, 0.35)
    return {s: (paths[s], rot.mul(_flat(posture.feet[s][1]), _heel(pitch[s]))) for s in SIDES}


def _new_place(home: Floats, now: Floats, sign: float, rng: np.random.Generator) -> Floats:
    """Where a foot at `now` (3,) is set next: around `home` (3,), rather outwards, and worth a step."""
    goal = now
    while np.linalg.norm(goal - now) < _LEAST_STEP:
        goal = home + np.array([rng.uniform(-2.5, 4.0) * sign, 0.0, rng.uniform(-5.0, 6.0)])
    return goal


def _flat(turn: Floats) -> Floats:
    """The foot's turn about the vertical only: soles lie on the floor."""
    return rot.swing_twist(turn, _UP)[1]


def _heel(degrees: Floats) -> Floats:
    return rot.from_axis_angle(_LEFT, np.radians(degrees))
