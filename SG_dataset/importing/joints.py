"""Which joint of a BVH file plays which canonical joint.

The names of the SeG data set and numbered fingers ("Finger0" is the thumb, "Finger01" its second bone) are known here;
every other scheme is `core.bone_maps`' business. A mapping made by hand goes before both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sg_blender_addon.core.bone_maps import BoneMap, detect
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.joint_groups import FINGERS, SIDES
from sg_blender_addon.core.skeleton import Skeleton

_SEG_MIDDLE = {"Hips": "Hips", "Spine": "Chest", "Spine2": "Chest2", "Neck": "Neck", "Head": "Head"}
_SEG_LIMBS = {
    "Shoulder": "Collar",
    "Arm": "Shoulder",
    "ForeArm": "Elbow",
    "Hand": "Wrist",
    "UpLeg": "Hip",
    "Leg": "Knee",
    "Foot": "Ankle",
}
_NUMBERED = re.compile(r"(?i)finger_?(\d)(\d?)$")


def seg_names() -> dict[str, str]:
    """Canonical joint -> joint name in SeG's BVH files."""
    names = dict(_SEG_MIDDLE)
    for side in SIDES:
        names |= {side + ours: side + theirs for ours, theirs in _SEG_LIMBS.items()}
        for number, finger in enumerate(FINGERS):
            for bone in (1, 2, 3):
                names[f"{side}Hand{finger}{bone}"] = f"{side}Finger{number}{bone - 1 or ''}"
    return names


def find_joints(skeleton: Skeleton, by_hand: Mapping[str, str] | None = None) -> BoneMap:
    """Canonical joints in a BVH skeleton; `by_hand` (canonical -> its name) overrides what the names tell.

    UserError when a named joint does not exist, or when too little is found for gestures to make sense.
    """
    found = _by_names(skeleton)
    if by_hand:
        checked = BoneMap.from_json({"joints": dict(by_hand)}, skeleton.names)
        taken = set(checked.joints.values())
        found = {j: b for j, b in found.items() if b not in taken} | dict(checked.joints)
        found = {j: b for j, b in found.items() if by_hand.get(j, b)}  # an empty name says: there is none
    result = BoneMap.make("import", found)
    why = result.why_unusable()
    if not why and "Hips" not in result.joints:
        why = "No hips were found among its joints."
    if why:
        raise UserError(why, "Name its joints in a mapping file (see docs/own-library.md).", "unknown_skeleton")
    return result


def _by_names(skeleton: Skeleton) -> dict[str, str]:
    seg = {joint: name for joint, name in seg_names().items() if name in skeleton}
    if {"LeftCollar", "LeftElbow", "RightElbow", "Hips"} <= set(skeleton.names):
        return seg
    found = dict(detect(skeleton.names, skeleton.parents).joints)
    for side in SIDES:
        numbered = _numbered_fingers(skeleton, found.get(side + "Hand"))
        if numbered:
            found = {j: b for j, b in found.items() if not _is_finger(j, side)}
            found |= {f"{side}Hand{finger}{bone}": name for (finger, bone), name in numbered.items()}
    return found


def _is_finger(joint: str, side: str) -> bool:
    return any(joint.startswith(f"{side}{kind}{f}") for f in FINGERS for kind in ("Hand", "InHand"))


def _numbered_fingers(skeleton: Skeleton, hand: str | None) -> dict[tuple[str, int], str]:
    """(finger, bone 1..3) -> name for Biped's scheme, which counts from 0 and would read as another finger."""
    if hand is None:
        return {}
    found: dict[tuple[str, int], str] = {}
    top = skeleton.index(hand)
    for joint, name in enumerate(skeleton.names):
        match = _NUMBERED.search(name)
        if match and int(match[1]) < len(FINGERS) and _below(skeleton, joint, top) and int(match[2] or 0) < 3:
            found[FINGERS[int(match[1])], int(match[2] or 0) + 1] = name
    return found if ("Thumb", 1) in found else {}


def _below(skeleton: Skeleton, joint: int, top: int) -> bool:
    while joint >= 0 and joint != top:
        joint = skeleton.parents[joint]
    return joint == top
