"""From a rig's rest pose (T, A, bent fingers, any bone roll) to the canonical T pose."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .joint_groups import FINGERS, SIDES
from .skeleton import canonical
from .target_rig import FORWARD, UP, TargetRig


def _end(rig: TargetRig, joint: str, following: str) -> Floats:
    """Where the limb that starts at `joint` ends at rest: the next joint, else the bone's child, else its tail."""
    bone = rig.joints[joint]
    if following in rig.joints:
        return rig.head(following)
    reach = np.linalg.norm(rig.tails[bone] - rig.heads[bone])
    children = [
        i
        for i, p in enumerate(rig.parents)
        if p == bone and np.linalg.norm(rig.heads[i] - rig.heads[bone]) > 0.2 * reach
    ]
    tail: Floats = rig.heads[children[0]] if len(children) == 1 else rig.tails[bone]
    return tail


def _canonical_direction(joint: str, following: str) -> Floats:
    skeleton = canonical()
    if following in skeleton:
        return np.asarray(skeleton.offsets[skeleton.index(following)], dtype=float)
    ends = dict(zip(skeleton.end_parents, skeleton.end_offsets, strict=True))
    return np.asarray(ends[skeleton.index(joint)], dtype=float)


def _align_limb(rig: TargetRig, joint: str, following: str, parent: Floats) -> Floats:
    """Swing, after the parent limb's alignment, that lays the rest direction on the T pose's.

    Twist stays the parent's.
    """
    direction = _end(rig, joint, following) - rig.head(joint)
    if np.linalg.norm(direction) < 1e-9:
        return parent
    goal = rig.to_armature(_canonical_direction(joint, following))
    return rot.mul(rot.between(rot.rotate(parent, direction), goal), parent)


def _hand_frame(points: Mapping[str, Floats], side: str) -> Floats | None:
    """Rotation matrix (3, 3) of a hand: along to the knuckles, across from little to index finger."""
    knuckles = [points[f"{side}Hand{f}1"] for f in FINGERS[1:] if f"{side}Hand{f}1" in points]
    if len(knuckles) < 2 or side + "Hand" not in points:
        return None
    along = rot.normalize(np.mean(knuckles, axis=0) - points[side + "Hand"])
    across: Floats = knuckles[0] - knuckles[-1]
    across = across - along * np.dot(across, along)
    if np.linalg.norm(across) < 1e-6:
        return None
    across = rot.normalize(across)
    return np.stack([along, across, np.cross(along, across)], axis=1)


def _align_hand(rig: TargetRig, side: str, forearm: Floats) -> Floats:
    """Palm and knuckles as in the T pose; without fingers the hand goes on as the forearm does."""
    present = {j: rig.heads[b] for j, b in rig.joints.items()}
    own = _hand_frame(present, side)
    rest = {n: p for n, p in zip(canonical().names, canonical().rest_positions(), strict=True) if n in present}
    goal = _hand_frame(rest, side)
    if own is None or goal is None:
        return _align_limb(rig, side + "Hand", f"{side}HandMiddle1", forearm)
    axes = rot.to_matrix(rig.axes)
    return rot.from_matrix(axes @ goal @ own.T)


def _align_foot(rig: TargetRig, side: str) -> Floats:
    """Only the heading: the rest pose's sole is flat on the floor and must stay so."""
    foot, toe = rig.joints[side + "Foot"], _end(rig, side + "Foot", "")
    up, forward = rig.to_armature(UP), rig.to_armature(FORWARD)
    direction = toe - rig.heads[foot]
    flat = direction - up * np.dot(direction, up)
    if np.linalg.norm(flat) < 0.3 * np.linalg.norm(direction) or np.dot(rot.normalize(flat), forward) < 0.5:
        return rot.IDENTITY
    return rot.between(flat, forward)


@lru_cache(maxsize=4)
def alignment(rig: TargetRig) -> dict[str, Floats]:
    """For each joint the rotation (4), armature space, from the rig's rest pose to the canonical T pose.

    Trunk, neck, head and collar bones keep their rest: it is the character's own upright build, and laying a curved
    spine along our straight one would deform it.
    """
    aligned: dict[str, Floats] = {}
    for side in SIDES:
        arm = _align_if(rig, aligned, side + "Arm", side + "ForeArm", rot.IDENTITY)
        forearm = _align_if(rig, aligned, side + "ForeArm", side + "Hand", arm)
        if side + "Hand" in rig.joints:
            aligned[side + "Hand"] = _align_hand(rig, side, forearm)
            if side + "ForeArm" in aligned:
                aligned[side + "ForeArm"] = _share_twist(rig, side, forearm, aligned[side + "Hand"])
        for finger in FINGERS:
            before = aligned.get(side + "Hand", forearm)
            aligned[f"{side}InHand{finger}"] = before
            for n in (1, 2, 3):
                before = _align_if(rig, aligned, f"{side}Hand{finger}{n}", f"{side}Hand{finger}{n + 1}", before)
        thigh = _align_if(rig, aligned, side + "UpLeg", side + "Leg", rot.IDENTITY)
        _align_if(rig, aligned, side + "Leg", side + "Foot", thigh)
        if side + "Foot" in rig.joints:
            aligned[side + "Foot"] = _align_foot(rig, side)
    return aligned


def _align_if(rig: TargetRig, aligned: dict[str, Floats], joint: str, following: str, parent: Floats) -> Floats:
    if joint not in rig.joints:
        return parent
    aligned[joint] = _align_limb(rig, joint, following, parent)
    return aligned[joint]


def _share_twist(rig: TargetRig, side: str, forearm: Floats, hand: Floats) -> Floats:
    """Half of the hand's twist against the forearm goes to the forearm, as radius and ulna would take it."""
    along = rig.to_armature(_canonical_direction(side + "ForeArm", side + "Hand"))
    _, twist = rot.swing_twist(rot.mul(hand, rot.inverse(forearm)), along)
    return rot.mul(rot.slerp(rot.IDENTITY, twist, 0.5), forearm)
