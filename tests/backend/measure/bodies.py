"""Motions made from formulas, whose numbers are known before they are measured."""

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

FPS = 60.0


def standing(seconds, fps=FPS):
    """Standing still with hanging arms."""
    motion = Motion.rest(canonical(), round(seconds * fps), fps)
    for side, sign in (("Left", -1), ("Right", 1)):
        motion.rotations[:, motion.skeleton.index(f"{side}Arm")] = rot.from_axis_angle([0, 0, 1], sign * 1.25)
    return motion


def times_of(motion):
    return np.arange(len(motion)) / motion.fps


def turn(motion, joint, axis, radians):
    """Turn a joint by `radians` (F,) about an axis, on top of what it does."""
    j = motion.skeleton.index(joint)
    motion.rotations[:, j] = rot.mul(motion.rotations[:, j], rot.from_axis_angle(np.asarray(axis, float), radians))
    return motion


def keep_feet(motion, sideways):
    """Move the hips by `sideways` (F,) cm to the left; both legs are turned so that the ankles stay where they were."""
    motion.root_positions[:, 0] += sideways
    length = motion.skeleton.rest_positions()[motion.skeleton.index("LeftUpLeg"), 1] - 8.0
    for side in ("Left", "Right"):
        turn(motion, f"{side}UpLeg", [0, 0, 1], -np.arctan2(sideways, length))
    return motion


def strokes(motion, at, joint="LeftForeArm", axis=(0, -1, 0), size=0.6, wide=0.08):
    """A quick bend and return at each of the times; the speed is greatest about `wide` before and after them."""
    t = times_of(motion)
    bend = sum(size * np.exp(-0.5 * ((t - x) / wide) ** 2) for x in at)
    return turn(motion, joint, axis, bend)
