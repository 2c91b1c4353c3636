from __future__ import annotations

from sg_blender_addon.core.joint_groups import (
    ARM,
    FINGER_JOINTS,
    LOWER_BODY,
    SIDES,
    TRUNK,
    arm_joints,
    arm_side,
    trunk_joints,
)
from sg_blender_addon.core.skeleton import canonical


def test_every_joint_belongs_to_one_group() -> None:
    skeleton = canonical()
    groups = [
        [skeleton.index(name) for name in LOWER_BODY],
        trunk_joints(skeleton),
        *(arm_joints(skeleton, side) for side in SIDES),
    ]
    assert sorted(i for group in groups for i in group) == list(range(len(skeleton)))
    assert [skeleton.names[i] for i in trunk_joints(skeleton)] == list(TRUNK)


def test_arms_go_from_the_collar_bone_to_the_finger_tips() -> None:
    skeleton = canonical()
    left = {skeleton.names[i] for i in arm_joints(skeleton, "Left")}
    assert {"Left" + joint for joint in (*ARM, *FINGER_JOINTS)} <= left
    assert all(name.startswith("Left") for name in left)
    assert set(arm_joints(skeleton, *SIDES)) == set(arm_joints(skeleton, "Left")) | set(arm_joints(skeleton, "Right"))
    assert arm_joints(skeleton) == []


def test_the_side_of_an_arm() -> None:
    names = ("LeftHandPinky3", "RightInHandIndex", "RightShoulder", "LeftUpLeg", "RightFoot", "Head", "Hips")
    assert [arm_side(name) for name in names] == ["Left", "Right", "Right", "", "", "", ""]
