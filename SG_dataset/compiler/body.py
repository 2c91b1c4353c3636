"""Trunk, head, collars and legs from channel curves over the rest pose.

Channels are degrees or centimetres over time: lean (forward), turn and tilt (to the right), head_nod (down), head_turn
and head_tilt (to the right), shift (to the right), push (forward), drop (down), hip_turn (right),
raise_/protract_Left/Right (collars), toe_Left/Right (toes lifted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import NECK, SIDES, SPINE, TRUNK
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.legs import plant_feet

Curves = Mapping[str, Floats]

SPINE_SHARES = (0.35, 0.35, 0.30)  # of a turn of the trunk, joint by joint
NECK_SHARES = (0.3, 0.25, 0.45)
BREATH_LIFT, BREATH_PITCH = 0.9, 0.7  # degrees at full breath


@cache
def _index(name: str) -> int:
    return canonical().index(name)


@dataclass
class Body:
    """A posed body: root (F, 3), local rotations (F, J, 4), and world rotations and places of trunk and head joints."""

    fps: float
    root: Floats
    local: Floats
    world: dict[str, Floats]
    places: dict[str, Floats]

    def motion(self) -> Motion:
        return Motion(self.fps, canonical(), self.root, self.local)

    def collar(self, side: str) -> None:
        """Place the shoulder joint and its child after the collar's rotation has been set."""
        sk = canonical()
        name, arm = side + "Shoulder", side + "Arm"
        self.places[name] = self.places["Spine2"] + rot.rotate(self.world["Spine2"], sk.offsets[_index(name)])
        self.world[name] = rot.mul(self.world["Spine2"], self.local[:, _index(name)])
        self.places[arm] = self.places[name] + rot.rotate(self.world[name], sk.offsets[_index(arm)])


def _get(name: str, zero: Floats, *curves: Curves) -> Floats:
    total = zero
    for c in curves:
        if name in c:
            total = total + c[name]
    return total


def pose_body(root: Floats, rest: Floats, fps: float, channels: Curves, sway: Curves) -> Body:
    """Pose everything but the arms. root (F, 3), rest (F, J, 4): the rest pose; channels and sway: curves (F,)."""
    frames = len(root)
    zero = np.zeros(frames)

    def get(name: str) -> Floats:
        return _get(name, zero, channels, sway)

    local = np.array(rest, dtype=float)
    breath = _get("breath", zero, sway)
    trunk = np.stack([get("lean") - BREATH_PITCH * breath, -get("turn"), get("tilt")], -1)
    head = np.stack([get("head_nod") + 0.4 * BREATH_PITCH * breath, -get("head_turn"), get("head_tilt")], -1)
    for chain, shares, vector in ((SPINE, SPINE_SHARES, trunk), (NECK, NECK_SHARES, head)):
        for name, share in zip(chain, shares, strict=True):
            turn = rot.from_rotation_vector(np.radians(vector * share))
            local[:, _index(name)] = rot.mul(turn, local[:, _index(name)])
    local[:, 0] = rot.from_rotation_vector(np.radians(np.stack([zero, -get("hip_turn"), 0.25 * get("tilt")], -1)))
    place = root + np.stack([-get("shift"), -get("drop"), get("push")], -1)
    toes = {s: get("toe_" + s) for s in SIDES if "toe_" + s in channels}
    for name, q in plant_feet(place, local[:, 0], toes or None).items():
        local[:, _index(name)] = q
    body = Body(fps, place, local, {}, {})
    _chain(body)
    for side in SIDES:
        set_collar(body, side, get("raise_" + side) + BREATH_LIFT * breath, get("protract_" + side))
    return body


def set_collar(body: Body, side: str, lift: Floats, protract: Floats) -> None:
    """Turn a collar from rest: lift (up) and protract (forward), degrees (F,)."""
    from SG_dataset.compiler.rest import rest_pose

    sign = 1.0 if side == "Left" else -1.0
    vector = np.radians(np.stack([np.zeros_like(lift), -sign * protract, sign * lift], -1))
    body.local[:, _index(side + "Shoulder")] = rot.mul(
        rot.from_rotation_vector(vector), rest_pose()[1][_index(side + "Shoulder")]
    )
    body.collar(side)


def _chain(body: Body) -> None:
    """World rotations and places of hips, spine and head."""
    sk = canonical()
    body.world["Hips"], body.places["Hips"] = body.local[:, 0], body.root
    for parent, name in pairwise(("Hips", *TRUNK)):
        body.places[name] = body.places[parent] + rot.rotate(body.world[parent], sk.offsets[_index(name)])
        body.world[name] = rot.mul(body.world[parent], body.local[:, _index(name)])
    for side in SIDES:
        name = side + "UpLeg"
        body.places[name] = body.places["Hips"] + rot.rotate(body.world["Hips"], sk.offsets[_index(name)])
        body.world[name] = rot.mul(body.world["Hips"], body.local[:, _index(name)])
