"""The canonical skeleton's joints by part of the body. Names of an arm, a leg or a hand stand without their side."""

from __future__ import annotations

from .skeleton import Skeleton

SIDES = ("Left", "Right")
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
SPINE = ("Spine", "Spine1", "Spine2")
NECK = ("Neck", "Neck1", "Head")
TRUNK = (*SPINE, *NECK)
ARM = ("Shoulder", "Arm", "ForeArm", "Hand")  # from the collar bone
LEG = ("UpLeg", "Leg", "Foot")
FINGER_JOINTS = tuple(f"Hand{finger}{k}" for finger in FINGERS for k in (1, 2, 3))
LOWER_BODY = ("Hips", *(side + joint for side in SIDES for joint in LEG))


def arm_side(name: str) -> str:
    """The side ("Left", "Right") of a joint between collar bone and finger tips; empty for all others."""
    for side in SIDES:
        joint = name.removeprefix(side)
        if joint != name and (joint in ARM or joint.startswith(("Hand", "InHand"))):
            return side
    return ""


def arm_joints(skeleton: Skeleton, *sides: str) -> list[int]:
    """Indices of the joints from collar bone to finger tips, in the skeleton's order."""
    return [i for i, name in enumerate(skeleton.names) if arm_side(name) and arm_side(name) in sides]


def trunk_joints(skeleton: Skeleton) -> list[int]:
    """Indices of spine, neck and head, in the skeleton's order."""
    return [i for i, name in enumerate(skeleton.names) if name in TRUNK]
