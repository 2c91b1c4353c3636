"""Finding the body in rigs by name and by hierarchy."""

from __future__ import annotations

import json

import pytest

from sg_blender_addon.core.bone_maps import PRESETS, BoneMap, detect
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.joint_groups import FINGERS, SIDES
from sg_blender_addon.core.skeleton import canonical

CORE = [
    "Hips",
    "Spine2",
    "Neck",
    "Head",
    *(s + p for s in SIDES for p in ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")),
]
DIGITS = [f"{s}Hand{f}{n}" for s in SIDES for f in FINGERS for n in (1, 2, 3)]


def rig_of(names: dict[str, str]) -> tuple[list[str], list[int]]:
    """Bones of a scheme with the canonical hierarchy under a root bone; joints without a name are skipped."""
    skeleton = canonical()
    bones, parents, place = ["Armature_root"], [-1], {}
    for j, joint in enumerate(skeleton.names):
        if joint not in names:
            continue
        parent = skeleton.parents[j]
        while parent >= 0 and skeleton.names[parent] not in place:
            parent = skeleton.parents[parent]
        place[joint] = len(bones)
        parents.append(place[skeleton.names[parent]] if parent >= 0 else 0)
        bones.append(names[joint])
    return bones, parents


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_finds_itself(preset: str) -> None:
    found = detect(*rig_of(PRESETS[preset]))
    assert found.preset == preset
    assert dict(found.joints) == PRESETS[preset]
    assert not found.why_unusable()


@pytest.mark.parametrize("prefix", ["mixamorig:", "mixamorig1:", "mixamorig_", "Bob:mixamorig:", ""])
def test_mixamo_with_any_prefix(prefix: str) -> None:
    bones, parents = rig_of({j: prefix + b for j, b in PRESETS["mixamo"].items()})
    found = detect([*bones, prefix + "LeftHandThumb4", prefix + "LeftToeBase"], [*parents, -1, -1])
    assert found.preset == "mixamo"
    assert found.joints["LeftHandIndex3"] == prefix + "LeftHandIndex3"
    assert set(found.missing) == {"Neck1"} | {f"{s}InHand{f}" for s in SIDES for f in FINGERS[1:]}


def test_a_rig_with_two_of_our_spine_bones_has_its_chest_on_top() -> None:
    names = {j: b for j, b in PRESETS["vrm"].items() if b != "J_Bip_C_UpperChest"}
    found = detect(*rig_of(names))
    assert found.joints["Spine2"] == "J_Bip_C_Chest"
    assert found.joints["Spine"] == "J_Bip_C_Spine"


def scheme(trunk: list[str], limbs: str, finger: str, left: str, right: str) -> dict[str, str]:
    names = dict(zip(["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"], trunk, strict=True))
    for side, s in (("Left", left), ("Right", right)):
        parts = ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")
        for part, word in zip(parts, limbs.split(), strict=True):
            names[side + part] = word.replace("*", s)
        for f in FINGERS:
            for n in (1, 2, 3):
                name = finger.replace("*", s).replace("%", f.lower()).replace("@", f)
                names[f"{side}Hand{f}{n}"] = name.replace("#", str(n))
    return {j: b for j, b in names.items() if b}


STRANGERS = {
    "smpl": scheme(
        ["pelvis", "spine1", "spine2", "spine3", "neck", "head"],
        "*_collar *_shoulder *_elbow *_wrist *_hip *_knee *_ankle",
        "*_%#",
        "left",
        "right",
    ),
    "daz": scheme(
        ["hip", "abdomenLower", "chestLower", "chestUpper", "neckLower", "head"],
        "*Collar *ShldrBend *ForearmBend *Hand *ThighBend *Shin *Foot",
        "*@#",
        "l",
        "r",
    ),
    "biped": scheme(
        ["Bip01 Pelvis", "Bip01 Spine", "Bip01 Spine1", "Bip01 Spine2", "Bip01 Neck", "Bip01 Head"],
        "Bip01_*_Clavicle Bip01_*_UpperArm Bip01_*_Forearm Bip01_*_Hand Bip01_*_Thigh Bip01_*_Calf Bip01_*_Foot",
        "Bip01_*_%#",
        "L",
        "R",
    ),
    "accurig": scheme(
        ["CC_Base_Hip", "CC_Base_Waist", "CC_Base_Spine01", "CC_Base_Spine02", "CC_Base_NeckTwist01", "CC_Base_Head"],
        "CC_Base_*_Clavicle CC_Base_*_Upperarm CC_Base_*_Forearm CC_Base_*_Hand CC_Base_*_Thigh "
        "CC_Base_*_Calf CC_Base_*_Foot",
        "CC_Base_*_%#",
        "L",
        "R",
    ),
    "plain": scheme(
        ["Hips", "Spine", "", "Chest", "Neck", "Head"],
        "Shoulder.* UpperArm.* LowerArm.* Hand.* UpperLeg.* LowerLeg.* Foot.*",
        "%#.*",
        "L",
        "R",
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_other_humanoids_are_read_by_name_and_hierarchy(name: str) -> None:
    names = STRANGERS[name]
    found = detect(*rig_of(names))
    wanted = {j: b for j, b in names.items() if j in CORE or j in DIGITS}
    # the neck of one scheme is a "twist" bone by name: it may be missed, nothing may be wrong
    wrong = {j: (b, found.joints.get(j)) for j, b in wanted.items() if found.joints.get(j) != b}
    assert set(wrong) <= {"Neck"}, wrong


def test_helper_bones_are_never_chosen() -> None:
    bones, parents = rig_of(STRANGERS["plain"])
    extra = ["UpperArm_twist.L", "Hand_IK.L", "Foot.IK.L", "LowerArm.pole.R", "Thumb_tip.L", "Eye.L", "Toe.L"]
    found = detect([*extra, *bones], [-1] * len(extra) + [p + len(extra) if p >= 0 else -1 for p in parents])
    assert not set(extra) & set(found.joints.values())
    assert found.joints["LeftArm"] == "UpperArm.L"


@pytest.mark.parametrize("bones", [[], ["Bone"], ["wheel.L", "wheel.R", "chassis"], ["tail1", "tail2", "head"]])
def test_what_is_no_body_is_said_to_be_none(bones: list[str]) -> None:
    assert detect(bones, [-1] * len(bones)).why_unusable()


def test_a_mapping_goes_through_json_and_can_be_edited() -> None:
    bones, parents = rig_of(PRESETS["mixamo"])
    found = detect(bones, parents)
    again = BoneMap.from_text(json.dumps(found.to_json()), bones)
    assert (again.joints, again.missing, again.score) == (found.joints, found.missing, found.score)
    edited = found.with_joint("Neck1", "Neck")
    assert edited.joints["Neck1"] == "Neck"
    assert "Neck" not in edited.joints
    assert edited.preset == "custom"
    assert "Head" not in found.with_joint("Head", "").joints


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"joints": 3}',
        '{"joints": {"Hips": 1}}',
        '{"joints": {"Tail": "tail"}}',
        '{"joints": {"Hips": "a", "Head": "a"}}',
        '{"joints": {"Hips": "nowhere"}}',
    ],
)
def test_a_bad_mapping_is_explained(text: str) -> None:
    with pytest.raises(UserError) as caught:
        BoneMap.from_text(text, ["a", "b"])
    assert caught.value.code == "bad_mapping"
    assert caught.value.hint


def test_hierarchies_with_loops_do_not_hang() -> None:
    bones, _ = rig_of(STRANGERS["smpl"])
    detect(bones, [(i + 1) % len(bones) for i in range(len(bones))])
