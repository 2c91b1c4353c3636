"""Rotations in every mode that bones can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.channels import channels
from sg_blender_addon.core.retarget import retarget
from tests.core.motions import moving
from tests.core.rig_models import Shape, make_rig

MODES = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


def in_mode(mode: str, frames: int = 60):
    """A rig with all bones in one mode, its retargeted pose and the channels."""
    rig = make_rig(Shape(arms_down=40, roll_seed=3))
    rig = replace(rig, rotation_modes=(mode,) * len(rig.names))
    pose = retarget(moving(2, frames), rig)
    return rig, pose, channels(rig, pose)


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(rot.angle(rot.mul(rot.inverse(a), b)).max()))


def as_quaternions(path: str, values: np.ndarray, mode: str) -> np.ndarray:
    if path == "rotation_quaternion":
        return values
    if path == "rotation_axis_angle":
        return rot.from_axis_angle(values[:, 1:], values[:, 0])
    turned = rot.identity(len(values))
    for axis in mode:  # "XYZ" turns about X first
        index = "XYZ".index(axis)
        turned = rot.mul(rot.from_axis_angle(np.eye(3)[index], values[:, index]), turned)
    return turned


@pytest.mark.parametrize("mode", [*MODES, "AXIS_ANGLE", "QUATERNION"])
def test_every_mode_holds_the_same_rotations(mode: str) -> None:
    _, pose, made = in_mode(mode)
    rotations = [c for c in made if c.path != "location"]
    assert len(rotations) == len(pose.bones)
    for i, channel in enumerate(rotations):
        assert angle_between(as_quaternions(channel.path, channel.values, mode), pose.rotations[:, i]) < 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_euler_angles_take_the_nearer_solution_from_frame_to_frame(mode: str) -> None:
    _, pose, made = in_mode(mode)
    for i, channel in enumerate(c for c in made if c.path == "rotation_euler"):
        last = np.zeros(3)
        for q, got in zip(pose.rotations[:, i], channel.values, strict=True):
            assert np.allclose(got, nearest_angles(q, mode, last), atol=1e-9)
            last = got


def nearest_angles(q: np.ndarray, mode: str, last: np.ndarray) -> np.ndarray:
    """One frame at a time, as one would do it by hand."""
    order = mode[::-1]
    a, b, c = rot.to_euler(q[None], order)[0]
    options = []
    for solution in ((a, b, c), (a + np.pi, np.pi - b, c + np.pi)):
        angles = np.empty(3)
        angles[["XYZ".index(axis) for axis in order]] = solution
        options.append(angles + 2 * np.pi * np.round((last - angles) / (2 * np.pi)))
    return min(options, key=lambda angles: np.sum((angles - last) ** 2))


@pytest.mark.parametrize("mode", ["XYZ", "AXIS_ANGLE", "QUATERNION"])
def test_channels_start_near_those_that_they_blend_with(mode: str) -> None:
    rig, pose, made = in_mode(mode, frames=5)
    sign = -1.0 if mode == "QUATERNION" else 1.0
    turned = [
        replace(c, values=sign * c.values + (2 * np.pi if mode == "XYZ" else 0.0)) for c in made if c.path != "location"
    ]
    again = [c for c in channels(rig, pose, like=turned) if c.path != "location"]
    for channel, near in zip(again, turned, strict=True):
        assert np.allclose(channel.values, near.values, atol=1e-9)
