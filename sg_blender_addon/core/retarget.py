"""Canonical motion onto any humanoid rig, whatever its rest pose.

Every mapped bone turns, in the armature's space, by what its joint turns away from the canonical T pose, applied to the
bone's own rest orientation after that has been brought into the same T pose (`rest_alignment`). Because whole-body
rotations are carried over and not local ones, missing spine joints, one neck bone and twist bones need no care, and
bone roll cancels out. Legs are then corrected by a two-bone solve (`foot_planting`).

Spaces: "canonical" is cm, Y up, facing +Z, character's left +X; "armature" is the rig object's own space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .foot_planting import plant_feet
from .motion import Motion
from .rest_alignment import alignment
from .skeleton import canonical
from .target_rig import TargetRig

__all__ = ["Retargeted", "TargetRig", "retarget"]


@dataclass(frozen=True, eq=False)
class Retargeted:
    """Pose of the mapped bones, ready for pose channels.

    bones (M): indices into the rig; rotations (F, M, 4): w x y z relative to the rest pose (a pose bone's basis);
    location (F, 3) or None: basis translation of the hips bone, in that bone's rest frame and the rig's units.
    """

    bones: tuple[int, ...]
    rotations: Floats
    hips_bone: int
    location: Floats | None

    def slice(self, start: int, end: int) -> Retargeted:
        """Frames start..end, end excluded."""
        location = None if self.location is None else self.location[start:end]
        return replace(self, rotations=self.rotations[start:end], location=location)


def retarget(motion: Motion, rig: TargetRig, origin: Sequence[float] | Floats = (0.0, 0.0)) -> Retargeted:
    """Turn canonical motion into bone channels of `rig`.

    origin: (x, z) of the performance's start in canonical cm; there the rig stands on its rest place.
    """
    if not motion.skeleton.same_as(canonical()):
        raise ValueError("only motion of the canonical skeleton can be retargeted")
    positions, world = motion.forward_kinematics()
    turns = _bone_turns(rig, world)
    hips = _hips_path(rig, motion.root_positions, np.asarray(origin, dtype=float), turns)
    plant_feet(rig, positions, world, turns, hips, np.asarray(origin, dtype=float), motion.skeleton.offsets)
    bones = tuple(sorted(set(rig.joints.values())))
    basis = np.stack([_basis(rig, turns, bone) for bone in bones], axis=1) if bones else np.zeros((len(motion), 0, 4))
    hips_bone = rig.joints.get("Hips", -1)
    location = _location(rig, turns, hips, hips_bone) if hips_bone >= 0 else None
    return Retargeted(bones, basis, hips_bone, location)


def _bone_turns(rig: TargetRig, world: Floats) -> list[Floats]:
    """Per bone the rotation (F, 4) in armature space away from its rest; unmapped bones follow their parents."""
    skeleton, aligned = canonical(), alignment(rig)
    joint_of = {bone: joint for joint, bone in rig.joints.items()}
    turns: list[Floats] = []
    for bone, parent in enumerate(rig.parents):
        if bone in joint_of:
            joint = joint_of[bone]
            turn = rot.mul(rot.mul(rig.axes, world[:, skeleton.index(joint)]), rot.inverse(rig.axes))
            turns.append(rot.mul(turn, aligned.get(joint, rot.IDENTITY)))
        elif parent >= 0 and rig.inherits(bone):
            turns.append(turns[parent])
        else:
            turns.append(np.broadcast_to(rot.IDENTITY, (len(world), 4)))
    return turns


def _basis(rig: TargetRig, turns: Sequence[Floats], bone: int) -> Floats:
    """Pose rotation (F, 4) of a bone relative to its rest, in its own axes."""
    parent, rest = rig.parents[bone], rig.rest_rotations[bone]
    turn = turns[bone]
    if parent >= 0 and rig.inherits(bone):
        turn = rot.mul(rot.inverse(turns[parent]), turn)
    basis = rot.continuous(rot.normalize(rot.mul(rot.mul(rot.inverse(rest), turn), rest)))
    # the hemisphere of the identity, so that NLA blending (component by component) of two bakes takes the short way
    return -basis if len(basis) and np.median(basis[:, 0]) < 0 else basis


def _ground_offset(root: Floats, origin: Floats) -> Floats:
    """Root path (F, 3) relative to the rest place, canonical cm."""
    rest = canonical().offsets[0]
    return root - np.array([origin[0], rest[1], origin[1]])


def _hips_path(rig: TargetRig, root: Floats, origin: Floats, turns: Sequence[Floats]) -> Floats | None:
    """Positions (F, 3) of the hips bone's head: the middle of the hip joints follows the source's root, scaled."""
    if "Hips" not in rig.joints:
        return None
    bone, middle = rig.joints["Hips"], rig.middle_of_hips()
    path = middle + rig.scale * rig.to_armature(_ground_offset(root, origin))
    return path + rot.rotate(turns[bone], rig.heads[bone] - middle)


def _location(rig: TargetRig, turns: Sequence[Floats], hips: Floats | None, bone: int) -> Floats | None:
    """Basis translation (F, 3) that puts the hips bone's head at `hips`."""
    if hips is None:
        return None
    parent = rig.parents[bone]
    if parent >= 0 and rig.inherits(bone):  # an unmapped parent never moves: its turn is the identity
        hips = rig.heads[parent] + rot.rotate(rot.inverse(turns[parent]), hips - rig.heads[parent])
    moved = hips - rig.heads[bone]
    local = not rig.local_location or rig.local_location[bone]
    return rot.rotate(rot.inverse(rig.rest_rotations[bone]), moved) if local else moved
