"""A finished performance onto a character's NLA, all or nothing.

Below lies the rhythm, above it one strip per semantic gesture; muting or deleting a gesture uncovers the rhythm. What
the animator locked or changed stays, and so does every other piece of animation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import bpy
import numpy as np

from ..core.bone_maps import SIDES, BoneMap
from ..core.errors import UserError
from ..core.motion import Motion, concatenate
from ..core.retarget import Retargeted, TargetRig, retarget
from ..core.strip_plan import Span, plan_spans, segment_motion
from ..core.timeline import Segment
from . import baking, compat, metadata, strips
from .baking import Channel
from .metadata import RHYTHM, SEMANTIC, Record
from .rigs import overridden_bones, read_rig
from .strips import Journal, OurStrip, our_strips

_CHANGED = 2e-3  # a channel that moves less than this (a quarter of a degree, 2 mm) is not part of a gesture
_LOWER = ("Hips", *(side + part for side in SIDES for part in ("UpLeg", "Leg", "Foot")))
_SAME_PLACE = 0.3  # share of a gesture's length that must be covered by a kept one to be "in its place"


class Performance(Protocol):
    """What generation delivers: two motions of one length on the canonical skeleton, and the gestures' places."""

    @property
    def rhythm(self) -> Motion: ...
    @property
    def merged(self) -> Motion: ...
    @property
    def segments(self) -> Sequence[Segment]: ...


@dataclass
class Applied:
    """What `apply_performance` did. Names, not pointers: they stay good after an undo.

    frames: scene frames that the performance covers; placed: names of the new semantic strips' Actions; kept: strips of
    the animator's that stayed, with the reason; skipped: gestures not placed because a kept strip is in their place.
    """

    frames: tuple[float, float]
    rhythm_action: str = ""
    placed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Segment] = field(default_factory=list)
    removed: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """Everything that stays the same while strips are built."""

    armature: bpy.types.Object
    rig: TargetRig
    rhythm: Motion
    merged: Motion
    fps: float
    frame_zero: float
    source: str
    job: str

    @property
    def seconds(self) -> float:
        return (len(self.rhythm) - 1) / self.rhythm.fps

    @property
    def origin(self) -> tuple[float, float]:
        x, _, z = self.rhythm.root_positions[0]
        return float(x), float(z)

    def times(self, start: float, end: float) -> np.ndarray:
        """Seconds of one key per scene frame, from start until end is reached."""
        return start + np.arange(max(2, int(np.ceil((end - start) * self.fps - 1e-6)) + 1)) / self.fps

    def record(self, kind: str, segment: Segment | None = None) -> Record:
        return Record(kind, self.job, self.source, segment, self.frame_zero, self.fps, self.seconds)

    def frame(self, seconds: float) -> float:
        return self.frame_zero + seconds * self.fps


def apply_performance(armature: bpy.types.Object, performance: Performance, bone_map: BoneMap, *,
                      scene: bpy.types.Scene, frame_start: float, source: str = "", job: str = "",
                      keep_changed: bool = True) -> Applied:
    """Put a performance on the armature's NLA.

    frame_start: scene frame (sub-frames allowed) of the audio's second 0; source: name of the voice, so that making one
    voice again replaces what was made for it wherever it lies; keep_changed: False replaces everything but locked
    strips. Raises UserError, and then nothing has changed.
    """
    work = _prepare(armature, performance, bone_map, scene, frame_start, source, job)
    frames = (work.frame(0.0), work.frame(work.seconds))
    result = Applied(frames, warnings=_warnings(armature, work.rig))
    mine = [s for s in our_strips(armature) if _concerns(s, source, frames)]
    kept = [s for s in mine if (s.changed if keep_changed else s.changed == "locked")]
    replaced = [s for s in mine if s not in kept]
    result.kept = [(s.strip.name, s.changed) for s in kept]
    spans = _wanted(work, plan_spans(work.rhythm, work.merged, performance.segments), kept, result)
    with_rhythm = not any(s.record.kind == RHYTHM for s in kept)
    if not with_rhythm:
        result.warnings.append("The rhythm strip was changed by hand and stays; delete it to get the new one.")
    with _Building() as actions:
        rhythm = actions.add(_bake_rhythm(work)) if with_rhythm else None
        poses = _pose_gestures(work, spans)
        gestures = [(s, actions.add(_bake_gesture(work, s, pose))) for s, pose in zip(spans, poses, strict=True)]
        _link(work, rhythm, gestures, replaced, result)
    result.removed = len(replaced)
    return result


