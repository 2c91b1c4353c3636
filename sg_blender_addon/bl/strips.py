"""NLA tracks and strips of ours: finding, placing, removing, and putting everything back when something fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import bpy

from . import compat, metadata
from .metadata import Record
from .rna import present

RHYTHM_TRACK = "Gestures: rhythm"
SEMANTIC_TRACK = "Gestures: semantic"
_OLD = " (old)"
_TOUCH = 1e-3  # frames by which strips may touch
_SAVED = ("name", "extrapolation", "blend_type", "blend_in", "blend_out", "mute", "use_reverse", "select")


@dataclass(frozen=True)
class OurStrip:
    """A strip of ours with its track and record. Not to be kept over an undo: Blender's pointers die."""

    track: bpy.types.NlaTrack
    strip: bpy.types.NlaStrip
    record: Record

    @property
    def changed(self) -> str:
        """What the animator did to it ("locked", "moved", "muted", "swapped", "keys edited"...), empty if nothing."""
        return self.change(metadata.content_hash)

    def change(self, content: Callable[[bpy.types.Action], str]) -> str:
        """As `changed`, with the fingerprint of an Action's keys from `content`."""
        return "locked" if self.track.lock else metadata.change(self.strip, self.record, content)


def our_strips(armature: bpy.types.Object) -> list[OurStrip]:
    """All our strips on an armature, tracks from bottom to top."""
    animation = armature.animation_data
    found = []
    for track in animation.nla_tracks if animation else ():
        for strip in track.strips:
            record = metadata.read(strip.action)
            if record is not None:
                found.append(OurStrip(track, strip, record))
    return found


class Journal:
    """Undo steps of an unfinished change, run backwards on failure."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def on_failure(self, step: Callable[[], None]) -> None:
        self._undo.append(step)

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()


def rhythm_track(animation: bpy.types.AnimData, journal: Journal) -> bpy.types.NlaTrack:
    """The rhythm track, made on top of what is there."""
    return animation.nla_tracks.get(RHYTHM_TRACK) or _new_track(animation, RHYTHM_TRACK, None, journal)


def semantic_tracks(animation: bpy.types.AnimData, journal: Journal) -> Iterator[bpy.types.NlaTrack]:
    """The semantic tracks from the first on, more of them made as they are asked for."""
    below = animation.nla_tracks.get(RHYTHM_TRACK)
    number = 1
    while True:
        name = SEMANTIC_TRACK if number == 1 else f"{SEMANTIC_TRACK} {number}"
        track = animation.nla_tracks.get(name) or _new_track(animation, name, below, journal)
        yield track
        below, number = track, number + 1


def _new_track(
    animation: bpy.types.AnimData, name: str, below: bpy.types.NlaTrack | None, journal: Journal
) -> bpy.types.NlaTrack:
    track = animation.nla_tracks.new(prev=below) if below is not None else animation.nla_tracks.new()
    track.name = name
    journal.on_failure(lambda: _drop_track(animation, name))
    return track


def _drop_track(animation: bpy.types.AnimData, name: str) -> None:
    track = animation.nla_tracks.get(name)
    if track is not None and not len(track.strips):
        animation.nla_tracks.remove(track)


def drop_empty_tracks(animation: bpy.types.AnimData) -> None:
    """Remove tracks of ours that hold nothing any more."""
    for track in list(animation.nla_tracks):
        ours = track.name == RHYTHM_TRACK or track.name.startswith(SEMANTIC_TRACK)
        if ours and not len(track.strips):
            animation.nla_tracks.remove(track)


def has_room(track: bpy.types.NlaTrack, start: float, end: float) -> int | None:
    """A whole frame at which a strip meant for start..end can be born; None if it would overlap."""

    def free(a: float, b: float) -> bool:
        return all(s.frame_end <= a + _TOUCH or s.frame_start >= b - _TOUCH for s in track.strips)

    if not free(start, end):
        return None
    length = end - start
    return next((f for f in (math.ceil(start), math.floor(start)) if free(f, f + length)), None)


def add_strip(
    track: bpy.types.NlaTrack, name: str, action: bpy.types.Action, start: float, journal: Journal
) -> bpy.types.NlaStrip:
    """A strip of the whole Action at `start` (sub-frames allowed); RuntimeError where there is no room."""
    length = action.frame_range[1] - action.frame_range[0]
    birth = has_room(track, start, start + length)
    if birth is None:
        raise RuntimeError(f"no room for {name} on {track.name}")
    action.name = name
    strip = track.strips.new(name, birth, action)
    journal.on_failure(lambda: _take_back(track, strip, action))
    strip.name = name
    compat.assign(strip, action)
    strip.use_auto_blend = False
    strip.use_sync_length = False
    compat.place_strip(strip, start)
    return strip


def _take_back(track: bpy.types.NlaTrack, strip: bpy.types.NlaStrip, action: bpy.types.Action) -> None:
    track.strips.remove(strip)
    action.name = "(discarded)"  # the one it should have replaced gets its name back


def remove_strip(track: bpy.types.NlaTrack, strip: bpy.types.NlaStrip, journal: Journal) -> bpy.types.Action:
    """Take a strip away, restorably; its Action is returned for `discard` once everything has succeeded."""
    action, slot = present(strip.action), getattr(strip, "action_slot", None)
    saved = {name: getattr(strip, name) for name in _SAVED}
    times = {
        name: getattr(strip, name)
        for name in ("frame_start", "frame_end", "action_frame_start", "action_frame_end", "scale", "repeat")
    }
    action_name = action.name
    track.strips.remove(strip)
    action.name = action_name + _OLD  # so that the new one can have its name

    def restore() -> None:
        action.name = action_name
        again = track.strips.new(saved["name"], math.floor(times["frame_start"]), action)
        compat.assign(again, action, slot)
        again.use_auto_blend = False
        again.action_frame_start, again.action_frame_end = times["action_frame_start"], times["action_frame_end"]
        again.repeat, again.scale = times["repeat"], times["scale"]
        compat.place_strip(again, times["frame_start"])
        for name, value in saved.items():
            setattr(again, name, value)

    journal.on_failure(restore)
    return action


def discard(actions: Iterable[bpy.types.Action]) -> None:
    """Delete replaced Actions; one that is used elsewhere too (or was given a fake user) stays under its name."""
    found = list(dict.fromkeys(actions))  # several strips may have shown the same one
    for action in found:
        if action.users:
            action.name = action.name.removesuffix(_OLD)
    unused = [action for action in found if not action.users]
    if unused:
        bpy.data.batch_remove(unused)  # one by one each would be looked for in the whole file
