"""The files that a performance can become; the suffix decides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from backend.speech.audio import Audio
from sg_blender_addon.core.bvh import write_bvh
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import check_writable, replacing
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.progress import Progress

__all__ = ["SUFFIXES", "check", "write", "write_motion", "write_report"]

SUFFIXES = (".bvh", ".npz", ".mp4", ".gif", ".png")


def check(path: str | Path, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """The path, if something could be written there; UserError before any work is done where not."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        given = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise UserError(
            f"{path.name} has {given}, which says nothing about its format.",
            f"Use one of {', '.join(suffixes)}.",
            "unknown_format",
        )
    check_writable(path)
    return path


def write(path: str | Path, performance: Performance, audio: Audio, progress: Progress | None = None) -> None:
    """Write one output, whole or not at all. `audio` is what was heard: the film's sound."""
    path, progress = Path(path), progress or Progress()
    kind = path.suffix.lower()
    if kind == ".bvh":
        write_motion(path, performance.merged, progress)
    elif kind == ".npz":
        with replacing(path) as temporary, temporary.open("wb") as file:
            performance.write(file)
    elif kind == ".png":
        from backend.outputs.sheet import write_sheet

        write_sheet(path, performance.merged, performance.words, performance.segments)
    elif kind == ".mp4":
        from backend.outputs.video import write_mp4

        show = performance
        write_mp4(path, show.merged, show.words, show.segments, audio, progress)
    elif kind == ".gif":
        from backend.outputs.video import write_gif

        write_gif(path, performance.merged, performance.words, performance.segments, progress)
    else:
        check(path)


def write_motion(path: str | Path, motion: Motion, progress: Progress) -> None:
    """One motion as BVH."""
    write_bvh(motion, path, progress=progress)


def write_report(path: str | Path, performance: Performance) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(performance.report(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
