"""A character made by code, on the canonical skeleton: for the demo, for tests and for a first try without a rig."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ...core.arrays import Floats
from ...core.rotations import rotate
from ...core.skeleton import canonical
from ..rna import present
from . import body as demo_body
from . import pose as demo_pose
from .pose import Part, Pose

NAME = "Ada"
METRES = 0.0095  # per canonical centimetre: 1.76 m tall with her hair
COLOURS: dict[str, tuple[float, float, float, float]] = {  # sRGB and roughness
    "skin": (0.90, 0.69, 0.57, 0.6),
    "nail": (0.95, 0.80, 0.74, 0.35),
    "lips": (0.78, 0.48, 0.44, 0.5),
    "hair": (0.30, 0.19, 0.13, 0.6),
    "white": (0.96, 0.95, 0.93, 0.2),
    "iris": (0.27, 0.37, 0.33, 0.2),
    "pupil": (0.05, 0.05, 0.06, 0.1),
    "sweater": (0.20, 0.50, 0.56, 0.9),
    "trousers": (0.27, 0.30, 0.39, 0.85),
    "shoe": (0.45, 0.27, 0.19, 0.5),
    "sole": (0.90, 0.88, 0.84, 0.7),
}
GROUND = (1.0, 0.99, 0.97)
BACKDROP = (0.80, 0.82, 0.84)
EXPOSURE = 1.05  # Workbench's studio light leaves materials darker than their colours


def build(name: str = NAME, scene: bpy.types.Scene | None = None) -> bpy.types.Object:
    """Add the character: an armature with its mesh, metres, facing -Y, standing at the origin. Returns the armature."""
    scene = scene or present(bpy.context.scene)
    pose = Pose()
    armature = _armature(name, scene, pose)
    body = _mesh(name, demo_body.parts(pose))
    scene.collection.objects.link(body)
    body.parent = armature
    modifier = body.modifiers.new("Armature", "ARMATURE")
    assert isinstance(modifier, bpy.types.ArmatureModifier)
    modifier.object = armature
    for bone in present(armature.pose).bones:
        bone.rotation_mode = "QUATERNION"
    return armature


def _blender(points: Floats) -> Floats:
    """Canonical centimetres to Blender's metres: Z up, facing -Y."""
    p = np.asarray(points, dtype=float) * METRES
    return np.stack([p[..., 0], -p[..., 2], p[..., 1]], axis=-1)


