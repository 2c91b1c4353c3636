"""From any BVH skeleton to the canonical one.

The way of `core.retarget`, walked backwards: what a joint turns away from its rest in the world is carried over, after
both rest poses have been brought into the same T pose. So limb and palm directions are those of the source, whatever
its rest pose, axes, scale, proportions or number of joints. A file whose rest pose is no standing body (some exporters
lay all bones along one axis) is read against its first frame instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import FINGERS, SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rest_alignment import alignment
from sg_blender_addon.core.skeleton import Skeleton, canonical
from sg_blender_addon.core.target_rig import TargetRig
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.importing.contact import HEAD_UP

CHAINS = (("Hips", "Spine", "Spine1", "Spine2"), ("Spine2", "Neck", "Neck1", "Head"))


@dataclass(frozen=True, eq=False)
class Posed:
    """A performance in canonical axes and centimetres, not yet on the floor.

    root (F, 3): the middle between the hip joints; world (F, J, 4): world rotations of canonical joints; found: the
    joints that the source had; points: see `contact.keep_contacts`.
    """

    fps: float
    root: Floats
    world: Floats
    found: frozenset[str]
    points: Mapping[str, Floats] = field(default_factory=dict)

    def local(self) -> Floats:
        """Local rotations (F, J, 4)."""
        local = np.array(self.world)
        for j, p in enumerate(canonical().parents):
            if p >= 0:
                local[:, j] = rot.mul(rot.inverse(self.world[:, p]), self.world[:, j])
        return np.asarray(rot.continuous(rot.normalize(local)))


def to_canonical(motion: Motion, joints: Mapping[str, str], rest: str = "auto") -> Posed:
    """Carry a motion of any skeleton over to the canonical one.

    joints: canonical joint -> name in the motion's skeleton. rest: "offsets" (the hierarchy's offsets show the rest
    pose), "first_frame", or "auto" (offsets, where they show a standing body).
    """
    positions, world = motion.forward_kinematics()
    index = {joint: motion.skeleton.index(name) for joint, name in joints.items()}
    rig, turns = _rig(motion.skeleton, motion.skeleton.rest_positions(), index), world
    if rest == "first_frame" or (rest == "auto" and not _stands(rig)):
        rig, turns = _rig(motion.skeleton, positions[0], index), rot.mul(world, rot.inverse(world[:1]))
    root, made = _root(motion, rig, turns), _world(rig, turns)
    points = _points(positions, world, motion.skeleton, rig) | {"Hips": root}
    if "Head" in points:
        up = rot.rotate(made[:, canonical().index("Head")], np.array([0.0, HEAD_UP, 0.0]))
        points["Skull"] = points["Head"] + up
    return Posed(motion.fps, root, made, frozenset(joints), points)


def _rig(skeleton: Skeleton, heads: Floats, joints: Mapping[str, int]) -> TargetRig:
    rest = np.tile(np.eye(4), (len(skeleton), 1, 1))
    rest[:, :3, 3] = heads
    return TargetRig(skeleton.names, skeleton.parents, rest, _tails(skeleton, heads), joints)


def _tails(skeleton: Skeleton, heads: Floats) -> Floats:
    """Where each joint's bone ends: its end site, else the middle of its children, else on along its own offset."""
    tails = heads + np.asarray(skeleton.offsets)
    for joint in range(len(skeleton)):
        children = skeleton.children(joint)
        ends = [heads[joint] + o for p, o in zip(skeleton.end_parents, skeleton.end_offsets, strict=True) if p == joint]
        points = [heads[c] for c in children] or [e for e in ends if np.linalg.norm(e - heads[joint]) > 1e-6]
        if points:
            tails[joint] = np.mean(points, axis=0)
    return np.asarray(tails)


