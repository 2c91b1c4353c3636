"""Standing: weight that goes over and stays, steps, feet that do not slide."""

from itertools import pairwise

import numpy as np
import pytest

from sg_blender_addon.core.manner import Manner
from training.assembly import assemble
from training.prosody import Phrase, Prosody

PAUSES = Prosody(
    120.0,
    tuple(Phrase(t, t + 3.2, (), 0.5) for t in np.arange(0.5, 116.0, 4.0)),
    np.zeros(12000),
    np.zeros(12000),
)
CASUAL = Manner(liveliness=1.6, formality=0.0)


@pytest.fixture(scope="module")
def motion(stock):
    return assemble(PAUSES, stock, 7200, np.random.default_rng(2), CASUAL).motion


def ankles(motion):
    positions, _ = motion.forward_kinematics()
    return positions[:, 0], {s: positions[:, motion.skeleton.index(f"{s}Foot")] for s in ("Left", "Right")}


def test_most_of_the_sway_is_weight_that_stays_over_a_foot(motion):
    hips, feet = ankles(motion)
    x = hips[:, 0]
    share = (x - feet["Right"][:, 0]) / (feet["Left"][:, 0] - feet["Right"][:, 0])
    over = np.where(share > 2 / 3, 1, np.where(share < 1 / 3, -1, 0))
    kept = 0.0
    for side in (1, -1):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (over == side).astype(int), [0]])))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            if b - a >= 120:
                kept += (b - a) * (x[a:b].mean() - x.mean()) ** 2
    assert kept > 0.5 * ((x - x.mean()) ** 2).sum()
    assert 1.0 < x.std() < 6.0


def test_feet_stand_still_between_small_steps(motion):
    _, feet = ankles(motion)
    steps = 0
    for path in feet.values():
        down = path[:, 1] < path[:, 1].min() + 0.02
        speed = np.linalg.norm(np.diff(path, axis=0), axis=1) * 60
        assert speed[down[1:] & down[:-1]].mean() < 0.3
        lifted = np.flatnonzero(np.diff((path[:, 1] > path[:, 1].min() + 1.0).astype(int)) == 1)
        steps += len(lifted)
        places = path[np.r_[lifted, -1]] if len(lifted) else path[-1:]
        assert all(np.linalg.norm(b - a) > 3.5 for a, b in pairwise(places))
        assert np.ptp(path[:, 1]) < 5 and np.ptp(path[:, 0]) < 12
    assert 0 < steps < 8


def test_knees_are_soft(motion):
    from sg_blender_addon.core import rotations as rot

    for side in ("Left", "Right"):
        bend = np.degrees(rot.angle(motion.rotations[:, motion.skeleton.index(f"{side}Leg")]))
        assert bend.min() > 3 and np.median(bend) < 45
