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


def test_a_hand_does_not_hide_the_face():
    """Arms held out ahead with hands before the face come down; the same hands before the chest stay."""
    from sg_blender_addon.core import rotations as rot

    def knuckle_from_view(up):
        motion = synthetic.hanging(60)
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            arm, fore = (motion.skeleton.index(side + name) for name in ("Arm", "ForeArm"))
            motion.rotations[:, arm] = rot.from_axis_angle([0.0, 1.0, 0.0], -sign * np.pi / 2)
            goal = rot.normalize(np.array([0.0, up, 0.6]))
            motion.rotations[:, fore] = rot.between(np.array([sign, 0.0, 0.0]), goal)
        places, _ = keep_out(motion).forward_kinematics()
        before, _ = motion.forward_kinematics()
        j, head = motion.skeleton.index("LeftHand"), motion.skeleton.index("Head")
        return before[0, j] - before[0, head], places[:, j] - places[:, head]

    was, now = knuckle_from_view(0.8)
    assert abs(was[0]) < 8 and was[1] > 0 and (np.hypot(now[:, 0], now[:, 1] - 5) > 6).all()
    was, now = knuckle_from_view(-0.3)
    assert np.allclose(was, now, atol=0.01)
