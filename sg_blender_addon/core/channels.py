"""Retargeted motion as the channels of pose bones, each in its bone's own rotation mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .retarget import Retargeted
from .target_rig import TargetRig

_PATHS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


@dataclass(frozen=True, eq=False)
class Channel:
    """One animated property of a pose bone: values (F, components)."""

    bone: str
    path: str
    values: Floats


def channels(rig: TargetRig, pose: Retargeted, like: Sequence[Channel] = ()) -> list[Channel]:
    """Pose channels of all mapped bones.

    like: channels whose first frame the new ones should start near (sign of a quaternion, turns of an Euler angle), so
    that the NLA blends between the two without a detour.
    """
    near = {(c.bone, c.path): c.values[0] for c in like}
    out = []
    for i, bone in enumerate(pose.bones):
        name, mode = rig.names[bone], rig.rotation_mode(bone)
        path = _PATHS.get(mode, "rotation_euler")
        out.append(Channel(name, path, _in_mode(pose.rotations[:, i], mode, near.get((name, path)))))
    if pose.location is not None:
        out.append(Channel(rig.names[pose.hips_bone], "location", pose.location))
    return out


def _in_mode(quaternions: Floats, mode: str, near: Floats | None) -> Floats:
    if mode == "QUATERNION":
        flip = near is not None and len(quaternions) and np.dot(near, quaternions[0]) < 0
        return -quaternions if flip else quaternions
    if mode == "AXIS_ANGLE":
        return _axis_angle(quaternions, near)
    return _euler(quaternions, mode, near)


def _axis_angle(q: Floats, near: Floats | None) -> Floats:
    """Angle and axis (F, 4) that move without jumps: the axis is held where the rotation vanishes."""
    q = np.where(np.median(q[:, :1]) < 0, -q, q)
    sine = np.linalg.norm(q[:, 1:], axis=1)
    axis = np.tile([0.0, 1.0, 0.0], (len(q), 1))
    good = sine > 1e-6
    axis[good] = q[good, 1:] / sine[good, None]
    if good.any():  # hold the nearest earlier axis (the first good one before that)
        last = np.maximum.accumulate(np.where(good, np.arange(len(q)), -1))
        axis = axis[np.where(last < 0, np.argmax(good), last)]
    flips = np.cumprod(np.where(np.sum(axis[1:] * axis[:-1], axis=1) < 0, -1.0, 1.0)) if len(q) > 1 else np.ones(0)
    first = -1.0 if near is not None and np.dot(near[1:], axis[0]) < 0 else 1.0
    signs = first * np.concatenate([[1.0], flips])
    angle = np.unwrap(2 * np.arctan2(signs * sine, q[:, 0]))
    return np.column_stack([angle, axis * signs[:, None]])


def _euler(q: Floats, mode: str, near: Floats | None) -> Floats:
    """Euler angles (F, 3) in x, y, z order of storage, of the two solutions the one nearest to the frame before.

    Blender's mode "XYZ" turns about X first, which is the intrinsic order ZYX.
    """
    order = mode[::-1]
    stored = ["XYZ".index(c) for c in order]
    first = rot.to_euler(q, order)
    second = np.stack([first[:, 0] + np.pi, np.pi - first[:, 1], first[:, 2] + np.pi], axis=1)
    both = np.empty((2, len(q), 3))
    both[0][:, stored], both[1][:, stored] = first, second
    before = np.zeros(3) if near is None else np.asarray(near, dtype=float)
    chosen = both[_nearest_solutions(both, before), np.arange(len(q))]
    return np.unwrap(np.concatenate([before[None], chosen]), axis=0)[1:]


def _nearest_solutions(both: Floats, before: Floats) -> list[int]:
    """Which of two solutions (2, F, 3) to take on each frame (F), turns by whole circles not counted.

    Only the choice itself goes frame by frame; what it rests on is calculated for all frames at once.
    """
    previous = np.concatenate([np.broadcast_to(before, (2, 1, 3)), both[:, :-1]], axis=1)
    steps = both[None] - previous[:, None]  # (from which, to which, F, 3)
    steps -= 2 * np.pi * np.round(steps / (2 * np.pi))
    nearer = np.argmin(np.sum(steps * steps, axis=-1), axis=1)
    chosen, last = [], 0
    for following in nearer.T.tolist():
        last = following[last]
        chosen.append(last)
    return chosen
