"""The demo character's rest pose, and how surfaces are tied to its joints.

Canonical centimetres, Y up, facing +Z, in an A pose: arms modelled half-way down deform best where gestures live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core import rotations as rot
from ...core.arrays import Floats
from ...core.joint_groups import SIDES
from ...core.motion import Motion
from ...core.skeleton import canonical
from .sdf import Mesh, smoothstep

Weights = dict[str, Floats]
ARMS_DOWN = 48.0
"""Degrees of the A pose below the horizontal."""
_SPREAD = {"Index": 5.0, "Middle": 0.5, "Ring": -4.0, "Pinky": -9.0}


@dataclass(frozen=True, eq=False)
class Part:
    """A surface of one colour; weights: joint -> (V)."""

    colour: str
    mesh: Mesh
    weights: Weights


class Pose:
    """The rest pose: joint positions (3) and world rotations (4) by name, end sites as `<joint>_end`."""

    def __init__(self) -> None:
        motion = _rest_pose()
        positions, world = motion.forward_kinematics()
        skeleton = canonical()
        self.at: dict[str, Floats] = dict(zip(skeleton.names, positions[0], strict=True))
        self.turn: dict[str, Floats] = dict(zip(skeleton.names, world[0], strict=True))
        for joint, place in zip(skeleton.end_parents, motion.end_positions()[0], strict=True):
            self.at[skeleton.names[joint] + "_end"] = place

    def in_hand(self, side: str, joint: str) -> Floats:
        """A joint's place in the hand's own frame."""
        return rot.rotate(rot.inverse(self.turn[side + "Hand"]), self.at[joint] - self.at[side + "Hand"])


def _rest_pose() -> Motion:
    motion = Motion.rest(canonical(), 1, 60.0)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        turns: dict[str, tuple[Sequence[float], float]] = {
            side + "Arm": ([0, 0, 1], -sign * ARMS_DOWN),
            side + "ForeArm": ([0, 1, 0], -sign * 9.0),
        }
        turns |= {f"{side}Hand{f}1": ([0, 1, 0], -sign * degrees) for f, degrees in _SPREAD.items()}
        turns[side + "HandThumb1"] = ([0.0, 0.9, 0.45], -sign * 42.0)
        turns[side + "HandThumb2"] = ([0, 1, 0], sign * 14.0)
        for joint, (axis, degrees) in turns.items():
            motion.rotations[0, canonical().index(joint)] = rot.from_axis_angle(axis, np.radians(degrees))
    return motion


def along(p: Floats, a: Floats, b: Floats) -> Floats:
    """Distance of points along the line from a to b, from a on."""
    way = b - a
    return (p - a) @ way / np.linalg.norm(way)


def stack(value: Floats, steps: list[tuple[str, float, float]], first: str) -> Weights:
    """Weights of a chain: `first` up to the first step, then each joint from its (centre, half width) on."""
    out: Weights = {first: np.ones(len(value))}
    last = first
    for joint, centre, half in steps:
        share = smoothstep(value, centre - half, centre + half)
        out[joint] = out[last] * share
        out[last] = out[last] * (1 - share)
        last = joint
    return out


def mix(a: Weights, b: Weights, share: Floats) -> Weights:
    """a where share is 0, b where it is 1."""
    out: Weights = {joint: w * (1 - share) for joint, w in a.items()}
    for joint, w in b.items():
        out[joint] = out.get(joint, 0.0) + w * share
    return out


def spine_weights(pose: Pose, p: Floats) -> Weights:
    y = p[:, 1]
    steps = [
        (j, pose.at[j][1], h)
        for j, h in (("Spine", 6.0), ("Spine1", 7.0), ("Spine2", 6.0), ("Neck", 3.0), ("Neck1", 3.0), ("Head", 3.5))
    ]
    return stack(y, steps, "Hips")


def bones(pose: Pose) -> Mapping[str, tuple[Floats, Floats]]:
    """Head and tail (3) of every joint's bone."""
    skeleton = canonical()
    first = {"Hips": "Spine", "Spine2": "Neck", "Head": "Head_end"}
    first |= {s + "Hand": s + "HandMiddle1" for s in SIDES}
    out: dict[str, tuple[Floats, Floats]] = {}
    for j, name in enumerate(skeleton.names):
        children = [skeleton.names[c] for c in skeleton.children(j)] or [name + "_end"]
        out[name] = (pose.at[name], pose.at[first.get(name, children[0])])
    return out
