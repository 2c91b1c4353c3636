"""Every known skeleton as the same parts, and what cannot be measured."""

import numpy as np
import pytest

from backend.measure.body import ARM, FPS, body_of, hands, parts_of, speed, spin
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton, canonical

from . import bodies


def test_parts_at_one_rate_and_one_size():
    body = body_of(bodies.standing(4.0))
    assert len(body) == 4 * FPS and body.seconds == pytest.approx(4.0)
    arm = np.linalg.norm(body.at["armR"] - body.at["foreR"], axis=1) + np.linalg.norm(
        body.at["foreR"] - body.at["handR"], axis=1
    )
    assert arm == pytest.approx(ARM, rel=1e-3) and np.all(body.at["pelvis"][0] == 0)
    left, right = hands(body)
    assert left[0, 0] > 10 and right[0, 0] < -10 and left[0, 1] == pytest.approx(right[0, 1], abs=0.01)
    assert len(body.fingers) == len([n for n in canonical().names if "Hand" in n and n[-1].isdigit()])


def test_a_turning_pelvis_turns_at_its_speed():
    """A sine of amplitude A and frequency f has the speed A 2 pi f at most and 2/pi of that on average."""
    motion = bodies.standing(20.0)
    swing = np.radians(10) * np.sin(2 * np.pi * 0.25 * bodies.times_of(motion))
    speeds = spin(body_of(bodies.turn(motion, "Hips", [0, 1, 0], swing)).turn["pelvis"])
    top = 10 * 2 * np.pi * 0.25
    assert speeds.max() == pytest.approx(top, rel=0.02) and speeds.mean() == pytest.approx(top * 2 / np.pi, rel=0.02)


def test_speed_of_a_path():
    path = np.outer(np.arange(90) / FPS, [3.0, 0.0, 4.0])
    assert speed(path)[10:-10] == pytest.approx(5.0)


def test_other_names_are_the_same_parts():
    names = list(canonical().names)
    biped = {"Hips": "Bip01 Pelvis", "Spine2": "Bip01 Spine2", "Head": "Bip01 Head"}
    for side, tag in (("Left", "L"), ("Right", "R")):
        parts = {"Shoulder": "Clavicle", "Arm": "UpperArm", "ForeArm": "Forearm", "Hand": "Hand", "Foot": "Foot"}
        biped |= {side + ours: f"Bip01 {tag} {theirs}" for ours, theirs in parts.items()}
    renamed = tuple(biped.get(n, f"x{i}") for i, n in enumerate(names))
    ours, theirs = parts_of(tuple(names))[0], parts_of(renamed)[0]
    assert set(theirs) == set(ours) and {k: v for k, v in theirs.items() if k != "chest"} == {
        k: v for k, v in ours.items() if k != "chest"
    }


def test_what_cannot_be_measured():
    with pytest.raises(UserError, match="unknown names"):
        body_of(Motion.rest(Skeleton(("a", "b"), (-1, 0), np.zeros((2, 3))), 90, 30.0))
    with pytest.raises(UserError, match="shorter than a second"):
        body_of(bodies.standing(0.5))