def place_segment(armature: bpy.types.Object, performance: Performance, segment: Segment, bone_map: BoneMap, *,
                  scene: bpy.types.Scene, frame_start: float, source: str = "", job: str = "",
                  replacing: bpy.types.NlaStrip | None = None, lock: bool = False) -> bpy.types.NlaStrip:
    """Put one gesture of a performance on the NLA: a new strip, or in the place of `replacing` (swap, re-blend).

    The strip gets the segment's natural place, trim and blends; an unknown segment raises UserError.
    """
    work = _prepare(armature, performance, bone_map, scene, frame_start, source, job)
    spans = plan_spans(work.rhythm, work.merged, performance.segments)
    span = next((s for s in spans if s.segment == segment), None)
    if span is None:
        raise UserError(f"{segment.label} does not lie within the performance.", "Move it, or generate again.",
                        "segment_outside")
    old = next((s for s in our_strips(armature) if replacing is not None and s.strip == replacing), None)
    result = Applied((work.frame(span.start), work.frame(span.end)))
    with _Building() as actions:
        action = actions.add(_bake_gesture(work, span, _pose_gestures(work, [span])[0]))
        made = _link(work, None, [(span, action)], [old] if old else [], result)
        if lock:
            metadata.update(action, lock=True)
    return made[0]


def delete_strip(armature: bpy.types.Object, strip: bpy.types.NlaStrip) -> None:
    """Remove one strip of ours with its Action; the rhythm below shows again."""
    for ours in our_strips(armature):
        if ours.strip == strip:
            strips.discard(strips.remove_strip(ours.track, strip, Journal()))
            strips.drop_empty_tracks(armature.animation_data)
            return
    raise UserError(f"{strip.name} is not a gesture strip.", "Select a strip on a Gestures track.", "not_our_strip")


def segment_now(ours: OurStrip, fps: float) -> Segment | None:
    """The strip's segment with its times as the strip lies now (seconds of the audio it was made for)."""
    segment, state = ours.record.segment, ours.record.state
    if segment is None:
        return None
    made, length = state["frame_start"], max(state["frame_end"] - state["frame_start"], 1e-6)
    stretch = (ours.strip.frame_end - ours.strip.frame_start) / length

    def moved(seconds: float) -> float:
        frame = ours.record.frame_zero + seconds * ours.record.fps
        return (ours.strip.frame_start + (frame - made) * stretch - ours.record.frame_zero) / fps

    values = {name: moved(getattr(segment, name)) for name in ("start", "stroke", "end")}
    return Segment.from_json({**segment.to_json(), **values, "locked": bool(ours.changed)})


# ---------------------------------------------------------------- preparing


def _prepare(armature: bpy.types.Object, performance: Performance, bone_map: BoneMap, scene: bpy.types.Scene,
             frame_start: float, source: str, job: str) -> _Job:
    rig = read_rig(armature, bone_map)
    rhythm, merged = performance.rhythm, performance.merged
    if len(rhythm) < 2 or len(rhythm) != len(merged) or rhythm.fps != merged.fps:
        raise UserError("The generated motion is too short to be used.", "Use a longer recording.", "motion_too_short")
    arrays = (rhythm.root_positions, rhythm.rotations, merged.root_positions, merged.rotations)
    if not all(np.isfinite(a).all() for a in arrays):
        raise UserError("The generated motion contains invalid numbers.", "Generate again.", "bad_motion")
    return _Job(armature, rig, rhythm, merged, compat.scene_fps(scene), float(frame_start), source, job)


def _warnings(armature: bpy.types.Object, rig: TargetRig) -> list[str]:
    out = []
    taken = overridden_bones(armature, rig)
    if taken:
        out.append(f"Constraints move {', '.join(taken[:3])}{' and others' if len(taken) > 3 else ''}: "
                   "gestures will not show there until they are muted.")
    animation = armature.animation_data
    if animation is not None and any(t.is_solo for t in animation.nla_tracks):
        out.append("Another NLA track plays solo: turn its star off to see the gestures.")
    return out


def _concerns(ours: OurStrip, source: str, frames: tuple[float, float]) -> bool:
    """Whether a strip of ours belongs to the voice being made again, or lies where the new motion will."""
    overlaps = ours.strip.frame_start < frames[1] and ours.strip.frame_end > frames[0]
    return overlaps or bool(source and ours.record.source == source)


def _wanted(work: _Job, spans: Sequence[Span], kept: Sequence[OurStrip], result: Applied) -> list[Span]:
    """Spans whose place is not taken by a gesture that the animator keeps."""
    semantic = [k for k in kept if k.record.kind == SEMANTIC]
    out = []
    for span in spans:
        if any(_in_place_of(work, span, k) for k in semantic):
            result.skipped.append(span.segment)
        else:
            out.append(span)
    return out


