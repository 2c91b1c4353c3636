"""Whether movement keeps time with stress: speeds around stressed syllables against the same syllables moved at random.

Hand, head and chest speeds are averaged over all syllables within 0.6 s, and so are they after circular shifts of all
syllables together; z says how many deviations of the shifted curves the true one rises. `shape` compares the curves
less their own mean, for moving while speaking is enough to raise the level. The peak of the shape and its lag are the
measure of timing (speed peaks before the syllable in people who gesture well: Pouw and Dixon 2019); p is the share of
shifts whose own peak is as high. Under ten minutes even a real speaker does not stand out from chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.measure.body import FPS, Body, hands, speed, spin
from backend.measure.table import Rows
from sg_blender_addon.core.arrays import Floats

LAGS = np.arange(-18, 19) / 30  # s from the syllable's loudest instant
SHIFTS, EDGE = 200, 1.0  # how many shifts, and the least of them in s
ENOUGH = 600.0  # s


@dataclass(frozen=True, eq=False)
class Spoken:
    """A motion and its speech: stressed syllables in s, and the length of the recording."""

    body: Body
    stressed: Floats
    seconds: float


def timing(pieces: Sequence[Spoken]) -> Rows:
    """z, lag and p of the shape and z of the level for hands, head and chest, over all pieces together."""
    pieces = [p for p in pieces if len(p.stressed) and p.seconds > 2 * EDGE + 0.1]
    if not pieces:
        return Rows()
    rng, rows = np.random.default_rng(0), Rows()
    moved = [np.append(0, rng.uniform(EDGE, p.seconds - EDGE, SHIFTS)) for p in pieces]
    counts = [len(p.stressed) for p in pieces]
    series = [speeds(p.body) for p in pieces]
    for part in ("hands", "head", "chest"):
        each = [_curves(p, s[part], m) for p, s, m in zip(pieces, series, moved, strict=True)]
        curves = np.average(each, axis=0, weights=counts)
        shape = _against_chance(curves - curves.mean(axis=1, keepdims=True))
        best = int(shape[0].argmax())
        rows |= {
            f"{part} timing z": float(shape[0].max()),
            f"{part} timing lag s": float(LAGS[best]),
            f"{part} timing p": float((shape[1:].max(axis=1) >= shape[0].max()).mean()),
            f"{part} level z": float(_against_chance(curves)[0].max()),
        }
    return rows | {"stressed syllables": float(sum(counts))}


def speeds(body: Body) -> dict[str, Floats]:
    """The faster hand's speed (F,), and how fast head (against the chest) and chest turn."""
    chest = body.turn["chest"]
    return {
        "hands": np.max([speed(p) for p in hands(body)], axis=0),
        "head": spin(chest.inv() * body.turn["head"]),
        "chest": spin(chest),
    }


def _curves(piece: Spoken, values: Floats, moves: Floats) -> Floats:
    """(1 + SHIFTS, lags): mean speed around the syllables, at their place and after each shift."""
    at = (piece.stressed[None, :, None] + moves[:, None, None]) % piece.seconds + LAGS
    return np.asarray(np.interp(at, np.arange(len(values)) / FPS, values).mean(axis=1))


def _against_chance(curves: Floats) -> Floats:
    """Curves in deviations of the shifted ones."""
    chance = curves[1:]
    return np.asarray((curves - chance.mean(axis=0)) / np.maximum(chance.std(axis=0), 1e-9))
