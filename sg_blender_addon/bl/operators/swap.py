"""Putting another gesture on a word: swap, another variant, add."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import bpy

from ...client.editing import rearrange
from ...client.job import Job
from ...client.search import suggest
from ...core.errors import UserError
from ...core.timeline import Segment
from .. import catalogue, editing, gestures, job_runner, linking, nla, previews, properties
from ..rna import present
from ..strips import OurStrip
from .base import GesticulatorOperator, waits
from .generate import backend_reason
from .picker import Picker
from .rig import character_reason

IDEAS = 5


def gesture_reason(context: bpy.types.Context) -> str:
    reason = character_reason(context)
    if not reason and not gestures.any_there(properties.settings(context.scene).character):
        reason = "There are no gestures yet: press Generate"
    return reason


class GESTICULATOR_OT_swap_gesture(Picker, bpy.types.Operator):
    """Put another gesture on this word. The stroke stays on the word; the gesture is locked"""

    bl_idname = "gesticulator.swap_gesture"
    bl_label = "Swap gesture"
    bl_options = {"REGISTER"}

    strip: Annotated[str, bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})]
    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or backend_reason()

    def aim(self, context: bpy.types.Context) -> tuple[str, list[str]]:
        """The gesture that is replaced; the retriever's other ideas come first."""
        ours = gestures.required(context, self.strip)
        self.strip = ours.strip.name
        replaced = present(ours.record.segment)
        ideas = [idea.gesture_id for idea in ours.record.alternatives] + suggested(replaced.word)
        return replaced.word, [gesture_id for gesture_id in dict.fromkeys(ideas) if gesture_id != replaced.gesture_id]

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        return replace_gesture(context, ours, self.chosen(), self.variant, waits(self.wait))


class GESTICULATOR_OT_swap_variant(GesticulatorOperator, bpy.types.Operator):
    """Make the same gesture in its next way: other hand, size or tempo"""

    bl_idname = "gesticulator.swap_variant"
    bl_label = "Next variant"
    bl_options = {"REGISTER"}

    strip: Annotated[str, bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})]
    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        segment = present(ours.record.segment)
        if not catalogue.gestures():
            raise _unknown_list()
        gesture = catalogue.find(segment.gesture_id)
        numbers = sorted(variant.number for variant in gesture.variants) if gesture else []
        if len(numbers) < 2:
            raise UserError(f"{segment.label} has no other variant.", "Swap the gesture instead.", "one_variant")
        following = next((n for n in numbers if n > segment.variant), numbers[0])
        return replace_gesture(context, ours, segment.gesture_id, following, waits(self.wait))


class GESTICULATOR_OT_add_gesture(Picker, bpy.types.Operator):
    """Put a gesture on the chosen word"""

    bl_idname = "gesticulator.add_gesture"
    bl_label = "Add gesture"
    bl_options = {"REGISTER"}

    word: Annotated[
        int,
        bpy.props.IntProperty(
            name="Word",
            description="Number of the word, from 0; -1 takes the list's",
            default=-1,
            options={"SKIP_SAVE"},
        ),
    ]
    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if not len(properties.settings(context.scene).words):
            return "There are no words yet: press Generate"
        return character_reason(context) or backend_reason()

    def aim(self, context: bpy.types.Context) -> tuple[str, list[str]]:
        """The word, and gestures whose examples have it."""
        self.word = self._free_word(context)
        word = properties.settings(context.scene).words[self.word].name
        return word, suggested(word)

    def run(self, context: bpy.types.Context) -> str:
        settings = properties.settings(context.scene)
        index = self._free_word(context)
        word = settings.words[index]
        known = catalogue.find(self.chosen())
        segment = Segment(
            self.chosen(),
            known.label if known else self.chosen(),
            self.variant,
            word.name,
            index,
            start=word.start,
            stroke=word.start,
            end=word.end,
            confidence=1.0,
            locked=True,
            blend=settings.blend,
        )
        where = editing.target(context)
        stay = [now for _, now in editing.segments_now(present(settings.character), where)]
        return _start(where, stay, segment, "", waits(self.wait))

    def _free_word(self, context: bpy.types.Context) -> int:
        """Number of the word that gets the gesture; UserError if it cannot."""
        settings = properties.settings(context.scene)
        index = settings.word_index if self.word < 0 else self.word
        if not 0 <= index < len(settings.words):
            raise UserError(f"There is no word {index}.", "Choose a word in the list.", "no_word")
        if index in gestures.by_word(settings.character):
            raise UserError("This word has a gesture already.", "Swap or remove it.", "word_taken")
        return index


def _unknown_list() -> UserError:
    """What to say where no list of gestures has come yet; and ask for it."""
    if not job_runner.busy():
        previews.refresh()
    return UserError(
        "The library's list of gestures is not known yet.",
        "It is being asked of the backend: try again in a moment.",
        "no_list",
    )


def suggested(word: str) -> list[str]:
    """The few gestures whose texts have a spoken word."""
    return [gesture.id for gesture in suggest(catalogue.gestures(), word)[:IDEAS]]


def replace_gesture(context: bpy.types.Context, ours: OurStrip, gesture_id: str, variant: int, wait: bool) -> str:
    """Another gesture, or variant, in the place of a strip; its stroke stays where it lies now.

    How the old one was blended says nothing about the new one: other hands, other harm done by the model.
    """
    settings = properties.settings(context.scene)
    where = editing.target(context, ours.record)
    now = present(nla.segment_now(ours, where.fps))
    known = catalogue.find(gesture_id)
    label = known.label if known else gesture_id
    changed = replace(now, gesture_id=gesture_id, label=label, variant=variant, locked=True, blend=settings.blend)
    others = editing.segments_now(present(settings.character), where)
    stay = [segment for other, segment in others if other.strip.name != ours.strip.name]
    return _start(where, stay, changed, ours.strip.name, wait)


def _start(where: editing.Target, stay: list[Segment], changed: Segment, strip: str, wait: bool) -> str:
    request = editing.rearrangement(where, stay, [changed], natural=True)
    job = Job("edit", lambda control: rearrange(job_runner.connection, request, control))
    done = editing.place(where, [strip], lambda placed: linking.strip_name(placed[0]))
    return job_runner.run(job, done, wait=wait)


CLASSES: tuple[type, ...] = (GESTICULATOR_OT_swap_gesture, GESTICULATOR_OT_swap_variant, GESTICULATOR_OT_add_gesture)
