"""Generate: from the voice strip to strips on the NLA."""

from __future__ import annotations

from typing import Annotated

import bpy

from ...client.editing import GestureInfo
from ...client.editing import catalogue as list_gestures
from ...client.generation import GenerateRequest, generate
from ...client.job import Control, Job
from ...core.errors import UserError
from ...core.performance import Performance
from ...core.timeline import Segment
from .. import backend_settings, catalogue, job_runner, nla, performance, previews, request, sound_strips
from ..gestures import semantic
from ..steps import Steps
from .base import GesticulatorOperator, waits
from .rig import character_reason


class GESTICULATOR_OT_generate(GesticulatorOperator, bpy.types.Operator):
    """Turn the voice into gestures on the character's NLA. Replaces what was generated before, keeps what you locked
    or changed, leaves all other animation alone"""

    bl_idname = "gesticulator.generate"
    bl_label = "Generate"
    bl_options = {"REGISTER"}  # the one undo step is pushed when the result arrives

    wait: Annotated[
        bool,
        bpy.props.BoolProperty(
            name="Wait", description="Return when all is done (always so in background mode)", options={"SKIP_SAVE"}
        ),
    ]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return character_reason(context) or voice_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        target = request.read_target(context)
        wanted = request.build_request(context, target, locked=kept_segments(target))
        job = Job("generate", lambda control: work(wanted, control))
        return job_runner.run(job, lambda made: apply_result(target, wanted, *made), wait=waits(self.wait))


def work(wanted: GenerateRequest, control: Control) -> tuple[Performance, tuple[GestureInfo, ...]]:
    """Generate, and learn on the way which gestures there are to swap to."""
    take = generate(job_runner.connection, wanted, control)
    control.report("Listing the gestures", 0.99)
    try:
        api = job_runner.connection.open(wanted.backend, control.check)
        try:
            return take, list_gestures(api, wanted.settings.library)
        finally:
            api.close()
    except UserError:  # the picker asks for them again
        return take, ()


def apply_result(
    target: request.GenerateTarget, wanted: GenerateRequest, take: Performance, gestures: tuple[GestureInfo, ...]
) -> Steps[str]:
    """The result's way into the scene, on the main thread."""
    message = yield from performance.apply(target, take)
    if gestures:
        catalogue.remember(catalogue.file_of(wanted.settings.library), gestures)
        if not bpy.app.background:
            previews.refresh()  # so that they are there when somebody wants to swap
    return message


def voice_reason(context: bpy.types.Context) -> str:
    strips = sound_strips.sound_strips(sound_strips.editing_scene(context))
    return "" if strips else "The scene has no sound strip: add the voice in the Sequencer first"


def backend_reason() -> str:
    if backend_settings.backend_state() == "missing":
        return "Set up the backend first (the button above, or in the add-on's preferences)"
    return ""


def kept_segments(target: request.GenerateTarget) -> tuple[Segment, ...]:
    """The gestures that the animator locked or changed for this voice, as they lie now: planned around, not moved."""
    found = []
    for ours in semantic(target.find_character()):
        if ours.changed and ours.record.source == target.voice.strip:
            segment = nla.segment_now(ours, target.fps)
            if segment is not None:
                found.append(segment)
    return tuple(sorted(found, key=lambda segment: segment.start))


CLASSES: tuple[type, ...] = (GESTICULATOR_OT_generate,)
