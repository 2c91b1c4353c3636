"""Reading armatures, and saying why one cannot be used."""

from __future__ import annotations

import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import rigs  # noqa: E402 - only with bpy
from sg_blender_addon.core.bone_maps import BoneMap  # noqa: E402
from sg_blender_addon.core.errors import UserError  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.rig_models import Shape  # noqa: E402


def test_the_rigify_metarig_is_known():
    rig_scenes.fresh()
    obj = rig_scenes.metarig()
    found = rigs.detect_bones(obj)
    assert found.preset == "rigify"
    assert not found.missing
    assert rigs.can_be_baked(obj) is None
    rig = rigs.read_rig(obj, found)
    assert rig.scale * 100 == pytest.approx(1.1, abs=0.2)
    assert all(p < i for i, p in enumerate(rig.parents))


def test_a_mixamo_character_is_known():
    rig_scenes.fresh()
    assert rigs.detect_bones(rig_scenes.mixamo(Shape(arms_down=45))).preset == "mixamo"


def code(obj) -> str:
    problem = rigs.can_be_baked(obj)
    assert problem is not None
    assert problem.hint
    return problem.code


def test_what_cannot_carry_gestures_is_explained():
    scene = rig_scenes.fresh()
    assert code(None) == "no_character"
    empty = bpy.data.objects.new("Empty", None)
    scene.collection.objects.link(empty)
    assert code(empty) == "not_armature"
    bpy.ops.object.armature_add()
    assert code(bpy.context.object) == "no_mappable_bones"
    with pytest.raises(UserError):
        rigs.read_rig(bpy.context.object, BoneMap.make("custom", {"Head": "Bone"}))


def test_a_generated_rigify_rig_points_to_its_metarig():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    obj.data.bones["mixamorig:LeftHandThumb3"].name = "torso"
    obj.data.bones["mixamorig:RightHandThumb3"].name = "DEF-spine"
    assert code(obj) == "control_rig"


def test_a_linked_armature_is_refused_and_its_override_accepted(tmp_path):
    rig_scenes.fresh()
    name = rig_scenes.mixamo(Shape()).name
    library = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=library)
    scene = rig_scenes.fresh()
    with bpy.data.libraries.load(library, link=True) as (_, into):
        into.objects = [name]
    linked = into.objects[0]
    scene.collection.objects.link(linked)
    assert code(linked) == "linked_armature"
    with pytest.raises(UserError):
        rigs.read_rig(linked, rigs.detect_bones(linked))
    override = linked.override_create(remap_local_usages=True)
    override.override_library.is_system_override = False
    assert rigs.can_be_baked(override) is None


def test_constraints_that_would_hide_gestures_are_found():
    rig_scenes.fresh()
    obj = rig_scenes.mixamo(Shape())
    rig = rigs.read_rig(obj, rigs.detect_bones(obj))
    assert not rigs.overridden_bones(obj, rig)
    obj.pose.bones["mixamorig:LeftForeArm"].constraints.new("IK")
    assert rigs.overridden_bones(obj, rig) == ["mixamorig:LeftForeArm"]
