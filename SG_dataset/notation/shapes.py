"""Hand shapes: names to rotations of all fifteen finger joints.

Rotations are for the LEFT hand in the canonical T pose (fingers along +X, back of the hand up, thumb side +Z); the
right hand's are the mirror image. Joints come thumb first, then index to little finger, knuckle to end joint.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.skeleton import canonical

FINGERS = ("index", "middle", "ring", "little")
BONES = {"index": "Index", "middle": "Middle", "ring": "Ring", "little": "Pinky", "thumb": "Thumb"}
TIPS = ("thumb", *FINGERS)
_SPREAD_SIGN = {"index": -1.0, "middle": -1.0, "ring": 1.0, "little": 1.0}
# knuckle, middle, end: how far fingers go either way (degrees), after what hands allow
FLEXION_LIMITS = ((-30.0, 95.0), (-5.0, 110.0), (-5.0, 80.0))
_X, _Y, _Z = np.eye(3)


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "shapes.yaml").read_text("utf-8"))
    return data


@cache
def shape_names() -> tuple[str, ...]:
    """All the names a gesture may use."""
    return tuple(_table()["shapes"])


def _numbers(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", str(text))]


def _turn(axis: Floats, degrees: float) -> Floats:
    return rot.from_axis_angle(axis, np.radians(degrees))


def _finger(name: str, spec: str) -> list[Floats]:
    table = _table()["fingers"]
    text = str(spec)
    base, _, spread = text.partition("/")
    flexion = _numbers(table.get(base.strip(), base))
    side = _numbers(spread)[0] if spread else 0.0
    knuckle = rot.mul(_turn(_Y, _SPREAD_SIGN[name] * side), _turn(_Z, -flexion[0]))
    return [knuckle, _turn(_Z, -flexion[1]), _turn(_Z, -flexion[2])]


def _thumb(numbers: list[float]) -> list[Floats]:
    abduct, palmar, turn, first, second = numbers
    base = rot.mul(rot.mul(_turn(_Y, -abduct), _turn(_Z, -palmar)), _turn(_X, turn))
    return [base, _turn(_Z, -first), _turn(_Z, -second)]


def tip_positions(shape: Floats) -> Floats:
    """Finger tips (..., 5, 3) in the left hand's frame, cm, thumb first, for joint rotations (..., 15, 4)."""
    joints = np.asarray(shape).reshape(*np.shape(shape)[:-2], 5, 3, 4)
    offsets = _finger_offsets()
    tip = offsets[:, 3]
    for k in (2, 1, 0):  # from the tip inwards no rotations need to be multiplied
        tip = offsets[:, k] + rot.rotate(joints[..., k, :], tip)
    return tip


def finger_points(shape: Floats) -> Floats:
    """Knuckle, middle joint, end joint and tip (..., 5, 4, 3) of each finger in the left hand's frame, thumb first."""
    joints = np.asarray(shape).reshape(*np.shape(shape)[:-2], 5, 3, 4)
    offsets = _finger_offsets()
    turn = joints[..., 0, :]
    points = [np.broadcast_to(offsets[:, 0], (*joints.shape[:-3], 5, 3))]
    for k in range(3):
        turn = turn if k == 0 else rot.mul(turn, joints[..., k, :])
        points.append(points[-1] + rot.rotate(turn, offsets[:, k + 1]))
    return np.stack(points, -2)


@cache
def _finger_offsets() -> Floats:
    """Offsets (5, 4, 3): hand to knuckle, then bone by bone to the tip."""
    sk = canonical()
    ends = {sk.names[p]: sk.end_offsets[i] for i, p in enumerate(sk.end_parents)}
    table = np.zeros((5, 4, 3))
    for i, finger in enumerate(TIPS):
        bones = [f"LeftHand{BONES[finger]}{k}" for k in (1, 2, 3)]
        joint, offset = sk.index(bones[0]), np.zeros(3)
        while sk.names[joint] != "LeftHand":
            offset = offset + sk.offsets[joint]
            joint = sk.parents[joint]
        table[i] = [offset, sk.offsets[sk.index(bones[1])], sk.offsets[sk.index(bones[2])], ends[bones[2]]]
    return table


def _thumb_touching(finger: str, rotations: list[Floats]) -> list[Floats]:
    """The thumb whose pad meets the pad of a finger: a small damped least-squares search over its five angles."""
    shape = np.concatenate([np.tile(rot.identity(), (3, 1)), np.array(rotations)])
    points = finger_points(shape)[TIPS.index(finger)]
    bone = points[3] - points[2]
    # pad to pad: the two tips lie one finger's thickness apart, on the palm's side of the finger
    chain = rot.identity()
    for k in range(3):
        chain = rot.mul(chain, shape[3 * TIPS.index(finger) + k])
    pad = rot.rotate(chain, -_Y)
    goal = points[3] - 0.15 * bone + 1.25 * pad
    start = np.array([34.0, 42.0, 78.0, 14.0, 14.0])
    low, high = np.array([0.0, -10.0, 40.0, -15.0, -15.0]), np.array([62.0, 66.0, 95.0, 58.0, 72.0])
    angles = start.copy()

    def miss(a: Floats) -> Floats:
        thumb = np.concatenate([np.array(_thumb(list(a))), shape[3:]])
        return np.concatenate([finger_points(thumb)[0, 3] - goal, 0.012 * (a - start)])

    for _ in range(40):
        value = miss(angles)
        slope = np.stack([(miss(angles + d) - value) / 0.5 for d in np.eye(5) * 0.5], 1)
        step = np.linalg.solve(slope.T @ slope + 1e-5 * np.eye(5), -slope.T @ value)
        angles = np.clip(angles + np.clip(step, -15, 15), low, high)
    return _thumb(list(angles))


@cache
def hand_shape(name: str) -> Floats:
    """Local rotations (15, 4) of the left hand's finger joints for a named shape; UserError if there is none."""
    shapes = _table()["shapes"]
    if name not in shapes:
        raise UserError(
            f"There is no hand shape called {name!r}.", f"Known shapes: {', '.join(shapes)}.", "bad_notation"
        )
    spec = shapes[name]
    fingers = [q for f in FINGERS for q in _finger(f, spec[f])]
    thumb = str(spec["thumb"])
    if thumb.startswith("touch "):
        first = _thumb_touching(thumb.removeprefix("touch "), fingers)
    else:
        first = _thumb(_numbers(_table()["thumbs"].get(thumb, thumb)))
    result = np.array(first + fingers)
    result.setflags(write=False)
    return result
