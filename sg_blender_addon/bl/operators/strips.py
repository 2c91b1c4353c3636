"""Strips that are there already: lock, remove, snap to the word, blend again, make a range anew, export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import bpy

from ...client.editing import Rearranged, rearrange, regenerate_range
from ...client.job import Job
from ...core.bvh import write_bvh
from ...core.errors import UserError
from ...core.files import replacing
from .. import compat, editing, gestures, job_runner, metadata, nla, performance, properties, request, takes
from ..rna import OperatorResult, present
from .base import GesticulatorOperator, waits
from .generate import backend_reason, kept_segments, voice_reason
from .rig import character_reason
from .swap import gesture_reason


class GESTICULATOR_OT_toggle_lock(GesticulatorOperator, bpy.types.Operator):
    """Locked gestures stay as they are when you generate again"""

    bl_idname = "gesticulator.toggle_lock"
    bl_label = "Lock gesture"
    bl_options = {"REGISTER", "UNDO"}

    strip: Annotated[str, bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context)

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        metadata.update(present(ours.strip.action), lock=not ours.record.lock)
        return ""


class GESTICULATOR_OT_remove_gesture(GesticulatorOperator, bpy.types.Operator):
    """Take the gesture away; the movement that follows the rhythm shows in its place"""

    bl_idname = "gesticulator.remove_gesture"
    bl_label = "Remove gesture"
    bl_options = {"REGISTER", "UNDO"}

    strip: Annotated[str, bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context)

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        label = gestures.label(ours).capitalize()
        nla.delete_strip(present(properties.settings(context.scene).character), ours.strip)
        return f"{label} was removed"


class GESTICULATOR_OT_snap_to_word(GesticulatorOperator, bpy.types.Operator):
    """Move the strip so that its stroke falls on the beginning of its word"""

    bl_idname = "gesticulator.snap_to_word"
    bl_label = "Snap to word"
    bl_options = {"REGISTER", "UNDO"}

    strip: Annotated[str, bpy.props.StringProperty(name="Strip", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context)

    def run(self, context: bpy.types.Context) -> str:
        ours = gestures.required(context, self.strip)
        settings = properties.settings(context.scene)
        index = gestures.word_index(ours)
        if not 0 <= index < len(settings.words):
            raise UserError("This gesture belongs to no word of the list.", "Move the strip by hand.", "no_word")
        fps = compat.scene_fps(present(context.scene))
        now = present(nla.segment_now(ours, fps))
        move = settings.frame_of(settings.words[index].start) - (ours.record.frame_zero + now.stroke * fps)
        first, last = ours.strip.frame_start + move, ours.strip.frame_end + move
        if any(s != ours.strip and s.frame_start < last and s.frame_end > first for s in ours.track.strips):
            raise UserError("Another strip lies there on the same track.", "Move or remove that one first.", "no_room")
        compat.place_strip(ours.strip, first)
        return f"Moved by {move:+.1f} frames"


class GESTICULATOR_OT_reblend(GesticulatorOperator, bpy.types.Operator):
    """Make the movement into and out of the gestures anew, for where the strips lie now"""

    bl_idname = "gesticulator.reblend"
    bl_label = "Re-blend"
    bl_options = {"REGISTER"}

    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        where = editing.target(context)
        lying = editing.segments_now(present(properties.settings(context.scene).character), where)
        moved = [(ours, segment) for ours, segment in lying if ours.changed not in ("", "locked", "keys edited")]
        if not moved:
            raise UserError(
                "No gesture was moved or stretched.", "Move strips in the NLA editor, then blend again.", "no_change"
            )
        names = [ours.strip.name for ours, _ in moved]
        stay = [segment for ours, segment in lying if ours.strip.name not in names]
        placed = [replace(segment, locked=True) for _, segment in moved]
        wanted = editing.rearrangement(where, stay, placed, natural=False)
        job = Job("edit", lambda control: rearrange(job_runner.connection, wanted, control))
        done = editing.place(where, names, lambda made: f"{len(made)} gestures blended again")
        return job_runner.run(job, done, wait=waits(self.wait))


class GESTICULATOR_OT_regenerate_range(GesticulatorOperator, bpy.types.Operator):
    """Generate the preview range anew with the scene's seed and settings; before and after it everything stays"""

    bl_idname = "gesticulator.regenerate_range"
    bl_label = "Regenerate range"
    bl_options = {"REGISTER"}

    frame_start: Annotated[
        int,
        bpy.props.IntProperty(
            name="First frame", description="-1: the preview range", default=-1, options={"SKIP_SAVE"}
        ),
    ]
    frame_end: Annotated[int, bpy.props.IntProperty(name="Last frame", default=-1, options={"SKIP_SAVE"})]
    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return gesture_reason(context) or voice_reason(context) or backend_reason()

    def run(self, context: bpy.types.Context) -> str:
        where = editing.target(context)
        start, end = self._seconds(present(context.scene), where)
        target = request.read_target(context)
        outside = [
            replace(segment, locked=True)
            for ours, segment in editing.segments_now(target.find_character(), where)
            if ours.changed or not start <= segment.stroke < end
        ]
        kept = {(s.word_index, s.stroke): s for s in (*outside, *kept_segments(target))}
        locked = tuple(sorted(kept.values(), key=lambda segment: segment.start))
        wanted = request.build_request(context, target, locked=locked, time_range=(start, end))
        path = takes.path_of(where.take)
        job = Job("generate", lambda control: regenerate_range(job_runner.connection, wanted, path, control))
        return job_runner.run(job, lambda take: performance.apply(target, take), wait=waits(self.wait))

    def _seconds(self, scene: bpy.types.Scene, where: editing.Target) -> tuple[float, float]:
        """The range in seconds of the voice; UserError when there is none."""
        first, last = self.frame_start, self.frame_end
        if last <= first:
            if not scene.use_preview_range:
                raise UserError(
                    "No range is chosen.", "Set a preview range in the timeline (P), then press again.", "no_range"
                )
            first, last = scene.frame_preview_start, scene.frame_preview_end
        start = max(0.0, (first - where.frame_zero) / where.fps)
        end = min(where.seconds, (last - where.frame_zero) / where.fps)
        if end - start < 2 / where.fps:
            raise UserError("The range does not lie within the voice.", "Choose another range.", "no_range")
        return start, end


