"""Hands stay out of the body, and hands that are out stay where they are."""

import numpy as np

from SG_dataset.checks import penetration
from training.contact import keep_out
from training.measures import hands

from . import synthetic


def depth(motion):
    return penetration(motion, *motion.forward_kinematics())[0]


def test_a_sunken_hand_comes_out():
    from sg_blender_addon.core import rotations as rot

    motion = synthetic.hanging(60)
    j = motion.skeleton.index("LeftArm")
    inwards = rot.from_axis_angle([0.0, 0.0, 1.0], -0.35)
    motion.rotations[:, j] = rot.mul(inwards, motion.rotations[:, j])
    assert depth(motion) > 4
    assert depth(keep_out(motion)) < 1.0


def test_a_free_hand_stays():
    motion = synthetic.gesture(("Left", "Right"), 1.6)
    assert depth(motion) < 0.6
    assert np.array_equal(hands(keep_out(motion)), hands(motion))
