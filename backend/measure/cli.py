"""`python -m backend measure MOTION [MOTION ...] [--audio WAV]`: a motion beside real people, as a table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from backend.measure import table
from backend.measure.read import joins_of, read
from sg_blender_addon.core.errors import UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("motion", nargs="+", metavar="MOTION.{bvh,npz}",
        help="several make one column: the median; FILE.npz:SET/CLIP takes one clip of a motion folder")  # fmt: skip
    add("--audio", metavar="WAV", help="its speech (one motion only): timing and pauses; ten minutes or more say most")
    add("--report", metavar="REPORT.json", help="of `generate`: where its gestures begin and end")
    add("--name", default="this", metavar="COLUMN", help="heading of the column")
    add("--alone", action="store_true", help="without the anchors beside it")
    add("--json", action="store_true", help="print the numbers as JSON")
    add("--save", type=Path, metavar="COLUMNS.json", help="also keep the column in a file as measure/anchors.json is")
    add("--about", default="", metavar="TEXT", help="with --save: what it is, where from, under which licence")


def run(arguments: argparse.Namespace) -> int:
    """Print the table. UserError for files that cannot be measured."""
    from backend.measure.column import Piece, measure  # here scipy is needed

    found = [read(source) for source in arguments.motion]
    clips = [(clip, one.joins) for one in found for clip in one.clips]
    passed = sum(one.passed_over for one in found)
    if passed:
        print(f"{passed} frozen or too short clips passed over", file=sys.stderr)
    if (arguments.audio or arguments.report) and len(clips) != 1:
        raise UserError(
            "A recording and a report belong to one motion.",
            f"Give one, not {len(clips)}.",
            "bad_settings",
        )
    speech = _speech(arguments.audio)
    joins = joins_of(_report(arguments.report)) if arguments.report else None
    column = measure([Piece(clip, speech, own if joins is None else joins) for clip, own in clips])
    if arguments.save:
        table.keep(arguments.name, column, arguments.about, arguments.save)
    if arguments.json:
        print(json.dumps({k: v if v == v else None for k, v in column.items()}, indent=1))  # noqa: PLR0124
        return 0
    print(table.text({arguments.name: column} | ({} if arguments.alone else table.kept())))
    if speech is not None:
        _say_if_short(speech.seconds)
    return 0


def _speech(path: str | None) -> Any:
    if path is None:
        return None
    from backend.measure.speech import Speech
    from backend.speech.audio import load_audio

    return Speech.of(load_audio(path))


def _say_if_short(seconds: float) -> None:
    from backend.measure.timing import ENOUGH

    if seconds < ENOUGH:
        print(f"{seconds:.0f} s are too little to tell timing from chance: even a real speaker's takes ten minutes.",
              file=sys.stderr)  # fmt: skip


def _report(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))["segments"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{Path(path).name} is not a report.", "Give a REPORT.json that `generate` wrote.", "bad_manifest"
        ) from error