class GESTICULATOR_OT_export(GesticulatorOperator, bpy.types.Operator):
    """Write the performance as it is now: motion as BVH, with words and gestures as JSON beside it"""

    bl_idname = "gesticulator.export"
    bl_label = "Export"
    bl_options = {"REGISTER"}

    filepath: Annotated[str, bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})]
    filter_glob: Annotated[str, bpy.props.StringProperty(default="*.bvh", options={"HIDDEN"})]
    wait: Annotated[bool, bpy.props.BoolProperty(name="Wait", options={"SKIP_SAVE"})]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return character_reason(context) or backend_reason()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        self.filepath = f"{bpy.path.clean_name(present(properties.settings(context.scene).character).name)}.bvh"
        present(context.window_manager).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> str:
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".bvh")
        if not self.filepath or not path.parent.is_dir():
            raise UserError("There is no such folder to write to.", "Choose another place.", "cannot_write")
        where = editing.target(context)
        settings = properties.settings(context.scene)
        stay = [segment for _, segment in editing.segments_now(present(settings.character), where)]
        words = [{"text": word.name, "start": word.start, "end": word.end} for word in settings.words]
        wanted = editing.rearrangement(where, stay, [], natural=False)
        job = Job("edit", lambda control: rearrange(job_runner.connection, wanted, control))
        return job_runner.run(job, lambda answer: _write(path, answer, words), wait=waits(self.wait))


def _write(path: Path, answer: Rearranged, words: list[dict[str, object]]) -> str:
    """Both files or none; nothing half-written."""
    report = {"words": words, "segments": [segment.to_json() for segment in answer.take.segments]}
    with replacing(path) as fresh, replacing(path.with_suffix(".json")) as fresh_report:
        write_bvh(answer.take.merged, fresh)
        fresh_report.write_text(json.dumps(report, indent=1), "utf-8")
    return f"Wrote {path.name} and {path.with_suffix('.json').name}"


CLASSES: tuple[type, ...] = (
    GESTICULATOR_OT_toggle_lock,
    GESTICULATOR_OT_remove_gesture,
    GESTICULATOR_OT_snap_to_word,
    GESTICULATOR_OT_reblend,
    GESTICULATOR_OT_regenerate_range,
    GESTICULATOR_OT_export,
)
