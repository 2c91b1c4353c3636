"""A finished performance onto a character's NLA, all or nothing.

Below lies the rhythm, above it one strip per semantic gesture; muting or deleting a gesture uncovers the rhythm. What
the animator locked or changed stays, and so does every other piece of animation.

It goes in steps (see `steps`): numbers in a thread, Actions a few curves at a time, and in the last step all of the
strips. That one alone changes what the scene shows, and it decides by how the scene is then: where strips lie, which
are locked, muted or gone. Whether their keys were edited was read a moment earlier, a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import bpy

from ..core import clips
from ..core.bone_maps import BoneMap
from ..core.clips import Clip
from ..core.errors import UserError
from ..core.performance import Performance
from ..core.strip_plan import Span
from ..core.timeline import Segment
from . import baking, compat, metadata, strips
from .baking import Baked, Tally
from .linking import Applied, Work, link, rhythm_name, strip_name
from .metadata import RHYTHM, SEMANTIC
from .rigs import overridden_bones, read_rig
from .rna import present
from .steps import Steps, find_by_uid, finish, in_thread
from .strips import Journal, OurStrip, our_strips

_SAME_PLACE = 0.3  # share of a gesture's length that must be covered by a kept one to be "in its place"


@dataclass(frozen=True)
class Where:
    """Where a performance goes. Pointers: not to be kept over a step."""

    scene: bpy.types.Scene
    armature: bpy.types.Object
    bone_map: BoneMap


Find = Callable[[], Where]
"""Looks it up, each time anew; UserError when it cannot be done any more."""


def apply_performance(
    armature: bpy.types.Object,
    performance: Performance,
    bone_map: BoneMap,
    *,
    scene: bpy.types.Scene,
    frame_start: float,
    source: str = "",
    job: str = "",
    keep_changed: bool = True,
) -> Applied:
    """`apply_steps` in one go, for scripts. Raises UserError, and then nothing has changed."""
    find = finder(scene, armature, bone_map)
    return finish(
        apply_steps(find, performance, frame_start=frame_start, source=source, job=job, keep_changed=keep_changed)
    )


def finder(scene: bpy.types.Scene, armature: bpy.types.Object, bone_map: BoneMap) -> Find:
    scene_uid, armature_uid = scene.session_uid, armature.session_uid
    return lambda: Where(
        find_by_uid(bpy.data.scenes, scene_uid, "The scene"),
        find_by_uid(bpy.data.objects, armature_uid, "The character"),
        bone_map,
    )


def apply_steps(
    find: Find,
    performance: Performance,
    *,
    frame_start: float,
    source: str = "",
    job: str = "",
    keep_changed: bool = True,
) -> Steps[Applied]:
    """Put a performance on the armature's NLA.

    frame_start: scene frame (sub-frames allowed) of the audio's second 0; source: name of the voice, so that making one
    voice again replaces what was made for it wherever it lies; keep_changed: False replaces everything but locked
    strips.
    """
    work = _work(find(), performance, frame_start, source, job)
    with baking.all_or_nothing():
        made = yield from _build(work, (yield in_thread(lambda: clips.whole(performance, work.rig, work.fps))))
        known = yield from _read_contents(find, work)
        return _replace_strips(work, _unchanged(work, find()), made, known, keep_changed)


def place_steps(
    find: Find,
    performance: Performance,
    placed: Sequence[tuple[Segment, str]],
    *,
    frame_start: float,
    source: str = "",
    job: str = "",
    lock: bool = False,
) -> Steps[Applied]:
    """Put single gestures of a performance on the NLA: each in the place of the strip of that name, "" adds one.

    The strips get the segments' natural places, trims and blends; an unknown segment raises UserError.
    """
    work = _work(find(), performance, frame_start, source, job, lock)
    segments, names = [segment for segment, _ in placed], {name for _, name in placed if name}
    with baking.all_or_nothing():
        _named(find().armature, names)
        calculated = yield in_thread(lambda: clips.of_segments(performance, segments, work.rig, work.fps))
        made = yield from _build(work, calculated)
        armature = _unchanged(work, find()).armature
        result = Applied(work.frames)
        link(work, armature, None, _with_spans(made), _named(armature, names), result)
        return result


def delete_strip(armature: bpy.types.Object, strip: bpy.types.NlaStrip) -> None:
    """Remove one strip of ours with its Action; the rhythm below shows again."""
    for ours in our_strips(armature):
        if ours.strip == strip:
            strips.discard([strips.remove_strip(ours.track, strip, Journal())])
            strips.drop_empty_tracks(present(armature.animation_data))
            return
    raise UserError(f"{strip.name} is not a gesture strip.", "Select a strip on a Gestures track.", "not_our_strip")


def segment_now(ours: OurStrip, fps: float) -> Segment | None:
    """The strip's segment with its times as the strip lies now (seconds of the audio it was made for)."""
    segment = ours.record.segment
    if segment is None:
        return None
    times = {name: _now(ours, getattr(segment, name), fps) for name in ("start", "stroke", "end")}
    return Segment.from_json({**segment.to_json(), **times, "locked": bool(ours.changed)})


def _now(ours: OurStrip, seconds: float, fps: float) -> float:
    """Where an instant of a strip's audio has gone with the strip."""
    record, made = ours.record, ours.record.state["frame_start"]
    stretch = (ours.strip.frame_end - ours.strip.frame_start) / max(record.state["frame_end"] - made, 1e-6)
    frame = record.frame_zero + seconds * record.fps
    return (ours.strip.frame_start + (frame - made) * stretch - record.frame_zero) / fps


