"""Feet, weight and flesh."""

import numpy as np
import pytest

from backend.measure.body import body_of
from backend.measure.ground import ground, weight

from . import bodies


def test_planted_feet_slide_nothing_and_skating_ones_do():
    assert ground(body_of(bodies.standing(10.0)))["feet slide cm/s"] == pytest.approx(0, abs=1e-9)
    motion = bodies.standing(10.0)
    motion.root_positions[:, 0] += 3.0 * bodies.times_of(motion)
    rows = ground(body_of(motion))
    scale = 54.0 / 57.0  # roughly: the yardstick's arm against the skeleton's
    assert rows["feet slide cm/s"] == pytest.approx(3.0 * scale, rel=0.15)


def test_a_step_is_no_sliding():
    motion = bodies.standing(10.0)
    t = bodies.times_of(motion)
    motion.root_positions[:, 2] += 30 * np.clip((t - 5) / 0.4, 0, 1)
    rows = ground(body_of(motion))
    assert rows["feet slide cm/s"] < 0.1 and rows["steps per min"] == pytest.approx(12)  # both feet, once in 10 s


def test_the_weight_follows_the_hips():
    motion = bodies.keep_feet(bodies.standing(8.0), np.linspace(0, 9.0, 480))
    share = weight(body_of(motion))
    assert share[0] == pytest.approx(0.5, abs=0.01) and np.all(np.diff(share) > 0) and share[-1] > 0.9


def shifting(sideways):
    return ground(body_of(bodies.keep_feet(bodies.standing(60.0), sideways)))


def test_shifts_that_stay_explain_the_sway_and_swaying_does_not():
    t = np.arange(3600) / 60.0
    stays = shifting(7.0 * np.tanh(4 * np.sin(2 * np.pi * t / 20)))
    assert stays["sway in shifts share"] > 0.9 and stays["shifts per min"] == pytest.approx(6)
    sway = shifting(2.5 * np.sin(2 * np.pi * t / 20))
    assert sway["sway in shifts share"] == 0 and sway["shifts per min"] == 0
    hurried = shifting(7.0 * np.sin(2 * np.pi * t / 2.5))
    assert hurried["sway in shifts share"] == 0


def test_a_hand_in_the_belly_is_found():
    motion = bodies.standing(4.0)
    rows = ground(body_of(motion))
    assert rows["hands in body share"] == 0 and rows["hands in body cm max"] < 1
    bodies.turn(motion, "LeftForeArm", [0, -1, 0], np.full(len(motion), 1.0))
    bodies.turn(motion, "LeftArm", [1, 0, 0], np.full(len(motion), 1.6))  # about the arm itself: across the belly
    deep = ground(body_of(motion))
    assert deep["hands in body share"] == 1 and deep["hands in body cm max"] > 2
