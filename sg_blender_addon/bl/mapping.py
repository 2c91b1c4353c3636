"""The character's bone map: found by itself, kept on the armature object when somebody corrected it."""

from __future__ import annotations

import json

import bpy

from ..core.bone_maps import BoneMap
from ..core.errors import UserError
from . import rigs
from .rna import armature_of, custom_property

KEY = "semantic_gesticulator_bones"
PRESET_NAMES = {
    "canonical": "Own skeleton",
    "mixamo": "Mixamo",
    "rigify": "Rigify",
    "unreal": "Unreal",
    "vrm": "VRM",
    "makehuman": "MakeHuman",
    "guess": "By names",
    "custom": "By hand",
}
"""What people call the naming schemes of core.bone_maps."""


def of(armature: bpy.types.Object) -> BoneMap:
    """The saved map, or else what detection finds. A damaged saved map is a UserError."""
    text = custom_property(armature, KEY)
    if isinstance(text, str):
        return BoneMap.from_text(text)
    return rigs.detect_bones(armature)


_found: dict[int, tuple[int, BoneMap]] = {}


def cached(armature: bpy.types.Object) -> BoneMap:
    """As `of`, cheap enough for every redraw: detection runs again only when the bones' names change."""
    if saved(armature):
        return of(armature)
    fingerprint = hash(tuple(bone.name for bone in armature_of(armature).bones))
    known = _found.get(armature.session_uid)
    if known is None or known[0] != fingerprint:
        known = _found[armature.session_uid] = (fingerprint, rigs.detect_bones(armature))
    return known[1]


def saved(armature: bpy.types.Object) -> bool:
    return isinstance(custom_property(armature, KEY), str)


def save(armature: bpy.types.Object, bone_map: BoneMap) -> None:
    """Keep a map with the armature; UserError when the armature cannot be changed."""
    if armature.library is not None:
        raise UserError(
            f"{armature.name} is linked from another file and cannot be changed here.",
            "Make a library override of it first (Object > Library Override > Make).",
            "linked_armature",
        )
    armature[KEY] = json.dumps(bone_map.to_json(), separators=(",", ":"))


def forget(armature: bpy.types.Object) -> None:
    if custom_property(armature, KEY) is not None:
        del armature[KEY]


def summary(bone_map: BoneMap) -> str:
    """One line for panels: which naming scheme, how much was found."""
    fingers = sum(1 for joint in bone_map.joints if "Hand" in joint and joint[-1].isdigit())
    body = len(bone_map.joints) - fingers
    return f"{PRESET_NAMES.get(bone_map.preset, bone_map.preset)}: {body} body, {fingers} finger bones"
