"""Standing right: facing +Z, our height, feet on the floor where our rest pose has them, legs of our length.

A foot that stands through a clip is put on the rest pose's place; a foot that steps, taps or kicks keeps its movement
relative to where it started. Knees then bend as the hips ask (two-bone solve).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.legs import KNEE_SLACK
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.importing.retarget import Posed
from SG_dataset.importing.smooth import low_pass

UP = np.array([0.0, 1.0, 0.0])
AHEAD = np.array([0.0, 0.0, 1.0])
STANDING = 4.0  # cm that the ankle of a standing foot may wander (mocap noise, weight shifts)
UNLIFTED, SLIDES = 2.5, 12.0  # cm: a foot that never rises by more slides rather than steps, up to so far
STEPS = 2.0  # Hz: what an ankle does faster is shaking, not stepping
FLAT = np.radians(12.0)  # that a standing foot may turn


@dataclass(frozen=True, eq=False)
class Stance:
    """Where ankles and feet are to be: per side ankle places (F, 3), foot rotations (F, 4), and whether it stands."""

    ankles: Mapping[str, Floats]
    feet: Mapping[str, Floats]
    stands: Mapping[str, bool]


@cache
def rest_stance() -> dict[str, tuple[Floats, Floats]]:
    """Ankle place (3,) and foot rotation (4,) of each side in the shared rest pose."""
    root, local = rest_pose()
    places, world = Motion(60.0, canonical(), root[None], local[None]).forward_kinematics()
    return {
        side: (places[0, canonical().index(side + "Foot")], world[0, canonical().index(side + "Foot")])
        for side in SIDES
    }


def face_forward(posed: Posed, still: slice) -> Posed:
    """Turn the whole performance so that hips and chest face +Z on average over the `still` frames."""
    trunk = posed.world[still][:, [canonical().index("Hips"), canonical().index("Spine2")]]
    ahead = rot.rotate(trunk, AHEAD).mean(axis=(0, 1)) * np.array([1.0, 0.0, 1.0])
    if np.linalg.norm(ahead) < 0.2:  # lying or somersaulting: no heading to speak of
        return posed
    turn = rot.between(ahead, AHEAD)
    points = {name: np.asarray(rot.rotate(turn, p)) for name, p in posed.points.items()}
    return replace(posed, root=rot.rotate(turn, posed.root), world=rot.mul(turn, posed.world), points=points)


def on_floor(posed: Posed, still: slice) -> tuple[Floats, Stance]:
    """Root path (F, 3) over our floor, starting at the rest place, and the stance of the feet."""
    root = np.array(posed.root)
    rest_root = rest_pose()[0]
    if not {"LeftFoot", "RightFoot"} <= posed.found:  # no legs: it stands as we do
        root += rest_root - np.median(root[still], axis=0)
        return root, _standing(len(root))
    places = Motion(posed.fps, canonical(), root, posed.local()).forward_kinematics()[0]
    ankles = {side: places[:, canonical().index(side + "Foot")] for side in SIDES}
    lowest = np.percentile(np.minimum(*(a[:, 1] for a in ankles.values())), 5)
    middle = np.mean([np.median(a[still], axis=0) for a in ankles.values()], axis=0)
    goal = np.mean([place for place, _ in rest_stance().values()], axis=0)
    shift = np.array([goal[0] - middle[0], goal[1] - lowest, goal[2] - middle[2]])
    return root + shift, _stance(posed, {side: a + shift for side, a in ankles.items()}, still)


def _standing(frames: int) -> Stance:
    stance = rest_stance()
    return Stance(
        {s: np.tile(stance[s][0], (frames, 1)) for s in SIDES},
        {s: np.tile(stance[s][1], (frames, 1)) for s in SIDES},
        dict.fromkeys(SIDES, True),
    )


def _stance(posed: Posed, ankles: Mapping[str, Floats], still: slice) -> Stance:
    standing = _standing(len(posed.root))
    places, feet, stands = dict(standing.ankles), dict(standing.feet), dict(standing.stands)
    for side in SIDES:
        foot = rot.continuous(posed.world[:, canonical().index(side + "Foot")])
        start = rot.normalize(np.mean(foot[still], axis=0))
        moved = rot.mul(foot, rot.inverse(start))
        path = ankles[side] - np.median(ankles[side][still], axis=0)
        wander = np.ptp(low_pass(path, posed.fps, STEPS), axis=0)
        least = SLIDES if wander[1] < UNLIFTED else STANDING
        if wander.max() < least and float(rot.angle(moved).max()) < FLAT:
            continue
        stands[side] = False
        place, turn = rest_stance()[side]
        places[side] = np.maximum(place + path, [-np.inf, place[1] - 1.0, -np.inf])
        feet[side] = rot.mul(moved, turn)
    return Stance(places, feet, stands)


def bend_legs(root: Floats, local: Floats, stance: Stance, poles: Mapping[str, Floats]) -> Floats:
    """Local rotations (F, J, 4) with legs that reach the stance's ankles from hips at `root` (F, 3).

    poles: per side directions (F, 3) that the knees go to.
    """
    local = np.array(local)
    skeleton, hips = canonical(), local[:, 0]
    for side in SIDES:
        names = [side + n for n in ("UpLeg", "Leg", "Foot")]
        upper, lower, foot = (skeleton.index(n) for n in names)
        start = root + rot.rotate(hips, skeleton.offsets[upper])
        a, b = (float(np.linalg.norm(skeleton.offsets[joint])) for joint in (lower, foot))
        limits = {"shortest": abs(a - b) + KNEE_SLACK, "longest": a + b - KNEE_SLACK}
        thigh, knee = two_bone.solve_hinge(stance.ankles[side] - start, poles[side], a, b, **limits)
        local[:, upper] = rot.mul(rot.inverse(hips), thigh)
        local[:, lower] = knee
        local[:, foot] = rot.mul(rot.inverse(rot.mul(thigh, knee)), stance.feet[side])
    return local


def knee_poles(posed: Posed, stance: Stance) -> dict[str, Floats]:
    """Where the knees point (F, 3): the source's thighs, drawn to the foot's heading."""
    poles = {}
    for side in SIDES:
        toes = rot.rotate(stance.feet[side], AHEAD)
        if side + "UpLeg" in posed.found:
            toes = toes + 0.5 * rot.rotate(posed.world[:, canonical().index(side + "UpLeg")], AHEAD)
        poles[side] = toes
    return poles


def lower_to_reach(root: Floats, local: Floats, stance: Stance) -> Floats:
    """Root path (F, 3) lowered, by one amount for the whole clip, until standing feet can be reached."""
    skeleton = canonical()
    least = 0.0
    for side in SIDES:
        length = float(np.linalg.norm(skeleton.offsets[skeleton.index(side + "Leg")])) + float(
            np.linalg.norm(skeleton.offsets[skeleton.index(side + "Foot")])
        )
        start = root + rot.rotate(local[:, 0], skeleton.offsets[skeleton.index(side + "UpLeg")])
        line = start - stance.ankles[side]
        flat = np.linalg.norm(line[:, [0, 2]], axis=-1)
        highest = np.sqrt(np.maximum((length - KNEE_SLACK) ** 2 - flat**2, 0.0))
        least = max(least, float(np.percentile(line[:, 1] - highest, 95)))
    return root - np.array([0.0, max(least, 0.0), 0.0])


__all__ = [
    "Stance",
    "bend_legs",
    "face_forward",
    "knee_poles",
    "lower_to_reach",
    "on_floor",
    "rest_stance",
]
