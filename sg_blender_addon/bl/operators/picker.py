"""The dialog that shows the library's previews: search, look, choose a gesture and one of its variants."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import bpy

from ...client.editing import GestureInfo, VariantInfo
from ...client.search import find
from ...core.errors import UserError
from .. import catalogue, job_runner, previews
from ..reports import draw_text
from ..rna import Icon, OperatorResult, present
from .base import GesticulatorOperator

IDEA: Icon = "SOLO_ON"
COLUMNS, ROWS = 5, 3
WIDTH = 920
SEARCH_SHARE, GRID_SHARE = 0.42, 0.7
TEXT_CHARACTERS = 44
PREVIEW, LARGE_PREVIEW = 6.0, 10.0
"""Heights of the previews in buttons."""


@functools.lru_cache(maxsize=4)
def _gesture_items(gestures: tuple[GestureInfo, ...]) -> list[tuple[Any, ...]]:
    """The whole library, numbered from 1. Blender keeps no reference to these strings, so they must stay: here, and
    below."""
    return [(g.id, g.label.capitalize(), g.description, 0, number) for number, g in enumerate(gestures, 1)]


@functools.lru_cache(maxsize=1024)
def _variant_items(gesture: GestureInfo) -> list[tuple[Any, ...]]:
    return [(str(v.number), str(v.number), _described(gesture, v), 0, v.number) for v in gesture.variants]


def _choices(props: Any, context: bpy.types.Context | None) -> list[tuple[Any, ...]]:
    return _gesture_items(catalogue.gestures())


def _variants(props: Any, context: bpy.types.Context | None) -> list[tuple[Any, ...]]:
    gesture = catalogue.find(props.gesture_id)
    return _variant_items(gesture) if gesture else []


def _choice(props: Any) -> int:
    return next((item[-1] for item in _choices(props, None) if item[0] == props.gesture_id), 0)


def _choose(props: Any, number: int) -> None:
    _take(props, catalogue.gestures()[number - 1].id)


def _variant(props: Any) -> int:
    return props.variant


def _choose_variant(props: Any, number: int) -> None:
    props.variant = number


def _take(props: Any, gesture_id: str) -> None:
    props.gesture_id, props.variant = gesture_id, 1


def _show_best(props: Any, context: bpy.types.Context) -> None:
    """What is typed chooses: Enter ends typing, Enter again confirms."""
    props.page = 1
    found = shown(props)
    if props.search.strip() and found:
        _take(props, found[0].id)


def _keep_page(props: Any, context: bpy.types.Context) -> None:
    last = pages(shown(props))
    if props.page > last:  # noqa: PLR1730 - to set it calls this function again
        props.page = last


def shown(props: Any) -> list[GestureInfo]:
    """The dialog's gestures in their order: what the search finds, or the ideas for the word and then all others."""
    everything = catalogue.gestures()
    if props.search.strip():
        return find(everything, props.search)
    ideas = props.ideas.splitlines()
    known = {gesture.id: gesture for gesture in everything}
    first = [known[gesture_id] for gesture_id in ideas if gesture_id in known]
    return first + [gesture for gesture in everything if gesture.id not in ideas]


