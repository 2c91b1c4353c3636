"""The rows about movement, on motions whose numbers are known."""

import numpy as np
import pytest

from backend.measure.body import body_of
from backend.measure.liveliness import different, liveliness

from . import bodies


def sine(motion, degrees, hertz):
    return np.radians(degrees) * np.sin(2 * np.pi * hertz * bodies.times_of(motion))


def test_a_statue_has_no_life():
    rows = liveliness(body_of(bodies.standing(10.0)))
    moving = [k for k in rows if k.endswith(("p50", "p90", "sd")) or "jerk" in k or k == "strokes per min"]
    assert len(moving) > 20 and all(abs(rows[k]) < 1e-3 for k in moving)
    assert rows["rest share"] == 1 and rows["distinct still poses"] == rows["rest poses held 4 s"] == 1
    assert rows["hand up share"] == rows["hold share"] == 0 and np.isnan(rows["left-right speed corr"])


def test_only_what_turns_is_said_to_turn():
    motion = bodies.standing(40.0)
    rows = liveliness(body_of(bodies.turn(motion, "Head", [0, 1, 0], sine(motion, 20, 0.5))))
    assert rows["head/chest deg/s p90"] == pytest.approx(20 * np.pi * np.sin(np.radians(81)), rel=0.03)
    assert rows["pelvis deg/s p90"] < 1e-3 and rows["clavicles deg/s p90"] < 1e-3 and rows["wrists deg/s p90"] < 1e-3


def test_a_tremble_is_power_over_3_hz():
    slow, fast = (bodies.standing(40.0) for _ in range(2))
    bodies.turn(slow, "Hips", [0, 1, 0], sine(slow, 5, 0.5))
    bodies.turn(fast, "Hips", [0, 1, 0], sine(fast, 0.5, 6.0))
    assert liveliness(body_of(slow))["pelvis power over 3 Hz"] < 0.01
    rows = liveliness(body_of(fast))
    assert rows["pelvis power over 3 Hz"] > 0.95 and rows["head power over 3 Hz"] > 0.95


def test_strokes_and_the_hand_that_makes_them():
    motion = bodies.strokes(bodies.standing(60.0), np.arange(2.0, 58.0, 2.0), "LeftArm", (0, 0, 1), 0.8, 0.15)
    rows = liveliness(body_of(motion))
    # up and down again are two movements
    assert rows["strokes per min"] == pytest.approx(56, abs=2)
    assert rows["only left moves share"] == 1 and rows["only right moves share"] == 0


def test_poses_that_are_rested_in():
    motion = bodies.standing(40.0)
    t = bodies.times_of(motion)
    up = 1.2 * (np.clip(t - 10, 0, 1) - np.clip(t - 20, 0, 1)) + 0.6 * (np.clip(t - 30, 0, 1) - np.clip(t - 33, 0, 1))
    rows = liveliness(body_of(bodies.turn(motion, "LeftForeArm", [0, -1, 0], up)))
    assert rows["rest poses held 4 s"] == 2 and rows["distinct still poses"] == 3


def test_near_poses_are_one():
    assert different(np.zeros((0, 6))) == 0 and different(np.zeros((1, 6))) == 1
    assert different(np.array([[0.0] * 6, [1.0] * 6, [30.0] * 6])) == 2