def _stands(rig: TargetRig) -> bool:
    """Whether the rest pose is a person's: head above the hips, feet well below, arms to two sides."""

    def place(joint: str) -> Floats:
        return np.asarray(rot.rotate(rot.inverse(rig.axes), rig.head(joint)))

    top = next((j for j in ("Head", "Neck", "Spine2") if rig.has(j)), "Hips")
    up = place(top)[1] - place("Hips")[1]
    for side in SIDES:
        if rig.has(side + "UpLeg", side + "Foot"):
            leg = place(side + "Foot") - place(side + "UpLeg")
            if leg[1] > -0.5 * np.linalg.norm(leg) or up <= 0:
                return False
    if rig.has("LeftArm", "RightArm", "LeftForeArm", "RightForeArm"):
        shoulders = place("LeftArm")[0] - place("RightArm")[0]
        return bool(up > 0 and 0 < shoulders < place("LeftForeArm")[0] - place("RightForeArm")[0] + shoulders)
    return bool(up > 0)


def _root(motion: Motion, rig: TargetRig, turns: Floats) -> Floats:
    """Path (F, 3) of the middle between the hip joints, canonical axes, cm."""
    hips = rig.joints["Hips"]
    positions = motion.forward_kinematics()[0][:, hips] if hips else motion.root_positions
    middle = positions + rot.rotate(turns[:, hips], rig.middle_of_hips() - rig.heads[hips])
    return np.asarray(rot.rotate(rot.inverse(rig.axes), middle) / rig.scale)


def _points(positions: Floats, world: Floats, skeleton: Skeleton, rig: TargetRig) -> dict[str, Floats]:
    """Places (F, 3) of the source's joints and finger tips in canonical axes and size."""
    ends = dict(zip(skeleton.end_parents, skeleton.end_offsets, strict=True))
    points = {joint: positions[:, bone] for joint, bone in rig.joints.items()}
    for side in SIDES:
        for finger in FINGERS:
            last = rig.joints.get(f"{side}Hand{finger}3", -1)
            if last in ends:
                points[f"{side}{finger}Tip"] = positions[:, last] + rot.rotate(world[:, last], ends[last])
    return {name: np.asarray(rot.rotate(rot.inverse(rig.axes), p) / rig.scale) for name, p in points.items()}


def _world(rig: TargetRig, turns: Floats) -> Floats:
    """World rotations (F, J, 4) of the canonical joints; joints the source lacks are filled in."""
    skeleton, aligned = canonical(), alignment(rig)
    back = rot.inverse(rig.axes)
    world = np.zeros((len(turns), len(skeleton), 4))
    for joint, bone in rig.joints.items():
        turn = rot.mul(turns[:, bone], rot.inverse(aligned.get(joint, rot.IDENTITY)))
        world[:, skeleton.index(joint)] = rot.mul(rot.mul(back, turn), rig.axes)
    for chain in CHAINS:
        _fill_chain(world, chain, rig.joints)
    for j, name in enumerate(skeleton.names):
        if name not in rig.joints and not world[:, j].any():
            world[:, j] = rot.mul(world[:, skeleton.parents[j]], relaxed()[j])
    return world


def _fill_chain(world: Floats, chain: Sequence[str], found: Mapping[str, int]) -> None:
    """Give the missing joints of spine or neck their share of the turn between the joints around them."""
    skeleton = canonical()
    known = [0, *(i for i, name in enumerate(chain) if i and name in found)]
    for i, name in enumerate(chain):
        if i in known:
            continue
        j = skeleton.index(name)
        below = max(k for k in known if k < i)
        above = min((k for k in known if k > i), default=-1)
        if above > 0:
            a, b = (world[:, skeleton.index(chain[k])] for k in (below, above))
            world[:, j] = rot.slerp(a, b, np.full(len(world), (i - below) / (above - below)))
        else:
            world[:, j] = rot.mul(world[:, skeleton.parents[j]], relaxed()[j])


@cache
def relaxed() -> Floats:
    """Local rotations (J, 4) of the shared rest pose: what a joint does that the source does not have."""
    return rest_pose()[1]


__all__ = ["CHAINS", "Posed", "relaxed", "to_canonical"]
