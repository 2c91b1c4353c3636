"""Channels into Actions: whole arrays at a time, a few curves per step.

An Action is marked as unfinished until its strip lies on the NLA. Nothing uses it before, so Blender does not save it;
and whatever way it may have come back (undo, redo, an autosaved file), `sweep` knows it by that mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import bpy
import numpy as np

from ..core.channels import Channel
from . import compat, metadata
from .rna import custom_property
from .steps import Steps, find_by_uid

FIRST_KEY = 1.0  # Actions begin at frame 1, as animators expect; where they play is the strip's business
KEYS_AT_ONCE = 8000  # some milliseconds
UNFINISHED = "semantic_gesticulator_unfinished"
_LINEAR = 1  # `interpolation` of a keyframe: with a key on every frame handles would only cost time


@dataclass(frozen=True)
class Baked:
    """An unfinished Action with all its keys, by session uid; content: the fingerprint of the keys."""

    uid: int
    content: str


@dataclass
class Tally:
    """How much of all the keys is written."""

    total: int
    done: int = 0

    def add(self, keys: int) -> float:
        self.done += keys
        return self.done / max(self.total, 1)


def bake(name: str, owner: str, channels: Sequence[Channel], tally: Tally) -> Steps[Baked]:
    """A new Action with a key on every frame from FIRST_KEY on; frames are the rows of the channels' values.

    owner: name of the object that it is for.
    """
    uid = _new(name, owner)
    digests: list[bytes] = []
    for batch in _batches(channels):
        bag = compat.curve_bag(find(uid))
        digests += [_write(bag, channel, component) for channel, component in batch]
        yield tally.add(sum(len(channel.values) for channel, _ in batch))
    return Baked(uid, metadata.fingerprint(digests))


def read(uid: int) -> Steps[str]:
    """The fingerprint of an Action's keys as they are now."""
    digests: list[bytes] = []
    while more := _some_digests(uid, len(digests)):
        digests += more
        yield 1.0
    return metadata.fingerprint(digests)


def find(uid: int) -> bpy.types.Action:
    """An Action of that session uid; UserError when somebody removed it."""
    return find_by_uid(bpy.data.actions, uid, "An Action")


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """What is unfinished at the end of the block is removed, whichever way it ends."""
    try:
        yield
    finally:
        sweep()


def finished(action: bpy.types.Action) -> None:
    """It is in use now and stays."""
    del action[UNFINISHED]


def sweep() -> None:
    """Remove all unfinished Actions."""
    doomed = [action for action in bpy.data.actions if custom_property(action, UNFINISHED) and action.library is None]
    if doomed:
        bpy.data.batch_remove(doomed)


def _new(name: str, owner: str) -> int:
    action = compat.new_action(name, owner)
    action[UNFINISHED] = True
    action.use_fake_user = False
    return action.session_uid


def _batches(channels: Sequence[Channel]) -> Iterator[list[tuple[Channel, int]]]:
    """(channel, component) of the curves to be, a few at a time; a curve is never divided."""
    batch: list[tuple[Channel, int]] = []
    for channel in channels:
        for component in range(channel.values.shape[1]):
            batch.append((channel, component))
            if len(batch) * len(channel.values) >= KEYS_AT_ONCE:
                yield batch
                batch = []
    if batch:
        yield batch


def _some_digests(uid: int, first: int) -> list[bytes]:
    digests, keys = [], 0
    for curve in islice(compat.fcurves(find(uid)), first, None):
        digests.append(metadata.read_digest(curve))
        keys += len(curve.keyframe_points)
        if keys >= KEYS_AT_ONCE:
            break
    return digests


def _write(bag: bpy.types.Action, channel: Channel, component: int) -> bytes:
    """One curve; returns its digest."""
    path = f'pose.bones["{bpy.utils.escape_identifier(channel.bone)}"].{channel.path}'
    frames = len(channel.values)
    keys = np.empty((frames, 2), dtype=np.float32)
    keys[:, 0] = FIRST_KEY + np.arange(frames)
    keys[:, 1] = channel.values[:, component]
    curve = bag.fcurves.new(path, index=component)
    curve.group = bag.groups.get(channel.bone) or bag.groups.new(channel.bone)
    points = curve.keyframe_points
    points.add(frames)
    points.foreach_set("co", keys.ravel())
    points.foreach_set("interpolation", np.full(frames, _LINEAR, dtype=np.int32))
    curve.update()
    return metadata.curve_digest(path, component, keys)
