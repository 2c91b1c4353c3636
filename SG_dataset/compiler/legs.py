"""Legs that keep the feet where they stand while the hips move."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler import fast

Floats = NDArray[np.floating[Any]]
TOE_OUT = np.radians(7.0)


@cache
def foot_places() -> dict[str, Floats]:
    """Ankle positions (3,) in cm, standing, centred under the hips."""
    sk = canonical()
    rest = sk.rest_positions()
    return {s: rest[sk.index(s + "Foot")] * [1.0, 1.0, 0.0] for s in ("Left", "Right")}


def plant_feet(root: Floats, hips: Floats, toes: dict[str, Floats] | None = None) -> dict[str, Floats]:
    """Local rotations (F, 4) of thighs, shins and feet for hips at `root` (F, 3) turned by `hips` (F, 4).

    `toes`: degrees (F,) by which a foot's toes are lifted about its heel."""
    sk = canonical()
    result: dict[str, Floats] = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        thigh, shin = (abs(sk.offsets[sk.index(side + n)][1]) for n in ("Leg", "Foot"))
        joint = root + fast.rotate(hips, sk.offsets[sk.index(side + "UpLeg")])
        outward = rot.from_axis_angle([0.0, 1.0, 0.0], sign * TOE_OUT)
        foot = np.broadcast_to(outward, (len(root), 4))
        ankle = np.broadcast_to(foot_places()[side], root.shape)
        lift = toes.get(side) if toes else None
        if lift is not None:
            tilt = rot.from_axis_angle([1.0, 0.0, 0.0], -np.radians(lift))
            heel = np.array([0.0, -8.0, -5.0])
            ankle = ankle + fast.rotate(foot, heel - fast.rotate(tilt, np.broadcast_to(heel, root.shape)))
            foot = fast.mul(foot, tilt)
        line = ankle - joint
        reach = np.minimum(np.linalg.norm(line, axis=-1), thigh + shin - 0.02)
        cosine = (thigh**2 + reach**2 - shin**2) / (2 * thigh * reach)
        bend = np.arccos(np.clip(cosine, -1, 1))
        knee = np.pi - np.arccos(np.clip((thigh**2 + shin**2 - reach**2) / (2 * thigh * shin), -1, 1))
        # the knee goes forward over the toes: pole is the foot's direction
        down = fast.normalize(line)
        ahead = fast.rotate(foot, np.array([0.0, 0.0, 1.0]))
        ahead = fast.normalize(ahead - fast.dot(ahead, down) * down)
        up_leg_down = np.cos(bend)[:, None] * down + np.sin(bend)[:, None] * ahead
        up_leg_ahead = np.cos(bend)[:, None] * ahead - np.sin(bend)[:, None] * down
        world = fast.from_matrix(np.stack([fast.cross(-up_leg_down, up_leg_ahead), -up_leg_down, up_leg_ahead], -1))
        shin_local = rot.from_axis_angle([1.0, 0.0, 0.0], knee)
        result[side + "UpLeg"] = fast.mul(fast.inverse(hips), world)
        result[side + "Leg"] = shin_local
        result[side + "Foot"] = fast.mul(fast.inverse(fast.mul(world, shin_local)), foot)
    return result
