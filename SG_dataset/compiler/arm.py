"""Analytic arm: where the elbow goes, how the forearm twists, what the wrist may do.

Everything here is for the LEFT arm; the right one is solved in the mirror. The elbow lies on a circle about the line
from shoulder to wrist; a preferred direction (down, a little out and back; forward and out when the arm is raised)
picks the place and `swivel` turns it from there (positive: outwards). Forearm twist is 0 with the thumb up when the
elbow is bent (the T pose), negative towards palm up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler import timing

_X, _Y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
TWIST_SHARE = 0.65  # of the forearm's twist that the ForeArm joint takes; the rest is in the Hand joint
TWIST_LIMITS = (-100.0, 95.0)  # degrees: supination, pronation
FLEX_LIMITS = (-72.0, 80.0)  # wrist, back and towards the palm
DEVIATION_LIMITS = (-38.0, 28.0)  # wrist, to the little finger's and to the thumb's side
REACH_SLACK = 0.1  # cm short of a straight arm
TWIST_SPEED, WRIST_SPEED = 1000.0, 600.0  # degrees per second at most: brisk turns of the forearm and of the wrist
BRANCH_COST = 8.0  # squared degrees of miss for one second that a degree of travel is worth, see `twist_branch`


@cache
def bone_lengths() -> tuple[float, float]:
    """Upper arm and forearm, cm."""
    sk = canonical()
    return tuple(float(np.linalg.norm(sk.offsets[sk.index(n)])) for n in ("LeftForeArm", "LeftHand"))  # type: ignore[return-value]


@dataclass(frozen=True)
class Arm:
    """A solved arm over N samples.

    Local rotations (N, 4), elbow and wrist places (N, 3), the hand's world rotation (N, 4), and the angles in degrees
    before limits: forearm twist, wrist flexion, deviation (N,)."""

    upper: Floats
    fore: Floats
    hand: Floats
    elbow: Floats
    wrist: Floats
    hand_world: Floats
    twist: Floats
    flexion: Floats
    deviation: Floats


def preferred_pole(direction: Floats) -> Floats:
    """Where the elbow wants to point (N, 3) for directions from shoulder to wrist, both in the chest's frame."""
    up = np.maximum(direction[:, 1], 0.0)
    inward = np.maximum(-direction[:, 0], 0.0)
    return np.stack([0.30 + 0.45 * up + 0.15 * inward, np.full(len(up), -1.0), -0.42 + 0.95 * up], 1)


def elbow_place(shoulder: Floats, wrist: Floats, chest: Floats, swivel: Floats) -> tuple[Floats, Floats, Floats]:
    """Where the elbow is (N, 3), the direction it points in, and the wrist brought within reach."""
    a, b = bone_lengths()
    line = wrist - shoulder
    length = np.maximum(rot.length(line), 1e-6)
    d = line / length
    reach = _within_reach(length, a + b - REACH_SLACK, abs(a - b) + 7.0)
    pole = rot.rotate(chest, preferred_pole(rot.rotate(rot.inverse(chest), d)))
    pole = rot.rotate(rot.from_axis_angle(d, np.radians(swivel)), two_bone.beside(pole, d))
    along, aside = two_bone.triangle(reach, a, b)
    return shoulder + along * d + aside * pole, pole, shoulder + reach * d


def _within_reach(length: Floats, longest: float, shortest: float) -> Floats:
    """Soft limit: the last centimetre is approached ever more slowly, so that a reaching arm never snaps straight."""
    soft = 1.0
    start = longest - soft
    over = np.maximum(length - start, 0.0)
    return np.asarray(np.maximum(np.where(over > 0, start + soft * (1 - np.exp(-over / soft)), length), shortest))