# ---------------------------------------------------------------- building


def _work(
    where: Where, performance: Performance, frame_start: float, source: str, job: str, lock: bool = False
) -> Work:
    rig = read_rig(where.armature, where.bone_map)
    return Work(
        rig,
        where.armature.name,
        compat.scene_fps(where.scene),
        float(frame_start),
        clips.seconds(performance),
        source,
        job,
        lock,
    )


def _build(work: Work, calculated: Sequence[Clip]) -> Steps[list[tuple[Clip, Baked]]]:
    tally = Tally(sum(clip.keys for clip in calculated))
    made = []
    for clip in calculated:
        name = strip_name(clip.span.segment) if clip.span else rhythm_name(work)
        made.append((clip, (yield from baking.bake(name, work.owner, clip.channels, tally))))
    return made


def _with_spans(made: Iterable[tuple[Clip, Baked]]) -> list[tuple[Span, Baked]]:
    return [(clip.span, baked) for clip, baked in made if clip.span]


def _read_contents(find: Find, work: Work) -> Steps[dict[int, str]]:
    """Fingerprints of the Actions that may be replaced, by session uid: too much to be read in the last step.

    The long rhythm comes first: what is known of the gestures, whose keys people edit, is then some ticks old at most.
    """
    concerned = [ours for ours in our_strips(find().armature) if _concerns(ours, work)]
    concerned.sort(key=lambda ours: ours.record.kind != RHYTHM)
    known = {}
    for uid in dict.fromkeys([present(ours.strip.action).session_uid for ours in concerned]):
        known[uid] = yield from baking.read(uid)
    return known


def _unchanged(work: Work, where: Where) -> Where:
    """UserError when what was built does not fit the character any more."""
    if not read_rig(where.armature, where.bone_map).same_as(work.rig):
        raise UserError(
            f"The bones of {where.armature.name} were changed while gestures were being made.",
            "Nothing was changed; do it once more.",
            "target_changed",
        )
    return where


# ---------------------------------------------------------------- what stays, what goes


def _replace_strips(
    work: Work, where: Where, made: Sequence[tuple[Clip, Baked]], known: dict[int, str], keep_changed: bool
) -> Applied:
    armature = where.armature
    result = Applied(work.frames, warnings=_warnings(armature, work))
    kept, replaced = [], []
    for ours in our_strips(armature):
        if _concerns(ours, work):
            change = ours.change(lambda action: known.get(action.session_uid) or metadata.content_hash(action))
            if change == "locked" or (change and keep_changed):
                kept.append(ours)
                result.kept.append((ours.strip.name, change))
            else:
                replaced.append(ours)
    rhythm: Baked | None = next(baked for clip, baked in made if clip.span is None)
    if any(ours.record.kind == RHYTHM for ours in kept):
        rhythm = None
        result.warnings.append("The rhythm strip was changed by hand and stays; delete it to get the new one.")
    link(work, armature, rhythm, _wanted(work, _with_spans(made), kept, result), replaced, result)
    return result


def _warnings(armature: bpy.types.Object, work: Work) -> list[str]:
    out = []
    taken = overridden_bones(armature, work.rig)
    if taken:
        out.append(
            f"Constraints move {', '.join(taken[:3])}{' and others' if len(taken) > 3 else ''}: "
            "gestures will not show there until they are muted."
        )
    animation = armature.animation_data
    if animation is not None and any(t.is_solo for t in animation.nla_tracks):
        out.append("Another NLA track plays solo: turn its star off to see the gestures.")
    return out


def _named(armature: bpy.types.Object, names: set[str]) -> list[OurStrip]:
    found = [ours for ours in our_strips(armature) if ours.strip.name in names]
    if len(found) < len(names):
        raise UserError("The gesture was removed meanwhile.", "Nothing was changed.", "target_gone")
    return found


def _concerns(ours: OurStrip, work: Work) -> bool:
    """Whether a strip of ours belongs to the voice being made again, or lies where the new motion will."""
    overlaps = ours.strip.frame_start < work.frames[1] and ours.strip.frame_end > work.frames[0]
    return overlaps or bool(work.source and ours.record.source == work.source)


def _wanted(
    work: Work, gestures: Iterable[tuple[Span, Baked]], kept: Sequence[OurStrip], result: Applied
) -> list[tuple[Span, Baked]]:
    """Gestures whose place is not taken by one that the animator keeps."""
    semantic = [ours for ours in kept if ours.record.kind == SEMANTIC]
    out = []
    for span, baked in gestures:
        if any(_in_place_of(work, span, ours) for ours in semantic):
            result.skipped.append(span.segment)
        else:
            out.append((span, baked))
    return out


def _in_place_of(work: Work, span: Span, kept: OurStrip) -> bool:
    old = kept.record.segment
    if old is None:
        return False
    new = (span.segment.word_index, span.segment.word, work.source)
    if old.word_index >= 0 and (old.word_index, old.word, kept.record.source) == new:
        return True
    start, end = (kept.record.frame_zero + _now(kept, t, work.fps) * work.fps for t in (old.start, old.end))
    first, last = work.frame(span.segment.start), work.frame(span.segment.end)
    return min(end, last) - max(start, first) > _SAME_PLACE * min(end - start, last - first)
