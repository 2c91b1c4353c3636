"""How long baking takes: run with `-m bench -s`; nothing about time is asserted."""

from __future__ import annotations

import time

import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import baking, compat, nla, rigs  # noqa: E402 - only with bpy
from sg_blender_addon.core.retarget import retarget  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.motions import performance  # noqa: E402
from tests.core.rig_models import Shape  # noqa: E402


@pytest.mark.bench
def test_a_minute_of_motion():
    rig_scenes.fresh(60)
    obj = rig_scenes.mixamo(Shape(arms_down=45))
    bone_map = rigs.detect_bones(obj)
    rig = rigs.read_rig(obj, bone_map)
    take = performance(60.0)
    started = time.perf_counter()
    pose = retarget(take.rhythm, rig)
    channels = baking.channels(obj, rig, pose)
    retargeted = time.perf_counter()
    action = baking.bake("Bench", obj, channels)
    baked = time.perf_counter()
    nla.apply_performance(obj, take, bone_map, scene=bpy.context.scene, frame_start=1.0)
    applied = time.perf_counter()
    keys = sum(len(c.keyframe_points) for c in compat.fcurves(action))
    print(f"\n{bpy.app.version_string}: {len(pose.bones)} bones, {keys} keys: retarget {retargeted - started:.2f} s, "
          f"bake {baked - retargeted:.2f} s, whole apply_performance {applied - baked:.2f} s")
    assert keys == 3601 * (4 * len(pose.bones) + 3)