def _in_place_of(work: _Job, span: Span, kept: OurStrip) -> bool:
    old = kept.record.segment
    new = (span.segment.word_index, span.segment.word, work.source)
    if old is not None and old.word_index >= 0 and (old.word_index, old.word, kept.record.source) == new:
        return True
    now = segment_now(kept, work.fps)
    if now is None:
        return False
    start, end = (kept.record.frame_zero + t * work.fps for t in (now.start, now.end))
    first, last = work.frame(span.segment.start), work.frame(span.segment.end)
    return min(end, last) - max(start, first) > _SAME_PLACE * min(end - start, last - first)


# ---------------------------------------------------------------- building


class _Building:
    """Actions that are removed again unless the block ends well."""

    def __init__(self) -> None:
        self._made: list[bpy.types.Action] = []

    def add(self, action: bpy.types.Action) -> bpy.types.Action:
        self._made.append(action)
        return action

    def __enter__(self) -> _Building:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            for action in self._made:
                bpy.data.actions.remove(action)


def _bake_rhythm(work: _Job) -> bpy.types.Action:
    motion = work.rhythm.at(work.times(0.0, work.seconds))
    pose = retarget(motion, work.rig, work.origin)
    action = baking.bake(_rhythm_name(work), work.armature, baking.channels(work.armature, work.rig, pose))
    metadata.write(action, work.record(RHYTHM))
    return action


def _rhythm_name(work: _Job) -> str:
    return f"{strips.RHYTHM_TRACK} · {work.source}" if work.source else strips.RHYTHM_TRACK


def strip_name(segment: Segment) -> str:
    """`LABEL · word`, the word without punctuation at its ends."""
    word = segment.word.strip().strip(".,;:!?\"'()[]…“”‘’").strip()
    return f"{segment.label} · {word}" if word else segment.label


def _pose_gestures(work: _Job, spans: Sequence[Span]) -> list[tuple[Retargeted, Retargeted]]:
    """(rhythm, merged) poses of every span, one pose per scene frame.

    All go through retargeting as one clip: it works frame by frame, and short arrays would cost mostly overhead.
    """
    clips = []
    for span in spans:
        times = work.times(span.start, span.end)
        clips += [work.rhythm.at(times), segment_motion(work.rhythm, work.merged, span, times)]
    if not clips:
        return []
    posed = retarget(concatenate(clips), work.rig, work.origin)
    ends = np.cumsum([0, *(len(c) for c in clips)])
    parts = [posed.slice(a, b) for a, b in pairwise(ends.tolist())]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _bake_gesture(work: _Job, span: Span, poses: tuple[Retargeted, Retargeted]) -> bpy.types.Action:
    """The merged motion over the span on every channel that the gesture changes."""
    below = baking.channels(work.armature, work.rig, poses[0])
    above = baking.channels(work.armature, work.rig, poses[1], like=below)
    action = baking.bake(strip_name(span.segment), work.armature, _changed_channels(work, below, above))
    metadata.write(action, work.record(SEMANTIC, span.segment))
    return action


def _changed_channels(work: _Job, below: Sequence[Channel], above: Sequence[Channel]) -> list[Channel]:
    """Channels that move; hips and legs go together, or the feet would leave the ground when the strip is moved."""
    lower = {work.rig.names[work.rig.joints[j]] for j in _LOWER if j in work.rig.joints}
    size = {"location": 100 * work.rig.scale}  # locations count in metres of the character's own size
    moved = [np.abs(a.values - b.values).max() > _CHANGED * size.get(a.path, 1.0)
             for a, b in zip(above, below, strict=True)]
    with_legs = any(m for m, c in zip(moved, above, strict=True) if c.bone in lower)
    chosen = [c for m, c in zip(moved, above, strict=True) if m or (with_legs and c.bone in lower)]
    return chosen or [c for c in above if c.bone == work.rig.names[work.rig.joints.get("RightHand", 0)]] or list(above)


# ---------------------------------------------------------------- linking


