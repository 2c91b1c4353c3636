"""Single gestures changed on the NLA: what to ask the backend, and how its answer gets into the scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy

from ..client.editing import Rearranged, Rearrangement
from ..core.errors import UserError
from ..core.timeline import Segment
from . import backend_settings, compat, mapping, nla, properties, takes
from .gestures import semantic
from .metadata import RHYTHM, Record
from .nla import Where
from .performance import push_undo
from .rna import present
from .steps import Steps, find_by_uid, persistent
from .strips import OurStrip, our_strips

FRAME_TOLERANCE = 0.01


@dataclass(frozen=True)
class Target:
    """The character's performance that is edited, as names and plain values."""

    scene_uid: int
    character_uid: int
    source: str
    take: str
    frame_zero: float
    fps: float
    seconds: float

    def find(self) -> Where:
        """All of it as it is now; UserError when it is not what it was when the job began."""
        scene = find_by_uid(bpy.data.scenes, self.scene_uid, "The scene")
        character = find_by_uid(bpy.data.objects, self.character_uid, "The character")
        _check_frame_rate(scene, self.fps)
        return Where(scene, character, mapping.of(character))


def target(context: bpy.types.Context, record: Record | None = None) -> Target:
    """The performance that a strip belongs to, or that of the chosen voice; UserError when nothing was generated."""
    scene = present(context.scene)
    settings = properties.settings(scene)
    character = present(settings.character)
    record = record or _rhythm_record(character, settings.voice)
    _check_frame_rate(scene, record.fps)
    return Target(
        scene.session_uid,
        character.session_uid,
        record.source,
        record.job,
        record.frame_zero,
        record.fps,
        record.seconds,
    )


def _check_frame_rate(scene: bpy.types.Scene, fps: float) -> None:
    if abs(fps - compat.scene_fps(scene)) > FRAME_TOLERANCE:
        raise UserError(
            "The scene's frame rate was changed since these gestures were made.", "Generate once more.", "fps_changed"
        )


def _rhythm_record(character: bpy.types.Object, voice: str) -> Record:
    records = [ours.record for ours in our_strips(character) if ours.record.kind == RHYTHM]
    fitting = [record for record in records if record.source == voice] or records
    if not fitting:
        raise UserError("There is no performance to change.", "Press Generate first.", "no_performance")
    return fitting[0]


def segments_now(character: bpy.types.Object, where: Target) -> list[tuple[OurStrip, Segment]]:
    """The performance's gestures as they lie now, muted ones left out: the rhythm shows in their place."""
    found = []
    for ours in semantic(character):
        if ours.record.source == where.source and not ours.strip.mute:
            segment = nla.segment_now(ours, where.fps)
            if segment is not None:
                found.append((ours, segment))
    return found


def rearrangement(where: Target, stay: Sequence[Segment], placed: Sequence[Segment], *, natural: bool) -> Rearrangement:
    return Rearrangement(
        backend_settings.backend_choice(),
        takes.path_of(where.take),
        tuple(stay),
        tuple(placed),
        natural,
        backend_settings.library(),
        backend_settings.weights(),
    )


def place(
    where: Target, strips: Sequence[str], message: Callable[[Sequence[Segment]], str]
) -> Callable[[Rearranged], Steps[str]]:
    """What to do with the backend's answer: put each placed gesture into the place of the strip of that name.

    An empty name adds a strip. The animator chose these gestures, so they are locked: generating again keeps them.
    """

    def apply(answer: Rearranged) -> Steps[str]:
        placed = list(zip(answer.placed, strips, strict=True))
        yield from persistent(
            lambda: nla.place_steps(
                where.find,
                answer.take,
                placed,
                frame_start=where.frame_zero,
                source=where.source,
                job=where.take,
                lock=True,
            )
        )
        push_undo("Change gestures")
        return message(answer.placed)

    return apply
