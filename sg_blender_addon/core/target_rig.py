"""A rig at rest: its bones, which of them play which joint, its own axes and its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .joint_groups import SIDES
from .skeleton import canonical

UP, LEFT, FORWARD = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])  # canonical axes
_SNAP_DEGREES = 20.0  # a rig this close to an axis was meant to stand on it


@dataclass(frozen=True, eq=False)
class TargetRig:
    """A rig at rest.

    names (N): bones, parents before children; parents (N): index or -1; rest (N, 4, 4): rest matrices in armature space
    (Blender's `bone.matrix_local`: Y along the bone); tails (N, 3): bone ends in armature space; joints: canonical
    joint -> bone index; inherits_rotation, local_location (N): Blender's bone flags; rotation_modes (N): Blender's, all
    quaternions when empty.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: Floats
    tails: Floats
    joints: Mapping[str, int]
    inherits_rotation: tuple[bool, ...] = ()
    local_location: tuple[bool, ...] = ()
    rotation_modes: tuple[str, ...] = ()

    @cached_property
    def rest_rotations(self) -> Floats:
        """Rest orientations (N, 4), armature space."""
        axes = self.rest[:, :3, :3] / np.maximum(np.linalg.norm(self.rest[:, :3, :3], axis=1, keepdims=True), 1e-12)
        return rot.from_matrix(axes)

    @property
    def heads(self) -> Floats:
        """Bone heads (N, 3), armature space."""
        return self.rest[:, :3, 3]

    def same_as(self, other: TargetRig) -> bool:
        """Whether motion made for the one fits the other."""
        plain = ("names", "parents", "joints", "inherits_rotation", "local_location", "rotation_modes")
        return (
            all(getattr(self, name) == getattr(other, name) for name in plain)
            and np.array_equal(self.rest, other.rest)
            and np.array_equal(self.tails, other.tails)
        )

    def has(self, *joints: str) -> bool:
        return all(joint in self.joints for joint in joints)

    def head(self, joint: str) -> Floats:
        """Rest position (3) of a joint's bone."""
        position: Floats = self.heads[self.joints[joint]]
        return position

    def inherits(self, bone: int) -> bool:
        """Whether the bone turns with its parent."""
        return not self.inherits_rotation or self.inherits_rotation[bone]

    def rotation_mode(self, bone: int) -> str:
        return self.rotation_modes[bone] if self.rotation_modes else "QUATERNION"

    def to_armature(self, v: Floats) -> Floats:
        """Canonical directions (..., 3) in armature space."""
        return rot.rotate(self.axes, v)

    def middle_of_hips(self) -> Floats:
        """Midpoint (3) of the hip joints, else the hips bone's head."""
        legs = [self.head(side + "UpLeg") for side in SIDES if self.has(side + "UpLeg")]
        middle: Floats = np.mean(legs, axis=0) if len(legs) == 2 else self.head("Hips")
        return middle

    @cached_property
    def axes(self) -> Floats:
        """Quaternion (4) that turns canonical axes into armature axes."""
        return _axes(self)

    @cached_property
    def scale(self) -> float:
        """Armature units per canonical centimetre: legs, else trunk, else arms."""
        return _scale(self)


def _snap(v: Floats, to: Floats | None = None) -> Floats:
    """The axis nearest to direction v if it is near, else v."""
    axis = np.zeros(3)
    axis[np.argmax(np.abs(v))] = np.sign(v[np.argmax(np.abs(v))])
    return axis if to is not None or np.dot(axis, rot.normalize(v)) > np.cos(np.radians(_SNAP_DEGREES)) else v


def _axes(rig: TargetRig) -> Floats:
    low = [rig.head(j) for j in ("Hips", "LeftUpLeg", "RightUpLeg", "Spine", "Spine2") if rig.has(j)]
    high = [rig.head(j) for j in ("Head", "Neck", "LeftShoulder", "RightShoulder", "LeftArm", "RightArm") if rig.has(j)]
    up = _snap(np.mean(high[:2], axis=0) - low[0]) if low and high else np.array([0.0, 0.0, 1.0])
    across = [
        rig.head("Left" + j) - rig.head("Right" + j)
        for j in ("Arm", "UpLeg", "Shoulder", "ForeArm", "Hand")
        if rig.has("Left" + j, "Right" + j)
    ]
    left = _snap(across[0]) if across else LEFT
    up = rot.normalize(up)
    left = rot.normalize(left - up * np.dot(left, up))
    return rot.from_matrix(np.stack([left, up, np.cross(left, up)], axis=1))


def _path_length(rig: TargetRig, joints: Sequence[str]) -> tuple[float, float]:
    """Length along joints on the rig and on the canonical skeleton, zeros when one is missing."""
    if not rig.has(*joints):
        return 0.0, 0.0
    rest = dict(zip(canonical().names, canonical().rest_positions(), strict=True))
    pairs = list(pairwise(joints))
    return (
        sum(float(np.linalg.norm(rig.head(b) - rig.head(a))) for a, b in pairs),
        sum(float(np.linalg.norm(rest[b] - rest[a])) for a, b in pairs),
    )


def _scale(rig: TargetRig) -> float:
    candidates = (
        [[s + j for j in ("UpLeg", "Leg", "Foot")] for s in SIDES],
        [["Hips", "Head"]],
        [[s + j for j in ("Arm", "ForeArm", "Hand")] for s in SIDES],
        [[s + "Arm", s + "ForeArm"] for s in SIDES],
    )
    for paths in candidates:
        lengths = np.array([_path_length(rig, path) for path in paths]).sum(axis=0)
        if lengths[1] > 0 and lengths[0] > 0:
            return float(lengths[0] / lengths[1])
    return 0.01
