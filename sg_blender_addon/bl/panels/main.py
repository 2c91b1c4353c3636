"""Who speaks, what is said, Generate, and how far it is."""

from __future__ import annotations

import bpy

from ...client import environment, locks
from ...core.errors import UserError
from .. import backend_settings, job_runner, manner, mapping, properties, rigs, sound_strips
from ..reports import draw_operator, draw_text, panel_width
from ..rna import PanelMixin, present
from .places import in_all

BACKEND_CALLS = {
    environment.MISSING: "Set up the backend once: it turns speech into motion.",
    environment.INCOMPLETE: "The backend's set-up is not complete. Press the button: it goes on where it stopped.",
    environment.OUTDATED: "The add-on was updated: update the backend too.",
}


class Main(PanelMixin):
    bl_label = "Gestures from Speech"

    def draw(self, context: bpy.types.Context) -> None:
        layout = present(self.layout)
        job = job_runner.state(context)
        width = panel_width(context)
        _draw_backend(context, layout, width)
        _draw_inputs(context, layout, width)
        layout.separator(factor=0.5)
        if job.running:
            job_runner.draw_progress(layout, job)
        else:
            draw_operator(layout, context, "gesticulator.generate", width, height=1.6, icon="PLAY")
        job_runner.draw_error(layout, job, width)
        if job.message and not job.error and not job.running:
            draw_text(layout, job.message, width, icon="CHECKMARK")
        draw_text(layout, "Body and hands move; faces are not animated.", width, icon="INFO")


class Settings(PanelMixin):
    bl_label = "Settings"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = present(self.layout)
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = properties.settings(context.scene)
        column = layout.column()
        column.prop(settings, "language")
        manner.draw(column, settings)
        for name in ("intensity", "density", "seed", "retriever", "blend"):
            column.prop(settings, name)
        column = layout.column(heading="Options")
        column.prop(settings, "exact")
        column.prop(settings, "set_range")
        row = layout.row(align=True)
        row.operator("gesticulator.open_preferences", icon="PREFERENCES")
        row.operator("gesticulator.check_backend", text="Test backend", icon="LINKED")


def _draw_backend(context: bpy.types.Context, layout: bpy.types.UILayout, width: int) -> None:
    call = BACKEND_CALLS.get(backend_settings.backend_state())
    if call is None or job_runner.busy():
        return
    box = layout.box()
    draw_text(box, call, width - 4, icon="INFO")
    draw_text(box, backend_settings.download_text(), width - 4, icon="BLANK1")
    settings = backend_settings.preferences()
    if locks.brings_cuda(backend_settings.ROOT) and not settings.wheels_folder.strip():
        whole = locks.download_bytes(backend_settings.ROOT, small=True) or 0
        box.prop(settings, "small_torch", text=f"Small PyTorch: {locks.size_text(whole)}")
    draw_operator(
        box,
        context,
        "gesticulator.setup_backend",
        width - 4,
        lambda row: row.operator("gesticulator.open_preferences", text="", icon="PREFERENCES"),
        height=1.3,
        icon="IMPORT",
    )


def _draw_inputs(context: bpy.types.Context, layout: bpy.types.UILayout, width: int) -> None:
    settings = properties.settings(context.scene)
    column = layout.column()
    column.label(text="Character")
    row = column.row(align=True)
    row.prop(settings, "character", text="", icon="ARMATURE_DATA")
    row.operator("gesticulator.edit_mapping", text="", icon="BONE_DATA")
    if settings.character is not None:
        _draw_character(column, settings.character, width)
    else:
        column.operator("gesticulator.add_character", icon="OUTLINER_OB_ARMATURE")
    column.separator(factor=0.4)
    column.label(text="Voice")
    row = column.row(align=True)
    row.prop(settings, "voice", text="", icon="SOUND", placeholder=_voice_placeholder(context))
    row.operator("gesticulator.use_active_strip", text="", icon="EYEDROPPER")
    row.operator("gesticulator.add_voice", text="", icon="ADD")
    column.separator(factor=0.4)
    column.label(text="Script (optional)")
    column.prop(settings, "script", text="", icon="TEXT")


def _draw_character(layout: bpy.types.UILayout, character: bpy.types.Object, width: int) -> None:
    """What detection makes of the armature, or why it cannot be used."""
    try:
        bone_map = mapping.cached(character)
        problem = rigs.can_be_baked(character, bone_map)
    except UserError as error:
        problem = error
    if problem is not None:
        row = layout.row()
        row.alert = True
        draw_text(row, problem.message, width - 2, icon="ERROR")
        return
    line = layout.row()
    line.enabled = False
    draw_text(line, mapping.summary(bone_map), width - 2)


def _voice_placeholder(context: bpy.types.Context) -> str:
    strips = sound_strips.sound_strips(sound_strips.editing_scene(context))
    if not strips:
        return "No sound strip yet"
    return strips[0].name if len(strips) == 1 else f"Choose one of {len(strips)}"


CLASSES = (*in_all(Main), *in_all(Settings, Main))
