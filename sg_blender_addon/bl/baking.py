"""Retargeted motion into Actions: whole arrays at a time, in each bone's own rotation mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..core import rotations as rot
from ..core.retarget import Retargeted, TargetRig
from ..core.rotations import Array
from . import compat

FIRST_KEY = 1.0  # Actions begin at frame 1, as animators expect; where they play is the strip's business
_LINEAR = 1  # `interpolation` of a keyframe: with a key on every frame handles would only cost time
_PATHS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


@dataclass(frozen=True, eq=False)
class Channel:
    """One animated property of a pose bone: values (F, components)."""

    bone: str
    path: str
    values: Array


def channels(armature: bpy.types.Object, rig: TargetRig, pose: Retargeted,
             like: Sequence[Channel] = ()) -> list[Channel]:
    """Pose channels of all mapped bones in the rotation modes the bones have.

    like: channels whose first frame the new ones should start near (sign of a quaternion, turns of an Euler angle), so
    that the NLA blends between the two without a detour.
    """
    near = {(c.bone, c.path): c.values[0] for c in like}
    out = []
    for i, bone in enumerate(pose.bones):
        name = rig.names[bone]
        mode = armature.pose.bones[name].rotation_mode
        path = _PATHS.get(mode, "rotation_euler")
        out.append(Channel(name, path, _in_mode(pose.rotations[:, i], mode, near.get((name, path)))))
    if pose.location is not None:
        out.append(Channel(rig.names[pose.hips_bone], "location", pose.location))
    return out


def _in_mode(quaternions: Array, mode: str, near: Array | None) -> Array:
    if mode == "QUATERNION":
        flip = near is not None and len(quaternions) and np.dot(near, quaternions[0]) < 0
        return -quaternions if flip else quaternions
    if mode == "AXIS_ANGLE":
        return _axis_angle(quaternions, near)
    return _euler(quaternions, mode, near)


def _axis_angle(q: Array, near: Array | None) -> Array:
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


def _euler(q: Array, mode: str, near: Array | None) -> Array:
    """Euler angles (F, 3) in x, y, z order of storage, of the two solutions the one nearest to the frame before.

    Blender's mode "XYZ" turns about X first, which is the intrinsic order ZYX.
    """
    order = mode[::-1]
    stored = ["XYZ".index(c) for c in order]
    first = rot.to_euler(q, order)
    second = np.stack([first[:, 0] + np.pi, np.pi - first[:, 1], first[:, 2] + np.pi], axis=1)
    both = np.empty((2, len(q), 3))
    both[0][:, stored], both[1][:, stored] = first, second
    out = np.empty((len(q), 3))
    last = np.zeros(3) if near is None else np.asarray(near, dtype=float)
    for i in range(len(q)):
        turned = both[:, i] + 2 * np.pi * np.round((last - both[:, i]) / (2 * np.pi))
        last = turned[np.argmin(np.sum((turned - last) ** 2, axis=1))]
        out[i] = last
    return out


def bake(name: str, armature: bpy.types.Object, curves: Sequence[Channel]) -> bpy.types.Action:
    """A new Action with a key on every frame from FIRST_KEY on; frames are the rows of the channels' values."""
    action, _, bag = compat.new_action(name, armature)
    try:
        for channel in curves:
            _write(bag, channel)
    except BaseException:
        bpy.data.actions.remove(action)
        raise
    action.use_fake_user = False
    return action


def _write(bag: bpy.types.Action, channel: Channel) -> None:
    path = f'pose.bones["{bpy.utils.escape_identifier(channel.bone)}"].{channel.path}'
    group = bag.groups.get(channel.bone) or bag.groups.new(channel.bone)
    frames = len(channel.values)
    keys = np.empty((frames, 2), dtype=np.float32)
    keys[:, 0] = FIRST_KEY + np.arange(frames)
    linear = np.full(frames, _LINEAR, dtype=np.int32)
    for component in range(channel.values.shape[1]):
        curve = bag.fcurves.new(path, index=component)
        curve.group = group
        keys[:, 1] = channel.values[:, component]
        points = curve.keyframe_points
        points.add(frames)
        points.foreach_set("co", keys.ravel())
        points.foreach_set("interpolation", linear)
        curve.update()
