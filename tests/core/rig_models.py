"""Rigs at rest made of numbers: the canonical skeleton in other poses, proportions, bone rolls, axes and units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.retarget import Retargeted, TargetRig
from sg_blender_addon.core.skeleton import canonical

Z_UP = rot.from_axis_angle([1.0, 0.0, 0.0], np.pi / 2)
"""Canonical axes to Blender's: Z up, facing -Y."""
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


@dataclass
class Shape:
    """How a model differs from the canonical skeleton."""

    arms_down: float = 0.0
    """Degrees below the T pose (an A pose has about 45)."""
    finger_bend: float = 0.0
    palm_turn: float = 0.0
    """Degrees the hands are turned about the arm at rest (thumbs forward: 90)."""
    elbow_bend: float = 0.0
    legs_apart: float = 0.0
    axes: tuple[float, ...] = tuple(Z_UP)
    unit: float = 0.01
    drop: tuple[str, ...] = ()
    roll_seed: int = 1
    leg_stretch: float = 1.0
    shin_stretch: float = 1.0


def rest_motion(shape: Shape) -> Motion:
    """The rest pose as one canonical frame."""
    motion = Motion.rest(canonical(), 1, 60.0)
    q = motion.rotations

    def turn(joint: str, axis: list[float], degrees: float) -> None:
        i = canonical().index(joint)
        q[0, i] = rot.mul(rot.from_axis_angle(axis, np.radians(degrees)), q[0, i])

    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        turn(side + "Arm", [0, 0, 1], -sign * shape.arms_down)
        turn(side + "ForeArm", [0, 1, 0], -sign * shape.elbow_bend)
        turn(side + "Hand", [1, 0, 0], shape.palm_turn)
        turn(side + "UpLeg", [0, 0, 1], sign * shape.legs_apart)
        turn(side + "Foot", [0, 0, 1], -sign * shape.legs_apart)
        for finger in FINGERS:
            for n in (1, 2, 3):
                axis, degrees = ([0, 0, 1], -sign * shape.finger_bend) if finger != "Thumb" else ([0, 1, 0], -sign * 20)
                turn(f"{side}Hand{finger}{n}", axis, degrees if finger != "Thumb" or n == 1 else 0.0)
    return motion


def make_rig(shape: Shape) -> TargetRig:
    """A rig whose bones are the canonical joints (less `drop`) at this rest pose, with random rolls."""
    skeleton, rng = canonical(), np.random.default_rng(shape.roll_seed)
    offsets = np.array(skeleton.offsets)
    for side in ("Left", "Right"):
        offsets[skeleton.index(side + "Leg")] *= shape.leg_stretch
        offsets[skeleton.index(side + "Foot")] *= shape.shin_stretch
    motion = rest_motion(shape)
    motion = Motion(
        60.0,
        type(skeleton)(skeleton.names, skeleton.parents, offsets, skeleton.end_parents, skeleton.end_offsets),
        motion.root_positions,
        motion.rotations,
    )
    positions, world = (a[0] for a in motion.forward_kinematics())
    ends = dict(zip(skeleton.end_parents, motion.end_positions()[0], strict=True))
    names = ["root"] + [n for n in skeleton.names if n not in shape.drop]
    heads, tails, parents = [np.zeros(3)], [np.array([0.0, 20.0, 0.0])], [-1]
    for name in names[1:]:
        j = skeleton.index(name)
        parent = skeleton.parents[j]
        while parent >= 0 and skeleton.names[parent] in shape.drop:
            parent = skeleton.parents[parent]
        heads.append(positions[j])
        following = [positions[c] for c in skeleton.children(j) if skeleton.names[c] not in shape.drop]
        tails.append(
            ends[j]
            if j in ends
            else following[0]
            if following
            else positions[j] + rot.rotate(world[j], offsets[j]) * 0.5
        )
        parents.append(names.index(skeleton.names[parent]) if parent >= 0 else 0)
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    axes = np.array(shape.axes)
    head_points = rot.rotate(axes, np.array(heads) * shape.unit)
    tail_points = rot.rotate(axes, np.array(tails) * shape.unit)
    for i in range(len(names)):
        along = rot.between([0.0, 1.0, 0.0], tail_points[i] - head_points[i])
        roll = rot.from_axis_angle([0.0, 1.0, 0.0], rng.uniform(-np.pi, np.pi))
        rest[i, :3, :3] = rot.to_matrix(rot.mul(along, roll))
        rest[i, :3, 3] = head_points[i]
    joints = {name: i for i, name in enumerate(names) if name != "root"}
    return TargetRig(tuple(names), tuple(parents), rest, tail_points, joints)


def pose(rig: TargetRig, result: Retargeted) -> tuple[np.ndarray, np.ndarray]:
    """Blender's own forward kinematics: head positions (F, N, 3) and turns away from rest (F, N, 4)."""
    frames = len(result.rotations)
    matrices = np.zeros((frames, len(rig.names), 4, 4))
    basis_of = {bone: i for i, bone in enumerate(result.bones)}
    for b, parent in enumerate(rig.parents):
        basis = np.tile(np.eye(4), (frames, 1, 1))
        if b in basis_of:
            basis[:, :3, :3] = rot.to_matrix(result.rotations[:, basis_of[b]])
        if b == result.hips_bone and result.location is not None:
            basis[:, :3, 3] = result.location
        local = rig.rest[b] if parent < 0 else np.linalg.inv(rig.rest[parent]) @ rig.rest[b]
        matrices[:, b] = (np.tile(np.eye(4), (frames, 1, 1)) if parent < 0 else matrices[:, parent]) @ local @ basis
    turns = rot.from_matrix(matrices[..., :3, :3] @ np.swapaxes(rig.rest[:, :3, :3], 1, 2))
    return matrices[..., :3, 3], turns