def _armature(name: str, scene: bpy.types.Scene, pose: Pose) -> bpy.types.Object:
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    scene.collection.objects.link(armature)
    data.display_type = "STICK"
    view_layer = present(bpy.context.view_layer)
    before = view_layer.objects.active
    view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    skeleton, places = canonical(), demo_pose.bones(pose)
    made: list[bpy.types.EditBone] = []
    for j, joint in enumerate(skeleton.names):
        bone = data.edit_bones.new(joint)
        bone.head, bone.tail = (Vector(_blender(p).tolist()) for p in places[joint])
        bone.parent = made[skeleton.parents[j]] if skeleton.parents[j] >= 0 else None
        bone.align_roll(Vector(_blender(_bend_side(pose, joint)).tolist()))
        made.append(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    if before is not None and before.name in view_layer.objects:
        view_layer.objects.active = before
    return armature


def _bend_side(pose: Pose, joint: str) -> Floats:
    """Where a bone's Z axis looks: the back of arms and hands, the front of everything else."""
    arm = any(word in joint for word in ("Arm", "Hand", "Shoulder"))
    return rotate(pose.turn[joint], np.array([0.0, 1.0, 0.0] if arm else [0.0, 0.0, 1.0]))


def _mesh(name: str, parts: list[Part]) -> bpy.types.Object:
    """One mesh of all parts, a material per colour, a vertex group per joint."""
    vertices = np.concatenate([p.mesh.vertices for p in parts])
    starts = np.cumsum([0, *(len(p.mesh.vertices) for p in parts)])
    faces = np.concatenate([p.mesh.faces + start for p, start in zip(parts, starts, strict=False)])
    data = bpy.data.meshes.new(name)
    data.from_pydata(_blender(vertices).tolist(), [], faces.tolist())
    colours = list(COLOURS)
    for colour in colours:
        data.materials.append(_material(f"{name} {colour}", COLOURS[colour]))
    slots = np.concatenate([np.full(len(p.mesh.faces), colours.index(p.colour), dtype=np.int32) for p in parts])
    data.polygons.foreach_set("material_index", slots)
    data.polygons.foreach_set("use_smooth", np.ones(len(faces), dtype=bool))
    data.update()
    body = bpy.data.objects.new(f"{name} body", data)
    _weigh(body, parts, starts)
    return body


def _weigh(body: bpy.types.Object, parts: list[Part], starts: Floats) -> None:
    """Vertex groups; weights are rounded to 64ths so that vertices can be added many at a time."""
    groups = {joint: body.vertex_groups.new(name=joint) for joint in canonical().names}
    for part, start in zip(parts, starts, strict=False):
        total = np.sum(list(part.weights.values()), axis=0)
        for joint, weight in part.weights.items():
            level = np.rint(64 * weight / total).astype(int)
            for value in np.unique(level[level > 0]):
                groups[joint].add((np.flatnonzero(level == value) + int(start)).tolist(), value / 64, "REPLACE")


def _material(name: str, colour: tuple[float, float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    linear = (*_linear(colour[:3]), 1.0)
    material.diffuse_color, material.roughness = linear, colour[3]
    if material.node_tree is None:  # from 5.0 there always is one
        material.use_nodes = True
    shader = next((n for n in present(material.node_tree).nodes if n.bl_idname == "ShaderNodeBsdfPrincipled"), None)
    if shader is not None:
        inputs: Any = shader.inputs  # only sockets of some types have a value
        inputs["Base Color"].default_value = linear
        inputs["Roughness"].default_value = colour[3]
    return material


def _linear(srgb: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in srgb)


# ---------------------------------------------------------------- stage


def setup_stage(scene: bpy.types.Scene, width: int = 1280, height: int = 720) -> bpy.types.Object:
    """A floor, lights, a camera before the character and Workbench settings; returns the camera."""
    _floor(scene)
    _light(scene, "Key light", (2.2, -3.0, 3.6), 260.0, 2.0)
    _light(scene, "Fill light", (-3.0, -2.2, 2.2), 90.0, 3.0)
    camera = _camera(scene)
    render = scene.render
    render.engine = "BLENDER_WORKBENCH"  # type: ignore[assignment]  # the stub knows one engine
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    view: Any = scene.view_settings  # which transforms there are depends on the colour configuration
    view.view_transform, view.exposure = "Standard", EXPOSURE
    world = scene.world or bpy.data.worlds.new("Stage")
    scene.world = world
    world.color = tuple(c / 2**EXPOSURE for c in _linear(BACKDROP))
    display = present(scene.display)
    shading = present(display.shading)
    shading.light, shading.color_type, shading.background_type = "STUDIO", "MATERIAL", "WORLD"
    shading.show_cavity, shading.cavity_type = True, "WORLD"
    shading.cavity_ridge_factor, shading.cavity_valley_factor = 0.0, 0.8
    shading.show_shadows, shading.shadow_intensity = True, 0.35
    shading.show_specular_highlight = True
    display.light_direction = (0.35, 0.55, 0.76)
    display.render_aa = "8"
    return camera


def _floor(scene: bpy.types.Scene) -> None:
    mesh = bpy.data.meshes.new("Floor")
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    ring = [(9 * np.cos(a), 9 * np.sin(a), 0.0) for a in turn]
    mesh.from_pydata(ring, [], [tuple(range(len(ring)))])
    mesh.materials.append(_material("Floor", (*GROUND, 0.9)))
    scene.collection.objects.link(bpy.data.objects.new("Floor", mesh))


def _light(scene: bpy.types.Scene, name: str, place: tuple[float, float, float], power: float, size: float) -> None:
    data = bpy.data.lights.new(name, "AREA")
    assert isinstance(data, bpy.types.AreaLight)
    data.energy, data.size = power, size
    light = bpy.data.objects.new(name, data)
    light.location = place
    light.rotation_euler = (Vector((0, 0, 1.2)) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(light)


def _camera(scene: bpy.types.Scene) -> bpy.types.Object:
    data = bpy.data.cameras.new("Camera")
    data.lens = 50
    camera = bpy.data.objects.new("Camera", data)
    camera.location = (0.75, -4.2, 1.32)
    camera.rotation_euler = (Vector((0, 0, 0.98)) - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera
