"""The list of words and gestures: a click goes to the time, the icons lock and mute."""

from __future__ import annotations

import bpy

from .. import gestures
from ..strips import OurStrip
from .main import Main
from .places import in_all

ROWS = 8


class GESTICULATOR_UL_words(bpy.types.UIList):
    """Rows are words; a word with a gesture shows it with its lock and mute."""

    bl_idname = "GESTICULATOR_UL_words"
    gestures: dict[int, OurStrip] = {}
    """Filled by the panel right before the list is drawn; one look through the NLA serves all rows."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0):
        gesture = type(self).gestures.get(index)
        split = layout.split(factor=0.16)
        split.label(text=clock(item.start))
        split = split.split(factor=0.42)
        split.label(text=item.name)
        row = split.row(align=True)
        if gesture is None:
            row.label(text="")
            return
        row.active = not gesture.strip.mute
        row.label(text=gestures.label(gesture).capitalize())
        lock = row.operator(
            "gesticulator.toggle_lock", text="", emboss=False, icon="LOCKED" if gesture.record.lock else "UNLOCKED"
        )
        lock.strip = gesture.strip.name
        row.prop(gesture.strip, "mute", text="", emboss=False, icon="HIDE_ON" if gesture.strip.mute else "HIDE_OFF")

    def filter_items(self, context, data, propname):
        items = getattr(data, propname)
        if not self.filter_name:
            return [], []
        wanted = self.filter_name.lower()
        labels = {index: gestures.label(gesture).lower() for index, gesture in type(self).gestures.items()}
        shown = [wanted in word.name.lower() or wanted in labels.get(index, "") for index, word in enumerate(items)]
        return [self.bitflag_filter_item if show else 0 for show in shown], []


def clock(seconds: float) -> str:
    """A time as m:ss.s, short enough for a narrow column."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"


class Words:
    bl_label = "Words and Gestures"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(context.scene.gesticulator.words) > 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.gesticulator
        GESTICULATOR_UL_words.gestures = gestures.by_word(settings.character)
        layout.template_list(
            GESTICULATOR_UL_words.bl_idname, "", settings, "words", settings, "word_index", rows=ROWS
        )
        _draw_chosen(context, layout)


def _draw_chosen(context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
    """Buttons for the chosen word's gesture."""
    gesture = gestures.meant(context)
    if gesture is None:
        layout.operator("gesticulator.add_gesture", icon="ADD")
        return
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("gesticulator.swap_gesture", text="Swap", icon="FILE_REFRESH")
    row.operator("gesticulator.swap_variant", text="Variant", icon="ARROW_LEFTRIGHT")
    row = column.row(align=True)
    row.operator("gesticulator.snap_to_word", text="Snap to word", icon="SNAP_ON")
    row.operator("gesticulator.remove_gesture", text="Remove", icon="TRASH")


LISTS = (GESTICULATOR_UL_words,)
CLASSES = tuple(in_all(Words, Main))
