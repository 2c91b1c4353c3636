"""Finished Actions onto the NLA in one short step, and everything back as it was when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import bpy

from ..core.strip_plan import Span
from ..core.target_rig import TargetRig
from ..core.timeline import Segment
from . import baking, compat, metadata, strips
from .baking import Baked
from .metadata import RHYTHM, SEMANTIC, Record
from .rna import present
from .strips import Journal, OurStrip, our_strips


@dataclass
class Applied:
    """What was done. Names, not pointers: they stay good after an undo.

    frames: scene frames that the performance covers; placed: names of the new semantic strips; kept: strips of the
    animator's that stayed, with the reason; skipped: gestures not placed because a kept strip is in their place.
    """

    frames: tuple[float, float]
    rhythm_action: str = ""
    placed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Segment] = field(default_factory=list)
    removed: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What stays the same while strips are made: plain values, good over any number of steps.

    owner: the armature object's name when it began; seconds: how long the performance lasts; lock: the new gestures
    are the animator's own choice.
    """

    rig: TargetRig
    owner: str
    fps: float
    frame_zero: float
    seconds: float
    source: str
    job: str
    lock: bool = False

    def record(self, made: Baked, segment: Segment | None) -> Record:
        return Record(
            SEMANTIC if segment else RHYTHM,
            self.job,
            self.source,
            segment,
            self.frame_zero,
            self.fps,
            self.seconds,
            self.lock,
            made.content,
        )

    def frame(self, seconds: float) -> float:
        return self.frame_zero + seconds * self.fps

    @property
    def frames(self) -> tuple[float, float]:
        return self.frame(0.0), self.frame(self.seconds)


def rhythm_name(work: Work) -> str:
    return f"{strips.RHYTHM_TRACK} · {work.source}" if work.source else strips.RHYTHM_TRACK


def strip_name(segment: Segment) -> str:
    """`LABEL · word`, the word without punctuation at its ends."""
    word = segment.word.strip().strip(".,;:!?\"'()[]…“”‘’").strip()
    return f"{segment.label} · {word}" if word else segment.label


def link(
    work: Work,
    armature: bpy.types.Object,
    rhythm: Baked | None,
    gestures: Sequence[tuple[Span, Baked]],
    replaced: Sequence[OurStrip],
    result: Applied,
) -> None:
    """Swap the old strips for the new ones; on any failure everything is as before."""
    journal = Journal()
    first_time = not our_strips(armature)
    animation = armature.animation_data or armature.animation_data_create()
    made = []
    try:
        _leave_tweak_mode(animation)
        old_actions = [strips.remove_strip(s.track, s.strip, journal) for s in replaced]
        alone = _settle_active_action(work, animation, first_time, journal, result)
        if rhythm is not None:
            made.append(_link_rhythm(work, animation, rhythm, alone, journal))
            result.rhythm_action = present(made[0].action).name
        for span, baked in gestures:
            made.append(_link_gesture(work, animation, span, baked, journal))
            result.placed.append(made[-1].name)
        if not animation.use_nla:
            animation.use_nla = True
            result.warnings.append("The character's NLA was switched off and has been switched on.")
    except BaseException:
        journal.roll_back()
        raise
    for strip in made:
        baking.finished(present(strip.action))
    strips.discard(old_actions)
    strips.drop_empty_tracks(animation)
    result.removed = len(replaced)


def _leave_tweak_mode(animation: bpy.types.AnimData) -> None:
    if animation.use_tweak_mode:
        animation.use_tweak_mode = False


def _link_rhythm(
    work: Work, animation: bpy.types.AnimData, made: Baked, alone: bool, journal: Journal
) -> bpy.types.NlaStrip:
    track = strips.rhythm_track(animation, journal)
    strip = strips.add_strip(track, rhythm_name(work), baking.find(made.uid), work.frame(0.0), journal)
    # Where nothing else moves these bones the first and last pose are held, or the character would snap to its rest
    # pose; other animation must show before and after the performance.
    others = len(track.strips) > 1
    strip.extrapolation = "NOTHING" if not alone or others else "HOLD"
    if not alone:
        strip.blend_in = strip.blend_out = min(0.25 * work.fps, 0.2 * (strip.frame_end - strip.frame_start))
    metadata.stamp(strip, work.record(made, None))
    return strip


def _link_gesture(
    work: Work, animation: bpy.types.AnimData, span: Span, made: Baked, journal: Journal
) -> bpy.types.NlaStrip:
    action = baking.find(made.uid)
    start = work.frame(span.start)
    end = start + action.frame_range[1] - action.frame_range[0]
    track = next(
        t
        for t in strips.semantic_tracks(animation, journal)
        if not t.lock and strips.has_room(t, start, end) is not None
    )
    strip = strips.add_strip(track, strip_name(span.segment), action, start, journal)
    strip.extrapolation, strip.blend_type = "NOTHING", "REPLACE"
    strip.blend_in, strip.blend_out = span.blend_in * work.fps, span.blend_out * work.fps
    metadata.stamp(strip, work.record(made, span.segment))
    return strip


def _touches(work: Work, action: bpy.types.Action | None) -> bool:
    """Whether an Action animates bones that we animate."""
    names = {bpy.utils.escape_identifier(work.rig.names[i]) for i in work.rig.joints.values()}
    starts = tuple(f'pose.bones["{name}"].' for name in names)
    return action is not None and any(c.data_path.startswith(starts) for c in compat.fcurves(action))


def _settle_active_action(
    work: Work, animation: bpy.types.AnimData, first_time: bool, journal: Journal, result: Applied
) -> bool:
    """Keep the active Action from hiding the gestures; True if nothing else moves the bones that we move.

    The active Action plays above all NLA tracks. The first time it is pushed down to a track of its own, below ours.
    Later it lies above our tracks because the animator put it there: it stays, and the result says so.
    """
    others = any(
        _touches(work, s.action)
        for t in animation.nla_tracks
        if not t.mute
        for s in t.strips
        if metadata.read(s.action) is None
    )
    action = animation.action
    if action is None or not _touches(work, action):
        return not others
    if not first_time:
        result.warnings.append(
            f"The active Action {action.name} plays on top of the gestures and hides them where "
            "it has keys; push it down in the NLA editor if that is not wanted."
        )
        return False
    _push_down(animation, action, journal)
    result.warnings.append(f"The Action {action.name} was pushed down to its own NLA track below the gestures.")
    return False


def _push_down(animation: bpy.types.AnimData, action: bpy.types.Action, journal: Journal) -> None:
    """As Blender's own "Push Down": same blending, extrapolation and influence, nothing of the Action changed."""
    slot = compat.active_slot(animation)
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
