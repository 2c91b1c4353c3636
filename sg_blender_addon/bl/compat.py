"""One bridge over the differences between Blender 4.2 and later, decided by `hasattr`, never by version.

From 4.4 an Action holds layers and slots, and from 5.0 that is the only way in; before, the Action holds its curves
itself. Everything else in the add-on speaks to Actions through these functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy


def new_action(name: str, owner: str) -> bpy.types.Action:
    """A new Action for the object of that name, ready for curves."""
    action = bpy.data.actions.new(name)
    if hasattr(action, "slots") and hasattr(action, "layers"):
        action.slots.new(id_type="OBJECT", name=owner)
        action.layers.new("Layer").strips.new(type="KEYFRAME")
    else:
        action.id_root = "OBJECT"
    return action


def curve_bag(action: bpy.types.Action) -> Any:
    """What has the `fcurves` and `groups` of an Action made by `new_action`."""
    if hasattr(action, "slots") and hasattr(action, "layers"):
        return action.layers[0].strips[0].channelbag(action.slots[0], ensure=True)
    return action


def object_slot(action: bpy.types.Action, preferred: Any = None) -> Any:
    """The slot to play on an object: the preferred one, else the first meant for objects; None without slots."""
    if preferred is not None:
        return preferred
    slots = getattr(action, "slots", ())
    return next((s for s in slots if s.target_id_type in ("OBJECT", "UNSPECIFIED")), None)


def fcurves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """All curves of an Action, over all slots."""
    if not hasattr(action, "layers") or (not action.layers and hasattr(action, "fcurves")):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in getattr(strip, "channelbags", ()):
                yield from bag.fcurves


def active_slot(animation: bpy.types.AnimData) -> Any:
    """The slot the active Action plays in, None without slots."""
    return getattr(animation, "action_slot", None)


def assign(owner: Any, action: bpy.types.Action | None, slot: Any = None) -> None:
    """Set the Action, and its slot where there are slots, on animation data or an NLA strip."""
    owner.action = action
    if action is not None and hasattr(owner, "action_slot"):
        slot = object_slot(action, slot)
        if slot is not None:
            owner.action_slot = slot


def place_strip(strip: bpy.types.NlaStrip, frame: float) -> None:
    """Move a strip to a start that may lie between frames, keeping its length."""
    if hasattr(strip, "frame_start_ui"):
        strip.frame_start_ui = frame
        return
    length = strip.frame_end - strip.frame_start
    strip.frame_end = max(strip.frame_end, frame + length)
    strip.frame_start, strip.frame_end = frame, frame + length


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second, fps_base (as in 29.97) included."""
    return float(scene.render.fps) / float(scene.render.fps_base)


def has_option(operator: Any, name: str) -> bool:
    """Whether one of Blender's operators has an argument of that name."""
    return name in operator.get_rna_type().properties
