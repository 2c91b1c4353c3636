"""Letting a finished take into the scene: NLA strips, the word list, frame range and playback, as one undo step."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import bpy

from ..client.job import Control, Job
from ..core.performance import Performance
from . import nla, properties, takes
from .linking import Applied
from .request import GenerateTarget
from .steps import BUILDING, Steps, persistent

WARNINGS_SHOWN = 4


def apply(target: GenerateTarget, take: Performance) -> Steps[str]:
    """Put the take on the target's character; returns a line to report. UserError leaves the scene untouched."""
    target.find()
    name = takes.new_name()
    path = takes.path_of(name)
    try:
        yield Job("building", lambda control: _keep(path, take, control))
        applied = yield from persistent(
            lambda: nla.apply_steps(  # the take on the disk is good for all attempts
                target.find, take, frame_start=target.voice.start_frame, source=target.voice.strip, job=name
            )
        )
    except BaseException:  # no strip carries its name
        takes.forget(path)
        raise
    scene = target.find_scene()
    _list_words(scene, target, take)
    _set_playback(scene, applied.frames)
    push_undo("Generate gestures")
    return _summary(take, applied)


def _keep(path: Path, take: Performance, control: Control) -> None:
    control.report(BUILDING, 0.0)
    takes.write(path, take, control.check)


def push_undo(message: str) -> None:
    """One undo step for all that was changed since the last one. Without an undo stack there is nothing to push to."""
    with contextlib.suppress(RuntimeError):
        bpy.ops.ed.undo_push(message=message)


def _list_words(scene: bpy.types.Scene, target: GenerateTarget, take: Performance) -> None:
    settings = properties.settings(scene)
    settings.words.clear()
    for word in take.words:
        row = settings.words.add()
        row.name, row.start, row.end = word.text, word.start, word.end
    settings.voice_frame = target.voice.start_frame
    with properties.no_jump():
        settings.word_index = 0


def _set_playback(scene: bpy.types.Scene, frames: tuple[float, float]) -> None:
    """Play shows voice and body in step: dropped frames rather than a body that falls behind."""
    scene.sync_mode = "AUDIO_SYNC"
    if properties.settings(scene).set_range:
        scene.frame_start, scene.frame_end = math.floor(frames[0]), math.ceil(frames[1])


def _summary(take: Performance, applied: Applied) -> str:
    gestures = len(applied.placed)
    lines = [f"{gestures} gesture{'' if gestures == 1 else 's'} on {len(take.words)} words."]
    if applied.kept:
        lines.append(f"{len(applied.kept)} of your own kept.")
    warnings = [*take.warnings, *applied.warnings]
    lines += warnings[:WARNINGS_SHOWN]
    if len(warnings) > WARNINGS_SHOWN:
        lines.append(f"And {len(warnings) - WARNINGS_SHOWN} more remarks in the system console.")
        print("\n".join(f"Semantic Gesticulator: {text}" for text in warnings))  # noqa: T201 - the console is meant
    return "\n".join(lines)
