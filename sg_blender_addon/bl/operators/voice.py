"""Bringing a recording into the sequencer, and telling which strip is the voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import bpy

from ...core.errors import UserError
from .. import properties, sound_strips
from ..rna import OperatorResult, present
from .base import GesticulatorOperator, busy_reason

SUFFIXES = "*.wav;*.flac;*.ogg;*.mp3;*.m4a;*.aac;*.aif;*.aiff;*.mp4;*.mkv;*.mov;*.webm"


class GESTICULATOR_OT_add_voice(GesticulatorOperator, bpy.types.Operator):
    """Put a recording into the sequencer at the current frame and use it as the voice"""

    bl_idname = "gesticulator.add_voice"
    bl_label = "Add voice"
    bl_options = {"REGISTER", "UNDO"}

    filepath: Annotated[str, bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})]
    filter_glob: Annotated[str, bpy.props.StringProperty(default=SUFFIXES, options={"HIDDEN"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return busy_reason(besides="setup")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        present(context.window_manager).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> str:
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise UserError(f"There is no file {path.name or '(none)'}.", "Choose a recording.", "audio_not_found")
        scene = sound_strips.editing_scene(context)
        strip = sound_strips.add(scene, path, scene.frame_current)
        properties.settings(context.scene).voice = strip.name
        return f"The voice is the strip '{strip.name}'"


class GESTICULATOR_OT_use_active_strip(GesticulatorOperator, bpy.types.Operator):
    """Use the sequencer's active sound strip as the voice"""

    bl_idname = "gesticulator.use_active_strip"
    bl_label = "Use active strip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        strip = sound_strips.active(context)
        if strip is None or strip.type != "SOUND":
            return "The sequencer's active strip is no sound strip"
        return busy_reason(besides="setup")

    def run(self, context: bpy.types.Context) -> str:
        properties.settings(context.scene).voice = present(sound_strips.active(context)).name
        return ""


CLASSES: tuple[type, ...] = (GESTICULATOR_OT_add_voice, GESTICULATOR_OT_use_active_strip)
