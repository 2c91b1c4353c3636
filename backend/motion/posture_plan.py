"""How somebody stands and rests through a whole recording: what generators that remember 1.7 s are told at each token.

Planned from phrases and manner, by the same functions for training motion and for new speech: on which leg the weight
is, when somebody talks on with resting hands, and where hands that rest lie. The generators hear it beside the voice
(`rows`), so that a way of standing lasts as long as people's do and nothing flickers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

import numpy as np

from backend.models.config import TOKENS_PER_SECOND
from backend.models.rest_place import RestPlace
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.manner import ORDINARY, Manner

Span = tuple[float, float]

BREAK = 0.35  # s of pause that let the weight go over
BEARING = (0.41, 0.5)  # how far the weight goes over: clearly more than two thirds on one leg, idle sway and all
REST_SECONDS = (6.8, 9.2)  # s that somebody talks on with resting hands: they need over a second to come down
DOWN, UP = 1.1, 0.4  # s that hands need to their rest, and that they leave it early
LONG_PAUSE = 2.5  # s
CHANGE = 1.15  # s from one rest to another
OWN_RESTS = 6
HANGING = (24.0, -48.0, 4.0, -24.0, -48.0, 4.0)  # cm from the chest to hands that hang: left x y z, right x y z
COLUMNS = 11
MANNER_COLUMNS = 5
_SPREAD = (0.4, 0.2, 0.4, 0.25, 0.12)  # how much people differ from the ordinary speaker


class Restful(Protocol):
    """A rest: how formal it is (0..1), how held (0 hanging, 1 holding on), and where the hands are (6 numbers, cm, from
    the chest joint in its frame: left x y z, right x y z)."""

    @property
    def formal(self) -> float: ...
    @property
    def held(self) -> float: ...
    @property
    def place(self) -> tuple[float, ...]: ...


R_co = TypeVar("R_co", bound=Restful, covariant=True)


@dataclass(frozen=True)
class Leg:
    """From `start` to `end` (s) the weight goes to `weight` (-1 right foot .. 1 left foot); then it stays."""

    start: float
    end: float
    weight: float
    ahead: float  # cm of the hips before the middle of the feet, beside the posture's own


@dataclass(frozen=True)
class Resting(Generic[R_co]):
    """Which rest the arms go back to, from when; seconds."""

    at: float
    rest: R_co


def breaks(phrases: Sequence[Span], seconds: float) -> list[float]:
    """Instants at which somebody who talks may change the leg: where pauses begin, and any time in long silence."""
    found = []
    for start, end in _pauses(phrases, seconds, BREAK):
        found += list(np.arange(start - 0.1, end, 2.5))
    return found


def _pauses(phrases: Sequence[Span], seconds: float, shortest: float) -> list[Span]:
    """What lies before, between and after phrases and lasts longer than `shortest`."""
    ends = [0.0, *(end for _, end in phrases)]
    starts = [*(start for start, _ in phrases), seconds]
    return [(a, b) for a, b in zip(ends, starts, strict=True) if b - a > shortest]


def shift_plan(phrases: Sequence[Span], seconds: float, manner: Manner, rng: np.random.Generator) -> list[Leg]:
    """The legs of a clip: where the weight is, from when; the first is where it begins (start = end = 0)."""
    side = float(rng.choice([-1.0, 1.0]))
    legs = [Leg(0.0, 0.0, side * float(rng.uniform(*BEARING)), float(rng.normal(0, 0.6)))]
    possible = breaks(phrases, seconds)
    at = 0.0
    while True:
        at += float(rng.gamma(4.0, 2.3) + 3.2) / np.sqrt(manner.liveliness)
        near = [b for b in possible if abs(b - at) < 2.2 and b > legs[-1].end + 2.4]
        start = min(near, key=lambda b: abs(b - at), default=at)
        if start < legs[-1].end + 2.4:
            continue
        if start > seconds - 2.5:
            return legs
        now = legs[-1].weight
        to_middle = abs(now) > 0.3 and rng.random() < 0.12 + 0.3 * manner.formality
        if to_middle:
            goal = float(rng.normal(0, 0.1))
        else:
            goal = (-np.sign(now) if abs(now) > 0.3 else rng.choice([-1.0, 1.0])) * rng.uniform(*BEARING)
        length = float(rng.uniform(1.1, 1.7)) / np.sqrt(manner.speed)
        legs.append(Leg(start, start + length, float(goal), float(rng.normal(0, 0.9))))
        at = start + length


def quiet_spans(phrases: Sequence[Span], manner: Manner, rng: np.random.Generator) -> list[Span]:
    """Spans in which somebody talks on with resting hands: from the end of a phrase, after a while of gesturing."""
    spans, free = list[Span](), 0.0
    due = _until_rest(manner, rng) * float(rng.uniform(0.3, 1.0))
    for _, end in phrases:
        if end > max(due, free):
            free = end + float(rng.uniform(*REST_SECONDS))
            spans.append((end, free))
            due = free + _until_rest(manner, rng)
    return spans


def _until_rest(manner: Manner, rng: np.random.Generator) -> float:
    """Seconds of gesturing until somebody rests the hands while talking on."""
    return float(rng.uniform(26, 48)) * (0.5 + 0.5 * manner.liveliness)


def rest_changes(
    spans: Sequence[Span], rests: Sequence[R_co], manner: Manner, rng: np.random.Generator
) -> list[Resting[R_co]]:
    """A speaker has a few rests and goes from one to another: the next one is taken as the hands come down.

    spans: when the hands rest. The first row holds from the beginning (at -inf).
    """
    own = _own_rests(rests, manner, rng)
    rows = [Resting(-np.inf, own[0])]
    for start, end in spans:
        if end - start > LONG_PAUSE and start > 2.0:
            others = [rest for rest in own if rest.place != rows[-1].rest.place]
            if others and rng.random() < 0.85:
                rows.append(Resting(start - DOWN, others[int(rng.integers(len(others)))]))
    return rows


def _own_rests(rests: Sequence[R_co], manner: Manner, rng: np.random.Generator) -> list[R_co]:
    """Up to six rests that suit a manner, in a random order."""
    weights = np.array([np.exp(-(((r.formal - manner.formality) / 0.4) ** 2)) for r in rests])
    count = min(OWN_RESTS, len(rests))
    chosen = rng.choice(len(rests), size=count, replace=False, p=weights / weights.sum())
    return [rests[int(i)] for i in chosen]


def resting_spans(phrases: Sequence[Span], quiet: Sequence[Span], seconds: float) -> list[Span]:
    """When hands can be expected to rest: in `quiet` spans and in long pauses, less their ways there and back."""
    merged: list[Span] = []
    for a, b in sorted([*_pauses(phrases, seconds, LONG_PAUSE), *quiet]):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], b))
        else:
            merged.append((a, b))
    return [(a + DOWN if a else a, b - UP) for a, b in merged]


def plan_rows(
    phrases: Sequence[Span], count: int, manner: Manner, rests: Sequence[RestPlace], rng: np.random.Generator
) -> Floats:
    """(count, `COLUMNS` + `MANNER_COLUMNS`) for new speech: a plan drawn from `rng`, and its rows."""
    seconds = count / TOKENS_PER_SECOND
    quiet = quiet_spans(phrases, manner, rng)
    changes = rest_changes(resting_spans(phrases, quiet, seconds), rests, manner, rng) if rests else []
    return rows(shift_plan(phrases, seconds, manner, rng), quiet, changes, manner, count)


def rows(
    legs: Sequence[Leg], quiet: Sequence[Span], changes: Sequence[Resting[Restful]], manner: Manner, count: int
) -> Floats:
    """(count, `COLUMNS` + `MANNER_COLUMNS`): the weight, and in a second; whether the hands rest while talking, and in
    a second; where the hands rest (6) and how held they are there; what the manner has more than the ordinary one."""
    times = (np.arange(count) + 0.5) / TOKENS_PER_SECOND
    out = np.zeros((count, COLUMNS + MANNER_COLUMNS))
    out[:, 0], out[:, 1] = weight_at(legs, times), weight_at(legs, times + 1.0)
    for start, end in quiet:
        for column, ahead in ((2, 0.0), (3, 1.0)):
            out[(times + ahead >= start) & (times + ahead < end), column] = 1.0
    if changes:
        out[:, 4:COLUMNS] = _rest_at(changes, times + 0.5)
    out[:, COLUMNS:] = (np.array(astuple(manner)) - np.array(astuple(ORDINARY))) / _SPREAD
    return out


def weight_at(legs: Sequence[Leg], times: Floats) -> Floats:
    """On which leg the weight is (N,), -1..1, at ascending times."""
    weight = np.full(len(times), legs[0].weight)
    for before, leg in pairwise(legs):
        share = minimum_jerk((times - leg.start) / (leg.end - leg.start))
        weight += share * (leg.weight - before.weight)
    return weight


def _rest_at(changes: Sequence[Resting[Restful]], times: Floats) -> Floats:
    """(N, 7): places of the hands that rest, against hanging ones in 20 cm, and how held."""
    goals = [np.append((np.array(c.rest.place) - HANGING) / 20, c.rest.held) for c in changes]
    out = np.tile(goals[0], (len(times), 1))
    for (before, goal), change in zip(pairwise(goals), changes[1:], strict=True):
        out += minimum_jerk((times - change.at) / CHANGE)[:, None] * (goal - before)
    return out
