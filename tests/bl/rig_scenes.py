"""Characters of many makes for tests, and what their bones do in a scene."""

from __future__ import annotations

import addon_utils
import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from sg_blender_addon.bl import baking
from sg_blender_addon.bl.steps import finish
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.bone_maps import PRESETS
from sg_blender_addon.core.channels import Channel
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.retarget import TargetRig
from sg_blender_addon.core.skeleton import canonical
from tests.core.rig_models import Shape, make_rig


def fresh(fps: int = 24) -> bpy.types.Scene:
    """An empty file."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, 1.0
    return scene


def from_model(rig: TargetRig, names: dict[str, str], scale: float = 1.0) -> bpy.types.Object:
    """An armature with the bones (and rolls) of a numeric model; `names` renames joints, others keep their names."""
    data = bpy.data.armatures.new("Rig")
    obj = bpy.data.objects.new("Rig", data)
    bpy.context.scene.collection.objects.link(obj)
    obj.scale = (scale,) * 3
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    made = []
    for i, name in enumerate(rig.names):
        bone = data.edit_bones.new(names.get(name, name))
        bone.head, bone.tail = Vector(rig.heads[i]), Vector(rig.tails[i])
        bone.matrix = Matrix(rig.rest[i].tolist())
        bone.parent = made[rig.parents[i]] if rig.parents[i] >= 0 else None
        made.append(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.view_layer.update()
    return obj


def mixamo(shape: Shape) -> bpy.types.Object:
    """A Mixamo import: centimetre bones under an object scaled to metres, random rolls."""
    shape.unit = 1.0
    shape.drop = ("Neck1", *(f"{s}InHand{f}" for s in ("Left", "Right") for f in ("Index", "Middle", "Ring", "Pinky")))
    names = {joint: "mixamorig:" + bone for joint, bone in PRESETS["mixamo"].items()}
    return from_model(make_rig(shape), names, 0.01)


def metarig() -> bpy.types.Object:
    """Rigify's own human metarig."""
    if not addon_utils.check("rigify")[1]:
        addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    return bpy.context.object


def bake(name: str, obj: bpy.types.Object, channels: list[Channel]) -> bpy.types.Action:
    """The channels as an Action of the object."""
    made = finish(baking.bake(name, obj.name, channels, baking.Tally(1)))
    return baking.find(made.uid)


def evaluated(obj: bpy.types.Object, frame: float) -> dict[str, np.ndarray]:
    """Pose matrices (4, 4) of all bones at a frame, object space."""
    whole = int(np.floor(frame))
    bpy.context.scene.frame_set(whole, subframe=frame - whole)
    posed = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return {bone.name: np.array(bone.matrix) for bone in posed.pose.bones}


def limb_error(
    obj: bpy.types.Object,
    joints: dict[str, str],
    source: Motion,
    time: float,
    frame: float,
    pairs: list[tuple[str, str]],
    axes: np.ndarray,
) -> float:
    """Worst angle in degrees between the limbs of the posed armature and of the source at `time`."""
    matrices = evaluated(obj, frame)
    positions = source.at([time]).forward_kinematics()[0][0]
    worst = 0.0
    for a, b in pairs:
        got = matrices[joints[b]][:3, 3] - matrices[joints[a]][:3, 3]
        want = rot.rotate(axes, positions[canonical().index(b)] - positions[canonical().index(a)])
        cosine = np.dot(got, want) / np.linalg.norm(got) / np.linalg.norm(want)
        worst = max(worst, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return worst


def pose_error(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Worst rotation difference in degrees over all bones."""
    worst = 0.0
    for name, matrix in a.items():
        turn = Quaternion(Matrix(matrix.tolist()).to_quaternion()).rotation_difference(
            Matrix(b[name].tolist()).to_quaternion()
        )
        worst = max(worst, np.degrees(2 * np.arctan2(np.linalg.norm(turn[1:]), abs(turn[0]))))
    return worst
