"""The list of words and gestures: a click goes to the time, the icons lock and mute."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from .. import gestures, properties
from ..rna import PanelMixin, present
from ..strips import OurStrip
from .main import Main
from .places import in_all

ROWS = 6
TIME_UNITS = 1.7
WORD_SHARE = 0.4


class GESTICULATOR_UL_words(bpy.types.UIList):
    """Rows are words; a word with a gesture shows it with its lock and mute."""

    bl_idname = "GESTICULATOR_UL_words"
    gestures: ClassVar[dict[int, OurStrip]] = {}
    """Filled by the panel right before the list is drawn; one look through the NLA serves all rows."""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        gesture = GESTICULATOR_UL_words.gestures.get(present(index))
        line = layout.row(align=True)
        time = line.row()
        time.ui_units_x = TIME_UNITS
        time.enabled = False
        time.label(text=clock(item.start))
        split = line.split(factor=WORD_SHARE)
        split.label(text=item.name)
        row = split.row(align=True)
        if gesture is None:
            row.label(text="")
            return
        row.active = not gesture.strip.mute
        row.label(text=gestures.label(gesture).capitalize())
        _draw_switches(row, gesture)

    def filter_items(  # type: ignore[override]  # the stub's returns nothing
        self, context: bpy.types.Context, data: Any, propname: str
    ) -> tuple[list[int], list[int]]:
        items = getattr(data, propname)
        if not self.filter_name:
            return [], []
        wanted = self.filter_name.lower()
        labels = {index: gestures.label(gesture).lower() for index, gesture in GESTICULATOR_UL_words.gestures.items()}
        shown = [wanted in word.name.lower() or wanted in labels.get(index, "") for index, word in enumerate(items)]
        return [self.bitflag_filter_item if show else 0 for show in shown], []


def _draw_switches(row: bpy.types.UILayout, gesture: OurStrip) -> None:
    """Lock and mute where they are on; the chosen gesture has both below the list: labels need the room."""
    if gesture.record.lock:
        _draw_lock(row, gesture, "")
    if gesture.strip.mute:
        row.prop(gesture.strip, "mute", text="", emboss=False, icon="HIDE_ON")


def _draw_lock(row: bpy.types.UILayout, gesture: OurStrip, text: str) -> None:
    locked = gesture.record.lock
    button = row.operator(
        "gesticulator.toggle_lock",
        text=text,
        emboss=bool(text),
        depress=locked and bool(text),
        icon="LOCKED" if locked else "UNLOCKED",
    )
    button.strip = gesture.strip.name


def clock(seconds: float) -> str:
    """A time as 7.4, or 2:07 from the second minute on: short enough for a narrow column."""
    seconds = max(0.0, seconds)
    return f"{seconds:.1f}" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02}"


class Words(PanelMixin):
    bl_label = "Words and Gestures"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(properties.settings(context.scene).words) > 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = present(self.layout)
        settings = properties.settings(context.scene)
        GESTICULATOR_UL_words.gestures = gestures.by_word(settings.character)
        layout.template_list(GESTICULATOR_UL_words.bl_idname, "", settings, "words", settings, "word_index", rows=ROWS)
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
    row = column.row(align=True)
    _draw_lock(row, gesture, "Lock")
    row.prop(gesture.strip, "mute", text="Mute", toggle=True, icon="HIDE_ON" if gesture.strip.mute else "HIDE_OFF")


class Takes(PanelMixin):
    """What concerns the performance as a whole."""

    bl_label = "Whole Performance"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(properties.settings(context.scene).words) > 0

    def draw(self, context: bpy.types.Context) -> None:
        column = present(self.layout).column(align=True)
        column.operator("gesticulator.reblend", text="Re-blend moved strips", icon="IPO_EASE_IN_OUT")
        column.operator("gesticulator.regenerate_range", text="Regenerate preview range", icon="PREVIEW_RANGE")
        column.operator("gesticulator.export", text="Export BVH and JSON", icon="EXPORT")


LISTS = (GESTICULATOR_UL_words,)
CLASSES: tuple[type, ...] = (*in_all(Words, Main), *in_all(Takes, Main))
