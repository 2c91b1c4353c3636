"""Putting another gesture on a word: swap, another variant, add."""

from __future__ import annotations

from dataclasses import replace

import bpy

from ...client.editing import rearrange
from ...client.job import Job
from ...core.errors import UserError
from ...core.timeline import Segment
from .. import catalogue, editing, gestures, live, nla
from ..strips import OurStrip
from .base import GesticulatorOperator, waits
from .generate import backend_reason
from .rig import character_reason

_items: list[tuple[str, str, str]] = []
"""Blender keeps no reference to the strings of a dynamic enum: they must not be collected while its menu is open."""


def choices(self: bpy.types.Operator, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """What the search box offers: the retriever's other ideas first, then the whole library."""
    ours = gestures.meant(context, getattr(self, "strip", "")) if context else None
    ideas = ours.record.alternatives if ours else ()
    items = [(a.gesture_id, f"{a.label.capitalize()}  ({a.confidence:.0%})", "Suggested for this word") for a in ideas]
    listed = {gesture_id for gesture_id, _, _ in items}
    items += [(g.id, g.label.capitalize(), g.description) for g in catalogue.gestures() if g.id not in listed]
    _items[:] = items or [("NONE", "Generate once to fill this list", "")]
    return _items


def gesture_reason(context: bpy.types.Context) -> str:
    reason = character_reason(context)
    if not reason and not gestures.any_there(context.scene.gesticulator.character):
        reason = "There are no gestures yet: press Generate"
    return reason


class _Choosing(GesticulatorOperator):
    """A search box over gestures; scripts pass `gesture_id`."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.invoke_search_popup(self)
        return {"FINISHED"}

    def chosen(self) -> str:
        gesture_id = self.gesture_id or self.choice
        if gesture_id in ("", "NONE"):
            raise UserError("No gesture was chosen.", "Pick one from the list.", "no_gesture")
        return gesture_id


class GESTICULATOR_OT_swap_gesture(_Choosing, bpy.types.Operator):
    """Put another gesture on this word. The stroke stays on the word; the gesture is locked"""

    bl_idname = "gesticulator.swap_gesture"
    bl_label = "Swap gesture"
    bl_options = {"REGISTER"}
    bl_property = "choice"

    choice: bpy.props.EnumProperty(name="Gesture", items=choices, options={"SKIP_SAVE"})
    gesture_id: bpy.props.StringProperty(name="Gesture id", options={"SKIP_SAVE"})
    variant: bpy.props.IntProperty(name="Variant", default=1, min=1, options={"SKIP_SAVE"})
    strip: bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})
    wait: bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        return replace_gesture(context, ours, self.chosen(), self.variant, waits(self.wait))


class GESTICULATOR_OT_swap_variant(GesticulatorOperator, bpy.types.Operator):
    """Make the same gesture in its next way: other hand, size or tempo"""

    bl_idname = "gesticulator.swap_variant"
    bl_label = "Next variant"
    bl_options = {"REGISTER"}

    strip: bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})
    wait: bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        segment = ours.record.segment
        gesture = catalogue.find(segment.gesture_id)
        numbers = sorted(variant.number for variant in gesture.variants) if gesture else []
        if len(numbers) < 2:
            raise UserError(f"{segment.label} has no other variant.", "Swap the gesture instead.", "one_variant")
        following = next((n for n in numbers if n > segment.variant), numbers[0])
        return replace_gesture(context, ours, segment.gesture_id, following, waits(self.wait))


class GESTICULATOR_OT_add_gesture(_Choosing, bpy.types.Operator):
    """Put a gesture on the chosen word"""

    bl_idname = "gesticulator.add_gesture"
    bl_label = "Add gesture"
    bl_options = {"REGISTER"}
    bl_property = "choice"

    choice: bpy.props.EnumProperty(name="Gesture", items=choices, options={"SKIP_SAVE"})
    gesture_id: bpy.props.StringProperty(name="Gesture id", options={"SKIP_SAVE"})
    variant: bpy.props.IntProperty(name="Variant", default=1, min=1, options={"SKIP_SAVE"})
    word: bpy.props.IntProperty(
        name="Word", description="Number of the word, from 0; -1 takes the list's", default=-1, options={"SKIP_SAVE"}
    )
    wait: bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if not len(context.scene.gesticulator.words):
            return "There are no words yet: press Generate"
        return character_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        settings = context.scene.gesticulator
        index = settings.word_index if self.word < 0 else self.word
        if not 0 <= index < len(settings.words):
            raise UserError(f"There is no word {index}.", "Choose a word in the list.", "no_word")
        if index in gestures.by_word(settings.character):
            raise UserError("This word has a gesture already.", "Swap or remove it.", "word_taken")
        word = settings.words[index]
        known = catalogue.find(self.chosen())
        segment = Segment(
            self.chosen(), known.label if known else self.chosen(), self.variant, word.name, index,
            start=word.start, stroke=word.start, end=word.end, confidence=1.0, locked=True,
        )
        where = editing.target(context)
        stay = [now for _, now in editing.segments_now(settings.character, where)]
        return _start(where, stay, segment, "", waits(self.wait))


def replace_gesture(
    context: bpy.types.Context, ours: OurStrip, gesture_id: str, variant: int, wait: bool
) -> str:
    """Another gesture, or variant, in the place of a strip; its stroke stays where it lies now."""
    where = editing.target(context, ours.record)
    now = nla.segment_now(ours, where.fps)
    known = catalogue.find(gesture_id)
    label = known.label if known else gesture_id
    changed = replace(now, gesture_id=gesture_id, label=label, variant=variant, locked=True)
    others = editing.segments_now(context.scene.gesticulator.character, where)
    stay = [segment for other, segment in others if other.strip.name != ours.strip.name]
    return _start(where, stay, changed, ours.strip.name, wait)


def _start(where: editing.Target, stay: list[Segment], changed: Segment, strip: str, wait: bool) -> str:
    request = editing.rearrangement(where, stay, [changed], natural=True)
    job = Job("edit", lambda control: rearrange(live.connection, request, control))
    done = editing.place(where, [strip], lambda placed: nla.strip_name(placed[0]))
    return live.run(job, done, wait=wait)


CLASSES = (GESTICULATOR_OT_swap_gesture, GESTICULATOR_OT_swap_variant, GESTICULATOR_OT_add_gesture)