def _link(work: _Job, rhythm: bpy.types.Action | None, gestures: Sequence[tuple[Span, bpy.types.Action]],
          replaced: Sequence[OurStrip], result: Applied) -> list[bpy.types.NlaStrip]:
    """Swap the old strips for the new ones; on any failure everything is as before."""
    journal = Journal()
    first_time = not our_strips(work.armature)
    animation = work.armature.animation_data or work.armature.animation_data_create()
    made = []
    try:
        _leave_tweak_mode(animation)
        old_actions = [strips.remove_strip(s.track, s.strip, journal) for s in replaced]
        alone = _settle_active_action(work, animation, first_time, journal, result)
        if rhythm is not None:
            _link_rhythm(work, animation, rhythm, alone, journal)
            result.rhythm_action = rhythm.name
        for span, action in gestures:
            made.append(_link_gesture(work, animation, span, action, journal))
            result.placed.append(action.name)
        if not animation.use_nla:
            animation.use_nla = True
            result.warnings.append("The character's NLA was switched off and has been switched on.")
    except BaseException:
        journal.roll_back()
        raise
    for action in old_actions:
        strips.discard(action)
    strips.drop_empty_tracks(animation)
    return made


def _leave_tweak_mode(animation: bpy.types.AnimData) -> None:
    if animation.use_tweak_mode:
        animation.use_tweak_mode = False


def _link_rhythm(work: _Job, animation: bpy.types.AnimData, action: bpy.types.Action, alone: bool,
                 journal: Journal) -> None:
    track = strips.rhythm_track(animation, journal)
    strip = strips.add_strip(track, _rhythm_name(work), action, work.frame(0.0), journal)
    # Where nothing else moves these bones the first and last pose are held, or the character would snap to its rest
    # pose; other animation must show before and after the performance.
    others = len(track.strips) > 1
    strip.extrapolation = "NOTHING" if not alone or others else "HOLD"
    if not alone:
        strip.blend_in = strip.blend_out = min(0.25 * work.fps, 0.2 * (strip.frame_end - strip.frame_start))
    metadata.stamp(strip, work.record(RHYTHM))


def _link_gesture(work: _Job, animation: bpy.types.AnimData, span: Span, action: bpy.types.Action,
                  journal: Journal) -> bpy.types.NlaStrip:
    start = work.frame(span.start)
    end = start + action.frame_range[1] - action.frame_range[0]
    track = next(t for t in strips.semantic_tracks(animation, journal)
                 if not t.lock and strips.has_room(t, start, end) is not None)
    strip = strips.add_strip(track, strip_name(span.segment), action, start, journal)
    strip.extrapolation, strip.blend_type = "NOTHING", "REPLACE"
    strip.blend_in, strip.blend_out = span.blend_in * work.fps, span.blend_out * work.fps
    metadata.stamp(strip, work.record(SEMANTIC, span.segment))
    return strip


def _touches(work: _Job, action: bpy.types.Action | None) -> bool:
    """Whether an Action animates bones that we animate."""
    names = {bpy.utils.escape_identifier(work.rig.names[i]) for i in work.rig.joints.values()}
    starts = tuple(f'pose.bones["{name}"].' for name in names)
    return action is not None and any(c.data_path.startswith(starts) for c in compat.fcurves(action))


def _settle_active_action(work: _Job, animation: bpy.types.AnimData, first_time: bool, journal: Journal,
                          result: Applied) -> bool:
    """Keep the active Action from hiding the gestures; True if nothing else moves the bones that we move.

    The active Action plays above all NLA tracks. The first time it is pushed down to a track of its own, below ours.
    Later it lies above our tracks because the animator put it there: it stays, and the result says so.
    """
    others = any(_touches(work, s.action) for t in animation.nla_tracks if not t.mute
                 for s in t.strips if metadata.read(s.action) is None)
    action = animation.action
    if not _touches(work, action):
        return not others
    if not first_time:
        result.warnings.append(f"The active Action {action.name} plays on top of the gestures and hides them where "
                               "it has keys; push it down in the NLA editor if that is not wanted.")
        return False
    _push_down(animation, journal)
    result.warnings.append(f"The Action {action.name} was pushed down to its own NLA track below the gestures.")
    return False


def _push_down(animation: bpy.types.AnimData, journal: Journal) -> None:
    """As Blender's own "Push Down": same blending, extrapolation and influence, nothing of the Action changed."""
    action, slot = animation.action, compat.active_slot(animation)
    track = animation.nla_tracks.new()
    track.name = action.name
    strip = track.strips.new(action.name, int(action.frame_range[0]), action)
    compat.assign(strip, action, slot)
    compat.place_strip(strip, action.frame_range[0])
    strip.blend_type, strip.extrapolation = animation.action_blend_type, animation.action_extrapolation
    strip.influence = animation.action_influence
    strip.use_auto_blend = False
    animation.action = None

    def restore() -> None:
        animation.nla_tracks.remove(track)
        compat.assign(animation, action, slot)

    journal.on_failure(restore)
