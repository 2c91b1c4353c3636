"""Legs that keep the feet where they stand while the hips move."""

from __future__ import annotations

from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.skeleton import canonical

TOE_OUT = np.radians(7.0)
KNEE_SLACK = 0.02  # cm short of straight and of folded legs


@cache
def foot_places() -> dict[str, Floats]:
    """Ankle positions (3,) in cm, standing, centred under the hips."""
    sk = canonical()
    rest = sk.rest_positions()
    return {s: rest[sk.index(s + "Foot")] * [1.0, 1.0, 0.0] for s in SIDES}


def plant_feet(root: Floats, hips: Floats, toes: dict[str, Floats] | None = None) -> dict[str, Floats]:
    """Local rotations (F, 4) of thighs, shins and feet for hips at `root` (F, 3) turned by `hips` (F, 4).

    `toes`: degrees (F,) by which a foot's toes are lifted about its heel."""
    sk = canonical()
    result: dict[str, Floats] = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        thigh, shin = (abs(sk.offsets[sk.index(side + n)][1]) for n in ("Leg", "Foot"))
        joint = root + rot.rotate(hips, sk.offsets[sk.index(side + "UpLeg")])
        outward = rot.from_axis_angle([0.0, 1.0, 0.0], sign * TOE_OUT)
        foot = np.broadcast_to(outward, (len(root), 4))
        ankle = np.broadcast_to(foot_places()[side], root.shape)
        lift = toes.get(side) if toes else None
        if lift is not None:
            tilt = rot.from_axis_angle([1.0, 0.0, 0.0], -np.radians(lift))
            heel = np.array([0.0, -8.0, -5.0])
            ankle = ankle + rot.rotate(foot, heel - rot.rotate(tilt, np.broadcast_to(heel, root.shape)))
            foot = rot.mul(foot, tilt)
        # the knee goes forward over the toes: pole is the foot's direction
        ahead = rot.rotate(foot, np.array([0.0, 0.0, 1.0]))
        limits = {"shortest": abs(thigh - shin) + KNEE_SLACK, "longest": thigh + shin - KNEE_SLACK}
        world, knee = two_bone.solve_hinge(ankle - joint, ahead, thigh, shin, **limits)
        result[side + "UpLeg"] = rot.mul(rot.inverse(hips), world)
        result[side + "Leg"] = knee
        result[side + "Foot"] = rot.mul(rot.inverse(rot.mul(world, knee)), foot)
    return result
