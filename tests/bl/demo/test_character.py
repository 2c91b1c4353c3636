"""The character made by code: a complete, weighted body on the canonical skeleton that does as it is told."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import compat, rigs  # noqa: E402 - only with bpy
from sg_blender_addon.bl.demo import character as demo_character  # noqa: E402
from sg_blender_addon.core.channels import channels  # noqa: E402
from sg_blender_addon.core.retarget import retarget  # noqa: E402
from sg_blender_addon.core.skeleton import canonical  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.motions import moving  # noqa: E402
from tests.core.rig_models import FINGERS  # noqa: E402

LIMBS = [
    (s + a, s + b)
    for s in ("Left", "Right")
    for a, b in (("Arm", "ForeArm"), ("ForeArm", "Hand"), ("UpLeg", "Leg"), ("Leg", "Foot"))
]
DIGITS = [(f"{s}Hand{f}{n}", f"{s}Hand{f}{n + 1}") for s in ("Left", "Right") for f in FINGERS for n in (1, 2)]


@pytest.fixture(scope="module")
def character():
    scene = rig_scenes.fresh(60)
    armature = demo_character.build(scene=scene)
    bpy.context.view_layer.update()
    return armature


def test_it_has_the_canonical_joints_and_stands_on_the_floor(character):
    assert [b.name for b in character.data.bones if b.name not in canonical().names] == []
    assert rigs.detect_bones(character).preset == "canonical"
    assert rigs.detect_bones(character).missing == ()
    points = mesh_points(character)
    assert 0.0 <= points[:, 2].min() < 0.01
    assert 1.7 < points[:, 2].max() < 1.85
    assert character.rotation_euler[:] == (0.0, 0.0, 0.0)
    assert character.data.bones["LeftFoot"].tail_local.y < character.data.bones["LeftFoot"].head_local.y  # faces -Y


def mesh_of(character):
    return next(o for o in character.children if o.type == "MESH")


def mesh_points(character):
    mesh = mesh_of(character).evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)


def test_every_vertex_is_carried_in_full(character):
    mesh = mesh_of(character).data
    totals = np.array([sum(g.weight for g in v.groups) for v in mesh.vertices])
    assert np.abs(totals - 1.0).max() < 0.05
    assert len({m.name for m in mesh.materials}) >= 8


def test_faces_look_outwards(character):
    mesh = mesh_of(character).data
    volume = sum(
        float(
            np.dot(
                np.cross(*(np.array(mesh.vertices[i].co) for i in f.vertices[:2])),
                np.array(mesh.vertices[f.vertices[2]].co),
            )
        )
        for f in list(mesh.polygons)[::7]
    )
    assert volume > 0


def test_it_follows_the_source_exactly(character):
    bone_map = rigs.detect_bones(character)
    rig, motion = rigs.read_rig(character, bone_map), moving(6, frames=20)
    assert rig.scale == pytest.approx(demo_character.METRES, rel=1e-3)
    action = rig_scenes.bake("Demo", character, channels(rig, retarget(motion, rig)))
    compat.assign(character.animation_data_create(), action)
    for frame in (1, 7, 20):
        error = rig_scenes.limb_error(
            character, bone_map.joints, motion, (frame - 1) / 60, frame, LIMBS + DIGITS, rig.axes
        )
        assert error < 0.6
        assert np.isfinite(mesh_points(character)).all()


def test_the_stage_is_ready_to_render():
    scene = rig_scenes.fresh()
    camera = demo_character.setup_stage(scene, 640, 360)
    assert scene.camera == camera
    assert scene.render.engine == "BLENDER_WORKBENCH"
    demo_character.setup_stage(rig_scenes.fresh())  # again, in another file
