"""Arms: what holds on to something is alive and stays where it is."""

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.manner import Manner
from training.arms import add_beats
from training.measures import hands

from . import synthetic


def test_a_hold_is_renewed_and_stays_in_its_place():
    motion = synthetic.hanging(1200)
    before = hands(motion)
    times, held = np.arange(1200) / 60, np.ones(1200)
    add_beats(motion.rotations, "Left", np.zeros(1200), held, [], times, Manner(), np.random.default_rng(1))
    assert np.allclose(hands(motion), before)
    finger = motion.rotations[:, motion.skeleton.index("LeftHandMiddle2")]
    closed = np.degrees(rot.angle(rot.mul(rot.inverse(finger[:1]), finger)))
    assert 3 < np.ptp(closed) < 20
    wrist = motion.rotations[:, motion.skeleton.index("LeftHand")]
    assert np.degrees(rot.angle(rot.mul(rot.inverse(wrist[:1]), wrist))).max() < 4
