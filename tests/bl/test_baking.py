"""Round trips: what was baked is what the armature does, on rigs of many makes."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import baking, compat, metadata, rigs  # noqa: E402 - only with bpy
from sg_blender_addon.bl.steps import finish  # noqa: E402
from sg_blender_addon.core.channels import Channel, channels  # noqa: E402
from sg_blender_addon.core.errors import UserError  # noqa: E402
from sg_blender_addon.core.retarget import retarget  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.motions import moving  # noqa: E402
from tests.core.rig_models import FINGERS, Shape  # noqa: E402

ARMS = [(s + a, s + b) for s in ("Left", "Right") for a, b in (("Arm", "ForeArm"), ("ForeArm", "Hand"))]
DIGITS = [(f"{s}Hand{f}{n}", f"{s}Hand{f}{n + 1}") for s in ("Left", "Right") for f in FINGERS for n in (1, 2)]
RIGS = {
    "mixamo_t": lambda: rig_scenes.mixamo(Shape()),
    "mixamo_a": lambda: rig_scenes.mixamo(Shape(arms_down=45, finger_bend=12, elbow_bend=10, roll_seed=8)),
    "rigify_metarig": rig_scenes.metarig,
}


def baked(obj, motion):
    """Bake a motion as the active Action, one key per frame of the motion from frame 1 on."""
    bone_map = rigs.detect_bones(obj)
    rig = rigs.read_rig(obj, bone_map)
    action = rig_scenes.bake("Test", obj, channels(rig, retarget(motion, rig)))
    compat.assign(obj.animation_data_create(), action)
    return bone_map, rig, action


@pytest.mark.parametrize("name", RIGS)
def test_limbs_and_fingers_follow_the_source(name):
    rig_scenes.fresh(60)
    obj, motion = RIGS[name](), moving(1, frames=30)
    bone_map, rig, _ = baked(obj, motion)
    for frame in (1, 9, 20, 30):
        error = rig_scenes.limb_error(obj, bone_map.joints, motion, (frame - 1) / 60, frame, ARMS + DIGITS, rig.axes)
        assert error < 0.5


@pytest.mark.parametrize("mode", ["XYZ", "ZXY", "YZX", "AXIS_ANGLE", "QUATERNION"])
def test_bones_keep_their_own_rotation_mode(mode):
    rig_scenes.fresh(60)
    obj, motion = rig_scenes.mixamo(Shape(arms_down=40, roll_seed=3)), moving(2, frames=30)
    for bone in obj.pose.bones:
        bone.rotation_mode = mode
    bone_map, rig, action = baked(obj, motion)
    assert {b.rotation_mode for b in obj.pose.bones} == {mode}
    # Between frames a jump of an angle would show. An axis that is interpolated near no rotation wavers by itself.
    between = 5.0 if mode == "AXIS_ANGLE" else 1.0
    for frame, most in ((1, 0.5), (8, 0.5), (15.5, between), (22.5, between), (30, 0.5)):
        error = rig_scenes.limb_error(obj, bone_map.joints, motion, (frame - 1) / 60, frame, ARMS + DIGITS, rig.axes)
        assert error < most
    for curve in compat.fcurves(action):
        if "rotation_axis_angle" not in curve.data_path:
            values = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
            curve.keyframe_points.foreach_get("co", values)
            assert np.abs(np.diff(values[1::2])).max() < 1.2


def test_only_mapped_bones_get_channels_grouped_by_bone():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    bone_map, _, action = baked(obj, moving(0, frames=3))
    bones = {c.data_path.split('"')[1] for c in compat.fcurves(action)}
    assert bones == set(bone_map.joints.values())
    assert {c.group.name for c in compat.fcurves(action)} == bones
    assert not any("location" in c.data_path and "Hips" not in c.data_path for c in compat.fcurves(action))
    assert action.frame_range[:] == (1.0, 3.0)


def test_awkward_bone_names_are_escaped():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    odd = 'arm "x" \\ left'
    obj.data.bones["mixamorig:LeftArm"].name = odd
    bone_map = rigs.detect_bones(obj).with_joint("LeftArm", odd)
    rig = rigs.read_rig(obj, bone_map)
    action = rig_scenes.bake("Odd", obj, channels(rig, retarget(moving(0, frames=4), rig)))
    compat.assign(obj.animation_data_create(), action)
    rest = np.array(obj.data.bones[odd].matrix_local)
    assert not np.allclose(rig_scenes.evaluated(obj, 2)[odd], rest, atol=1e-3)


def test_the_fingerprint_is_that_of_the_keys_as_blender_holds_them():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    rig = rigs.read_rig(obj, rigs.detect_bones(obj))
    made = finish(baking.bake("Test", obj.name, channels(rig, retarget(moving(3, frames=9), rig)), baking.Tally(1)))
    action = baking.find(made.uid)
    assert made.content == metadata.content_hash(action) == finish(baking.read(made.uid))
    next(compat.fcurves(action)).keyframe_points[4].co.y += 1e-4
    assert made.content != metadata.content_hash(action) == finish(baking.read(made.uid))


def test_long_curves_are_written_one_by_one_and_short_ones_together():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    tally = baking.Tally(3 * baking.KEYS_AT_ONCE + 30)
    long, short = (Channel("mixamorig:Hips", "location", np.zeros((n, 3))) for n in (baking.KEYS_AT_ONCE, 10))
    assert [round(f, 3) for f in baking.bake("Long", obj.name, [long], tally)] == [0.333, 0.666, 0.999]
    assert list(baking.bake("Short", obj.name, [short], tally)) == [1.0]


def test_what_is_unfinished_goes():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    kept = bpy.data.actions.new("Kept")
    twice = [Channel("a", "location", np.zeros((2, 3)))] * 2
    with pytest.raises(RuntimeError), baking.all_or_nothing():
        finish(baking.bake("Broken", obj.name, twice, baking.Tally(1)))
    assert list(bpy.data.actions) == [kept]


def test_an_action_removed_while_it_is_written_is_one_sentence():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    long = Channel("mixamorig:Hips", "location", np.zeros((baking.KEYS_AT_ONCE, 3)))
    steps = baking.bake("Long", obj.name, [long], baking.Tally(1))
    next(steps)
    bpy.data.actions.remove(bpy.data.actions["Long"])
    with pytest.raises(UserError, match="removed while"):
        next(steps)
