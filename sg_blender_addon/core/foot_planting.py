"""Legs of any proportions whose feet stay where the source's feet stay: a two-bone solve after retargeting."""

from __future__ import annotations

import numpy as np

from . import rotations as rot
from . import two_bone
from .arrays import Floats
from .joint_groups import SIDES
from .skeleton import canonical
from .target_rig import FORWARD, UP, TargetRig

_FULL_REACH = 0.9995  # a leg is never straightened further: at the limit the knee flips


def plant_feet(
    rig: TargetRig,
    positions: Floats,
    world: Floats,
    turns: list[Floats],
    hips: Floats | None,
    origin: Floats,
    offsets: Floats,
) -> None:
    """Correct thigh and shin turns so that each ankle follows the source's ankle, scaled, at the rig's own stance."""
    if hips is None:
        return
    skeleton, rest = canonical(), canonical().rest_positions()
    heading = _stance(rig, world)
    for side in SIDES:
        joints = (side + "UpLeg", side + "Leg", side + "Foot")
        if not rig.has(*joints):
            continue
        thigh, shin, foot = (rig.joints[j] for j in joints)
        ankle = skeleton.index(joints[2])
        source = positions[:, ankle] - np.array([origin[0], rest[ankle, 1], origin[1]])
        wider = rig.heads[thigh] - rig.middle_of_hips()
        wider = wider - rig.scale * rig.to_armature(offsets[skeleton.index(joints[0])])
        up = rig.to_armature(UP)
        height = np.dot(rig.heads[foot], up)
        middle = rig.middle_of_hips()
        ground = middle - up * np.dot(middle, up)
        goal = ground + up * height + rig.scale * rig.to_armature(source)
        goal = goal + rot.rotate(heading, wider - up * np.dot(wider, up))
        start = hips + rot.rotate(turns[rig.joints["Hips"]], rig.heads[thigh] - rig.heads[rig.joints["Hips"]])
        _solve_leg(rig, turns, (thigh, shin, foot), start, goal)


def _stance(rig: TargetRig, world: Floats) -> Floats:
    """Turn (F, 4) about the vertical, armature space: where both feet together point."""
    feet = [canonical().index(side + "Foot") for side in SIDES]
    toes = rot.rotate(world[:, feet], FORWARD).mean(axis=1) * np.array([1.0, 0.0, 1.0])
    yaw = rot.from_axis_angle(UP, np.arctan2(toes[:, 0], toes[:, 2]))
    return rot.mul(rot.mul(rig.axes, yaw), rot.inverse(rig.axes))


def _solve_leg(rig: TargetRig, turns: list[Floats], bones: tuple[int, int, int], start: Floats, goal: Floats) -> None:
    """Two-bone solve: from start (F, 3) reach goal (F, 3), the knee staying in the plane that the source bent it in."""
    thigh, shin, foot = bones
    upper = rot.rotate(turns[thigh], rig.heads[shin] - rig.heads[thigh])
    lower = rot.rotate(turns[shin], rig.heads[foot] - rig.heads[shin])
    a, b = np.linalg.norm(upper, axis=-1), np.linalg.norm(lower, axis=-1)
    pole = _knee_pole(upper, lower, rot.rotate(turns[thigh], rig.to_armature(FORWARD)))
    limits = {"shortest": np.abs(a - b) * 1.001 + 1e-9, "longest": (a + b) * _FULL_REACH}
    bent = two_bone.solve(goal - start, pole, a, b, **limits)
    turns[thigh] = rot.mul(rot.between(upper, bent.middle), turns[thigh])
    turns[shin] = rot.mul(rot.between(lower, bent.lower), turns[shin])


def _knee_pole(upper: Floats, lower: Floats, forward: Floats) -> Floats:
    """Direction (F, 3) that the knee goes to: as bent, the thigh's front when straight."""
    chord = rot.normalize(upper + lower)
    bent = upper - chord * np.sum(upper * chord, axis=-1, keepdims=True)
    size = np.linalg.norm(upper, axis=-1, keepdims=True)
    return bent + 0.02 * size * forward  # 0.02 of the thigh: about a degree of bend, where its direction is noise