def pages(gestures: Sequence[GestureInfo]) -> int:
    return max(1, -(-len(gestures) // (COLUMNS * ROWS)))


class Picker(GesticulatorOperator):
    """Mix-in: opens the dialog; scripts pass `gesture_id` and `variant` and see none."""

    gesture_id: Annotated[str, bpy.props.StringProperty(name="Gesture id", options={"SKIP_SAVE"})]
    variant: Annotated[int, bpy.props.IntProperty(name="Variant", default=1, min=1, options={"SKIP_SAVE"})]
    ideas: Annotated[str, bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})]
    search: Annotated[
        str,
        bpy.props.StringProperty(
            name="Search",
            description="Words of a gesture's name, its meanings or its examples",
            update=_show_best,
            options={"HIDDEN", "SKIP_SAVE", "TEXTEDIT_UPDATE"},
        ),
    ]
    page: Annotated[
        int, bpy.props.IntProperty(name="Page", default=1, min=1, update=_keep_page, options={"HIDDEN", "SKIP_SAVE"})
    ]
    choice: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Gesture", items=_choices, get=_choice, set=_choose, options={"HIDDEN", "SKIP_SAVE"}
        ),
    ]
    variant_item: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Variant", items=_variants, get=_variant, set=_choose_variant, options={"HIDDEN", "SKIP_SAVE"}
        ),
    ]

    def aim(self, context: bpy.types.Context) -> tuple[str, Sequence[str]]:
        """What the gesture is for: the spoken word, and ids of gestures that suit it. UserError if nothing is."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        try:
            word, ideas = self.aim(context)
        except UserError as error:
            return self._refuse(error)
        if not job_runner.busy():  # a job may be replacing the backend, or need the one that it started
            previews.refresh()
        self.ideas = "\n".join(ideas)
        if ideas and not self.gesture_id:
            self.gesture_id = ideas[0]
        return present(context.window_manager).invoke_props_dialog(
            self, width=WIDTH, title=f"{self.bl_label} on “{word}”", confirm_text=self.bl_label
        )

    def draw(self, context: bpy.types.Context) -> None:
        found = shown(self)
        self._draw_search(found)
        split = present(self.layout).split(factor=GRID_SHARE)
        self._draw_grid(split, found)
        self._draw_chosen(split.column())

    def chosen(self) -> str:
        if not self.gesture_id:
            raise UserError("No gesture was chosen.", "Pick one from the list.", "no_gesture")
        return self.gesture_id

    def _draw_search(self, found: Sequence[GestureInfo]) -> None:
        split = present(self.layout).split(factor=SEARCH_SHARE)
        field = split.row()
        field.activate_init = True
        field.prop(self, "search", text="", icon="VIEWZOOM", placeholder="Name, meaning or example")
        searched = bool(self.search.strip())
        row = split.row()
        row.label(text=_count_text(len(found), searched))
        suggested = bool(self.ideas) and not searched
        row.label(text="Suggested" if suggested else "", icon=IDEA if suggested else "NONE")
        page = row.row(align=True)
        page.enabled = pages(found) > 1
        page.prop(self, "page")
        page.label(text=f" of {pages(found)}")

    def _draw_grid(self, layout: bpy.types.UILayout, found: Sequence[GestureInfo]) -> None:
        grid = layout.grid_flow(row_major=True, columns=COLUMNS, even_columns=True, even_rows=True, align=False)
        first = (min(self.page, pages(found)) - 1) * COLUMNS * ROWS
        ideas = self.ideas.splitlines()
        for index in range(first, first + COLUMNS * ROWS):
            cell = grid.column(align=True)
            if index < len(found):
                self._draw_cell(cell, found[index], IDEA if found[index].id in ideas else "NONE")
            else:  # the dialog keeps its size while one types
                cell.template_icon(icon_value=0, scale=PREVIEW)
                cell.label(text="")

    def _draw_cell(self, cell: bpy.types.UILayout, gesture: GestureInfo, icon: Icon) -> None:
        """A preview with its label. Blender's previews cannot be clicked, so a button without a face lies over it."""
        cell.template_icon(icon_value=previews.icon(gesture), scale=PREVIEW)
        back = cell.column()
        back.scale_y = -PREVIEW
        back.label(text="")
        face = cell.column()
        face.scale_y, face.emboss = PREVIEW, "NONE"
        face.prop_enum(self, "choice", gesture.id, text="")
        cell.prop_enum(self, "choice", gesture.id, icon=icon)

    def _draw_chosen(self, layout: bpy.types.UILayout) -> None:
        gesture = catalogue.find(self.gesture_id)
        if gesture is None:
            layout.label(text="Choose a gesture" if catalogue.gestures() else "The list is coming: type to see it")
            return
        layout.template_icon(icon_value=previews.icon(gesture), scale=LARGE_PREVIEW)
        layout.label(text=gesture.label.capitalize())
        row = layout.row(align=True)
        row.label(text="Variant")
        row.prop(self, "variant_item", expand=True)
        layout.label(text=next((_described(gesture, v) for v in gesture.variants if v.number == self.variant), ""))
        draw_text(layout, gesture.description, TEXT_CHARACTERS)
        if gesture.meanings:
            draw_text(layout, "Means: " + ", ".join(gesture.meanings), TEXT_CHARACTERS)


def _described(gesture: GestureInfo, variant: VariantInfo) -> str:
    """How long a variant takes, and its hand where others have another."""
    several = len({other.hand for other in gesture.variants}) > 1
    return f"{variant.hand.capitalize()} hand, {variant.seconds:.1f} s" if several else f"{variant.seconds:.1f} s"


def _count_text(count: int, searched: bool) -> str:
    if not count:
        return "Nothing found" if searched else "No gestures are known yet"
    return f"{count} {'gesture' if count == 1 else 'gestures'}{' found' if searched else ''}"
