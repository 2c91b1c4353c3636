"""Hands that touched the body still touch it on a body of other proportions.

Carrying directions over keeps the pose, but shoulders, arms and neck differ in length, so that a finger at the nose
ends at the forehead and clapping hands miss each other. Where a hand comes near the head, the trunk, the other arm or
the other hand in the source, the place of its nearest point relative to that part is kept instead, and the arm follows
by a two-bone solve; hand orientations stay as they were. Between near and far the correction fades, smoothly in time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import FINGERS, SIDES
from sg_blender_addon.core.motion import Motion
from SG_dataset.importing.smooth import low_pass

Points = Mapping[str, Floats]

HEAD_UP = 8.0  # cm from the head joint to the middle of the head
NEAR_HEAD = (14.0, 32.0)  # cm from the middle of the head: full correction below, none above
NEAR_TRUNK = (15.0, 25.0)  # from the line between hips and neck
NEAR_ARM = (8.0, 18.0)  # from the line of the other forearm
NEAR_HAND = (6.0, 22.0)  # between the nearest points of both hands
SOFTNESS = 1.5  # cm: how sharply the nearest point of a hand is chosen
STEADY = 5.0  # Hz
_REACH = 0.999
ROUNDS, STEP = 5, 0.6  # both hands correct themselves at once: full steps would overshoot


def hand_points(points: Points, side: str) -> list[str]:
    """Names of the points of a hand: wrist, knuckles and finger tips, as far as the source has them."""
    names = [side + "Hand", *(f"{side}Hand{f}1" for f in FINGERS[1:]), *(f"{side}{f}Tip" for f in FINGERS)]
    return [name for name in names if name in points]


def points_of(motion: Motion, wanted: Points) -> dict[str, Floats]:
    """The same points as `wanted` on the canonical skeleton, (F, 3) each."""
    places, world = motion.forward_kinematics()
    tips = dict(zip(motion.skeleton.end_parents, range(len(motion.skeleton.end_parents)), strict=True))
    ends = motion.end_positions()
    found = {}
    for name in wanted:
        if name.endswith("Tip"):
            side = "Left" if name.startswith("Left") else "Right"
            joint = motion.skeleton.index(f"{side}Hand{name.removeprefix(side).removesuffix('Tip')}3")
            found[name] = ends[:, tips[joint]]
        elif name == "Skull":
            head = motion.skeleton.index("Head")
            found[name] = places[:, head] + rot.rotate(world[:, head], np.array([0.0, HEAD_UP, 0.0]))
        else:
            found[name] = places[:, motion.skeleton.index(name)]
    return found


def keep_contacts(motion: Motion, source: Points) -> Motion:
    """Move the hands of a retargeted motion to where the source's hands touch.

    source: points (F, 3) of the source's performance in canonical axes and size, by canonical joint name, finger tips
    as "LeftIndexTip" and the middle of the head as "Skull"; only distances between them matter.
    """
    if not all(side + joint in source for side in SIDES for joint in ("Hand", "ForeArm")):
        return motion
    shifts = {side: np.zeros_like(motion.root_positions) for side in SIDES}
    ours = points_of(motion, source)
    for _ in range(ROUNDS):
        for side, error in _errors(source, _moved(ours, shifts)).items():
            shifts[side] = shifts[side] + STEP * error
    if max(float(np.abs(s).max()) for s in shifts.values()) < 0.05:
        return motion
    local = np.array(motion.rotations)
    places, world = motion.forward_kinematics()
    for side in SIDES:
        _move_arm(motion, local, places, world, side, low_pass(shifts[side], motion.fps, STEADY))
    return Motion(motion.fps, motion.skeleton, motion.root_positions, local)


def _moved(points: Points, shifts: Points) -> dict[str, Floats]:
    moved = dict(points)
    for side in SIDES:
        moved |= {name: points[name] + shifts[side] for name in hand_points(points, side)}
    return moved


def _nearness(distance: Floats, bounds: tuple[float, float]) -> Floats:
    near, far = bounds
    return np.asarray(minimum_jerk((far - distance) / (far - near)))


def _nearest(distances: Floats) -> Floats:
    """Weights (F, P) of points by their distances (F, P): nearly all on the nearest, without jumps."""
    weight = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / SOFTNESS)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _on_segment(p: Floats, a: Floats, b: Floats) -> Floats:
    """How far along the segment (0..1) the points nearest to p (F, P, 3) lie."""
    line = (b - a)[:, None]
    along = np.sum((p - a[:, None]) * line, axis=-1) / np.maximum(np.sum(line * line, axis=-1), 1e-9)
    return np.clip(along, 0.0, 1.0)


def _errors(source: Points, ours: Points) -> dict[str, Floats]:
    """Shift (F, 3) that each hand still needs; a hand that is held by the body gives way less to the other one."""
    together, error = _between_hands(source, ours)
    body = {side: _at_body(side, source, ours, together) for side in SIDES}
    free = {side: 1.0 - 0.8 * weight for side, (_, weight) in body.items()}
    right = (free["Right"] / (free["Left"] + free["Right"]))[:, None]
    independent = 1.0 - 0.5 * together[:, None]
    return {
        "Left": independent * body["Left"][0] - (1 - right) * error,
        "Right": independent * body["Right"][0] + right * error,
    }


def _between_hands(source: Points, ours: Points) -> tuple[Floats, Floats]:
    """How much the hands are at each other (F,), and by how much the right one is wrong for the left (F, 3)."""
    left, right = (hand_points(source, side) for side in SIDES)
    theirs = np.stack([source[n] for n in right], 1)[:, None] - np.stack([source[n] for n in left], 1)[:, :, None]
    mine = np.stack([ours[n] for n in right], 1)[:, None] - np.stack([ours[n] for n in left], 1)[:, :, None]
    distance = np.linalg.norm(theirs, axis=-1).reshape(len(theirs), -1)
    weight = _nearness(distance.min(axis=1), NEAR_HAND)
    wrong = (theirs - mine).reshape(len(theirs), -1, 3)
    return weight, np.asarray(weight[:, None] * np.sum(_nearest(distance)[..., None] * wrong, axis=1))


def _at_body(side: str, source: Points, ours: Points, together: Floats) -> tuple[Floats, Floats]:
    """Shift (F, 3) that brings a hand to its place at head, trunk and other forearm, and how much it matters (F,).

    together (F,): how much the other hand matters; then the forearm behind it does not.
    """
    names = hand_points(source, side)
    theirs, mine = (np.stack([points[n] for n in names], axis=1) for points in (source, ours))
    total: Floats = np.zeros((len(theirs), 3))
    weights: Floats = np.zeros(len(theirs))
    other = SIDES[1 - SIDES.index(side)]
    for a, b, bounds in (
        ("Skull", "Skull", NEAR_HEAD),
        ("Hips", "Neck", NEAR_TRUNK),
        (other + "ForeArm", other + "Hand", NEAR_ARM),
    ):
        if a not in source or b not in source:
            continue
        along = _on_segment(theirs, source[a], source[b])[..., None]
        anchor, goal = (p[a][:, None] + along * (p[b] - p[a])[:, None] for p in (source, ours))
        offset = theirs - anchor
        distance = np.linalg.norm(offset, axis=-1)
        weight = _nearness(distance.min(axis=1), bounds) * (1 - together if bounds is NEAR_ARM else 1.0)
        error = np.sum(_nearest(distance)[..., None] * (goal + offset - mine), axis=1)
        total, weights = total + weight[:, None] * error, weights + weight
    return total / np.maximum(weights, 1.0)[:, None], np.minimum(weights, 1.0)


def _move_arm(motion: Motion, local: Floats, places: Floats, world: Floats, side: str, shift: Floats) -> None:
    """Turn upper arm and forearm, in place, so that the wrist moves by `shift` (F, 3); the hand keeps its turn."""
    sk = motion.skeleton
    collar, upper, fore, hand = (sk.index(side + n) for n in ("Shoulder", "Arm", "ForeArm", "Hand"))
    start, elbow, wrist = places[:, upper], places[:, fore], places[:, hand]
    a, b = float(np.linalg.norm(sk.offsets[fore])), float(np.linalg.norm(sk.offsets[hand]))
    goal = wrist + shift - start
    turn = rot.between(wrist - start, goal)  # the whole arm first, so that the elbow keeps its side
    swung, fore_swung = rot.rotate(turn, elbow - start), rot.rotate(turn, wrist - elbow)
    bent = two_bone.solve(goal, swung, a, b, shortest=abs(a - b) + 1.0, longest=(a + b) * _REACH)
    new_upper = rot.mul(rot.between(swung, bent.middle), rot.mul(turn, world[:, upper]))
    new_fore = rot.mul(rot.between(fore_swung, bent.lower), rot.mul(turn, world[:, fore]))
    local[:, upper] = rot.mul(rot.inverse(world[:, collar]), new_upper)
    local[:, fore] = rot.mul(rot.inverse(new_upper), new_fore)
    local[:, hand] = rot.mul(rot.inverse(new_fore), world[:, hand])
