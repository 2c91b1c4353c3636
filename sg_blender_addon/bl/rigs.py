"""Armature objects as plain data for retargeting, and whether gestures can be put on them."""

from __future__ import annotations

import bpy
import numpy as np

from ..core.bone_maps import BoneMap, detect
from ..core.errors import UserError
from ..core.retarget import TargetRig
from .rna import armature_of, present

_OVERRIDING = {
    "IK",
    "COPY_ROTATION",
    "COPY_TRANSFORMS",
    "SPLINE_IK",
    "CHILD_OF",
    "DAMPED_TRACK",
    "TRACK_TO",
    "LOCKED_TRACK",
    "ARMATURE",
    "TRANSFORM",
}


def detect_bones(armature: bpy.types.Object) -> BoneMap:
    """Find the body in an armature's bones."""
    bones = _ordered(armature)
    index = {bone.name: i for i, bone in enumerate(bones)}
    return detect([b.name for b in bones], [index[b.parent.name] if b.parent else -1 for b in bones])


def can_be_baked(obj: bpy.types.Object | None, bone_map: BoneMap | None = None) -> UserError | None:
    """Why gestures cannot be put on this object, as an error ready to be raised or shown; None if they can."""
    if obj is None:
        return UserError("No character is chosen.", "Choose the armature of your character.", "no_character")
    if obj.type != "ARMATURE":
        return UserError(f"{obj.name} is not an armature.", "Choose the armature that moves the mesh.", "not_armature")
    if obj.library is not None:
        return UserError(
            f"{obj.name} is linked from {bpy.path.basename(obj.library.filepath)} and cannot be animated here.",
            "Make a library override of it first (Object > Library Override > Make).",
            "linked_armature",
        )
    override = obj.override_library
    if override is not None and override.is_system_override:
        return UserError(
            f"{obj.name} is a library override that is not editable.",
            "Make it editable in the Outliner (Library Override > Make > Selected).",
            "linked_armature",
        )
    if _is_generated_rigify(obj) and (bone_map is None or bone_map.preset != "custom"):
        return UserError(
            f"{obj.name} is a generated Rigify control rig; its deforming bones follow its controls.",
            "Choose the metarig it was generated from.",
            "control_rig",
        )
    why = (bone_map or detect_bones(obj)).why_unusable()
    if why:
        return UserError(
            f"Gestures cannot be put on {obj.name}. {why}",
            "Choose another armature, or assign the bones by hand.",
            "no_mappable_bones",
        )
    return None


def read_rig(armature: bpy.types.Object, bone_map: BoneMap) -> TargetRig:
    """The armature at rest with its mapped bones; UserError if it cannot carry gestures.

    Mapped names that the armature no longer has are left out.
    """
    bones = _ordered(armature)
    index = {bone.name: i for i, bone in enumerate(bones)}
    mapped = BoneMap.make(bone_map.preset, {j: b for j, b in bone_map.joints.items() if b in index})
    problem = can_be_baked(armature, mapped)
    if problem is not None:
        raise problem
    return TargetRig(
        names=tuple(b.name for b in bones),
        parents=tuple(index[b.parent.name] if b.parent else -1 for b in bones),
        rest=np.array([np.array(b.matrix_local) for b in bones], dtype=float),
        tails=np.array([np.array(b.tail_local) for b in bones], dtype=float),
        joints={joint: index[name] for joint, name in mapped.joints.items()},
        inherits_rotation=tuple(bool(b.use_inherit_rotation) for b in bones),
        local_location=tuple(bool(b.use_local_location) for b in bones),
        rotation_modes=tuple(present(armature.pose).bones[b.name].rotation_mode for b in bones),
    )


def overridden_bones(armature: bpy.types.Object, rig: TargetRig) -> list[str]:
    """Mapped bones whose pose is taken over by a constraint: gestures on them will not show."""
    names = [rig.names[i] for i in rig.joints.values()]
    return [
        n
        for n in names
        if any(
            c.type in _OVERRIDING and not c.mute and c.influence > 0
            for c in present(armature.pose).bones[n].constraints
        )
    ]


def _ordered(armature: bpy.types.Object) -> list[bpy.types.Bone]:
    """Bones with parents before children."""
    return sorted(armature_of(armature).bones, key=lambda bone: len(bone.parent_recursive))


def _is_generated_rigify(obj: bpy.types.Object) -> bool:
    bones = armature_of(obj).bones
    return "DEF-spine" in bones and "torso" in bones