def solve(
    shoulder: Floats,
    wrist: Floats,
    hand: Floats,
    chest: Floats,
    collar: Floats,
    swivel: Floats,
    fps: float | None = None,
) -> Arm:
    """Joint rotations that bring the wrist (N, 3) and hand orientation (N, 4) to their targets as far as limits allow.

    chest, collar: world rotations (N, 4) of Spine2 and of the collar joint (the arm's parent); swivel (N,) degrees.
    fps: the N samples are consecutive frames, and the hand must get from one to the next; None: poses by themselves."""
    elbow, pole, wrist = elbow_place(shoulder, wrist, chest, swivel)
    x = rot.normalize(elbow - shoulder)
    fore = rot.normalize(wrist - elbow)
    z = rot.normalize(-(pole - rot.dot(pole, x) * x))
    upper_world = rot.from_matrix(np.stack([x, rot.cross(z, x), z], -1))
    bend = np.arccos(np.clip(np.einsum("ni,ni->n", x, fore), -1, 1))
    elbow_local = rot.from_axis_angle(_Y, -bend)
    fore_world = rot.mul(upper_world, elbow_local)
    twist, flexion, deviation = wrist_angles(rot.mul(rot.inverse(fore_world), hand))
    t, f, d = (
        np.minimum(np.maximum(v, limits[0]), limits[1])
        for v, limits in (
            (twist if fps is None else twist_branch(twist, fps), TWIST_LIMITS),
            (flexion, FLEX_LIMITS),
            (deviation, DEVIATION_LIMITS),
        )
    )
    if fps is not None:
        t = timing.limit_speed(t, fps, TWIST_SPEED)
        f, d = timing.limit_speed(f, fps, WRIST_SPEED), timing.limit_speed(d, fps, WRIST_SPEED)
    fore_twist = rot.from_axis_angle(_X, np.radians(TWIST_SHARE * t))
    hand_twist = rot.from_axis_angle(_X, np.radians((1 - TWIST_SHARE) * t))
    hand_local = rot.mul(hand_twist, wrist_rotation(f, d))
    fore_local = rot.mul(elbow_local, fore_twist)
    world = rot.mul(rot.mul(upper_world, fore_local), hand_local)
    return Arm(
        rot.mul(rot.inverse(collar), upper_world),
        fore_local,
        hand_local,
        elbow,
        wrist,
        world,
        twist,
        flexion,
        deviation,
    )


def wrist_rotation(flexion: Floats, deviation: Floats) -> Floats:
    """Swing (N, 4) of the hand against the forearm: flexion towards the palm, deviation to the thumb, degrees."""
    vector = np.stack([np.zeros_like(flexion), -deviation, -flexion], -1)
    return rot.from_rotation_vector(np.radians(vector))


def wrist_angles(q: Floats) -> tuple[Floats, Floats, Floats]:
    """Forearm twist, wrist flexion and deviation (N,), degrees, of the hand seen from the untwisted forearm."""
    half = np.arctan2(-q[..., 1], q[..., 0])
    angle = -2 * np.degrees(half)
    angle = (angle + 180.0) % 360.0 - 180.0
    swing = rot.mul(rot.from_axis_angle(_X, 2 * half), q)
    vector = np.degrees(rot.to_rotation_vector(swing))
    return angle, -vector[..., 2], -vector[..., 1]


