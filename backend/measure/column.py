"""All rows of one or several motions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.measure.body import body_of
from backend.measure.ground import ground
from backend.measure.joins import joins as joins_rows
from backend.measure.liveliness import liveliness
from backend.measure.speech import Speech, in_speech
from backend.measure.table import Rows
from backend.measure.timing import timing
from sg_blender_addon.core.motion import Motion


@dataclass(frozen=True, eq=False)
class Piece:
    """A motion, the speech it goes with, and the joins (s) of its gestures."""

    motion: Motion
    speech: Speech | None = None
    joins: tuple[float, ...] = ()


def measure(pieces: Sequence[Piece]) -> Rows:
    """One column of the table: the median over the pieces of each row; timing over all of them together.

    UserError for an unknown skeleton and for motions under a second.
    """
    rows, spoken, seconds = list[Rows](), [], 0.0
    for piece in pieces:
        body = body_of(piece.motion)
        row = liveliness(body) | ground(body)
        if piece.speech is not None:
            row |= in_speech(body, piece.speech)
            spoken.append(piece.speech.with_motion(body))
        rows.append(row | joins_rows(body, piece.joins))
        seconds += body.seconds
    names = dict.fromkeys(name for row in rows for name in row)
    result = {name: _median([row[name] for row in rows if name in row]) for name in names}
    return result | timing(spoken) | {"clips": float(len(rows)), "seconds": round(seconds, 1)}


def _median(values: Sequence[float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all of them may be undefined
        return float(np.nanmedian(values))