def twist_branch(twist: Floats, fps: float) -> Floats:
    """Forearm twist (N,) of consecutive frames, degrees, a full turn added where the forearm should stop at the other
    end of its range.

    The angle of a turn that no forearm can make has two ends of the range to stop at. Each frame by itself would take
    the nearer one, and a palm asked to face near the opposite of neutral would flip from end to end in one frame. The
    way through all frames with the least miss (squared degrees beyond the range, over time) and the least change
    between frames is found by dynamic programming."""
    if len(twist) < 2 or not np.any((twist < TWIST_LIMITS[0]) | (twist > TWIST_LIMITS[1])):
        return twist
    lower = np.where(twist < 0, twist, twist - 360.0)
    candidates = np.stack([lower, lower + 360.0])
    stops = np.clip(candidates, *TWIST_LIMITS)
    miss = (candidates - stops) ** 2 / fps
    # detour[i, j, n]: from branch i at frame n to branch j at frame n + 1. As the lower branch stays the lower one,
    # changing both ways never costs less than keeping both; so the cost of the lower less that of the upper, all that
    # a choice depends on, goes through each frame by being held between two bounds.
    detour = BRANCH_COST * np.abs(stops[None, :, 1:] - stops[:, None, :-1])
    least, most = detour[1, 1] - detour[0, 1], detour[1, 0] - detour[0, 0]
    gain = detour[0, 0] - detour[1, 1] + miss[0, 1:] - miss[1, 1:]
    ahead = [float(miss[0, 0] - miss[1, 0])]  # a plain list: element by element, numpy's arrays are slow
    for low, high, more in zip(least.tolist(), most.tolist(), gain.tolist(), strict=True):
        held = ahead[-1]
        ahead.append((low if held < low else high if held > high else held) + more)
    costs = np.array(ahead)
    forced = np.append((costs[:-1] < least) | (costs[:-1] > most), True)  # frames whose branch the next does not decide
    upper = np.append(costs[:-1] > most, costs[-1] > 0)
    decided = np.flatnonzero(forced)
    branch = upper[decided[np.searchsorted(decided, np.arange(len(twist)))]]
    return np.asarray(candidates[branch.astype(int), np.arange(len(twist))])


def discomfort(arm: Arm, swivel: Floats, shoulder: Floats, chest: Floats) -> Floats:
    """How unnatural a pose is (N,): joints near their limits, the elbow away from where it likes to be, or inside."""

    def beyond(value: Floats, low: float, high: float, scale: float) -> Floats:
        return np.asarray((np.maximum(value - high, 0) + np.maximum(low - value, 0)) / scale) ** 2

    cost = (swivel / 38.0) ** 2 + np.where(swivel > 0, (swivel / 45.0) ** 2, 0.0)
    cost = cost + (arm.twist / 75.0) ** 2 + beyond(arm.twist, -80, 75, 14)
    cost = cost + (arm.flexion / 55.0) ** 2 + beyond(arm.flexion, -55, 60, 12)
    cost = cost + (arm.deviation / 30.0) ** 2 + beyond(arm.deviation, -28, 20, 8)
    upright = rot.inverse(chest)
    local = rot.rotate(upright, arm.elbow - shoulder)
    # inside the ribs, or winging up above the shoulder
    inside = np.maximum(1.0 - local[:, 0], 0) * (np.abs(local[:, 2]) < 13) * (local[:, 1] < -6)
    middle = 0.5 * local + 0.5 * rot.rotate(upright, arm.wrist - shoulder)
    crossing = np.maximum(-4.0 - middle[:, 0], 0) * np.maximum(13.0 - middle[:, 2], 0) * (middle[:, 1] < -4)
    cost = cost + np.minimum(crossing / 30.0, 3.0) ** 2
    return np.asarray(cost + (inside / 3.0) ** 2 + (np.maximum(local[:, 1] + 4.0, 0) / 9.0) ** 2)


SWIVELS = np.arange(-50.0, 81.0, 5.0)


def comfortable_swivel(shoulder: Floats, wrist: Floats, hand: Floats, chest: Floats, collar: Floats) -> Floats:
    """The swivel (K,) in degrees at which each of K poses is least uncomfortable."""
    n, count = len(wrist), len(SWIVELS)

    def spread(v: Floats) -> Floats:
        return np.repeat(v, count, axis=0)

    swivel = np.tile(SWIVELS, n)
    s, c = spread(shoulder), spread(chest)
    arm = solve(s, spread(wrist), spread(hand), c, spread(collar), swivel)
    cost = discomfort(arm, swivel, s, c).reshape(n, count)
    best = np.clip(cost.argmin(1), 1, count - 2)
    rows = np.arange(n)
    left, middle, right = cost[rows, best - 1], cost[rows, best], cost[rows, best + 1]
    curve = left - 2 * middle + right
    shift = np.where(curve > 1e-9, 0.5 * (left - right) / np.maximum(curve, 1e-9), 0.0)
    return np.asarray(SWIVELS[best] + 5.0 * np.clip(shift, -1, 1))
