"""Which gesture goes on which stressed syllable: the plan that assembly carries out.

A phrase gets a stroke about every second, on the most prominent syllable in reach; the hand stays up between the
strokes of a phrase (a hold) and goes back to rest when the phrase ends, unless the next one is close. Large gestures go
with loud and prominent syllables. Hands alternate now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.prosody import Accent, Phrase, Prosody
from training.units import SIDES, Unit

LONGEST_HOLD = 1.15  # seconds after a stroke before the hand gives up waiting
_FIRST_STROKE = 0.45  # seconds into a clip: it begins at rest, and a hand needs time to rise
_KEEP_UP = 0.9  # a phrase's first stroke nearer than this to the last one keeps the hand up


@dataclass(frozen=True, eq=False)
class Placed:
    """A gesture in its place; seconds of the clip. The hand leaves its pose at `leave`."""

    unit: Unit
    start: float
    emphasis: float
    leave: float
    speed: float
    size: float
    chained: bool  # the hand was up already

    def local(self, times: np.ndarray) -> np.ndarray:
        """Clip times to the unit's own seconds: played up to the stroke, slowing into a hold, then on."""
        hold = max(self.unit.leave - self.unit.emphasis, 0.05)
        after = np.maximum(times - self.emphasis, 0.0) * self.speed
        held = hold * (1 - np.exp(-after / hold))
        back = np.maximum(times - self.leave, 0.0) * self.speed
        before = np.minimum(times - self.emphasis, 0.0) * self.speed
        return self.unit.emphasis + before + held + back


@dataclass
class _Hands:
    """What the planner remembers from stroke to stroke."""

    sides: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()


def strokes_of(phrase: Phrase, rng: np.random.Generator) -> list[Accent]:
    """The syllables of a phrase that get a stroke."""
    chosen: list[Accent] = []
    cursor = max(phrase.start, _FIRST_STROKE)
    reach = 1.1
    while True:
        near = [a for a in phrase.accents if cursor + 0.12 <= a.time <= cursor + reach]
        if not near:
            later = [a for a in phrase.accents if a.time > cursor + reach]
            if not later:
                return chosen
            near = [later[0]]
        best = max(near, key=lambda a: a.prominence + 0.25 * rng.standard_normal())
        chosen.append(best)
        gap = rng.uniform(0.5, 1.05) - 0.2 * best.loudness
        cursor, reach = best.time + gap, 0.7


def choose_unit(units: Sequence[Unit], accent: Accent, phrase: Phrase, hands: _Hands, rng: np.random.Generator) -> Unit:
    """A unit of the size that loudness and prominence ask for, by the hand that is likely next."""
    vigour = 0.35 * phrase.loudness + 0.3 * accent.loudness + 0.35 / (1 + np.exp(-1.2 * accent.prominence))
    wanted = 14 + 44 * vigour
    weights = np.array([np.exp(-(((u.size - wanted) / 9.0) ** 2)) for u in units]) + 1e-6
    weights *= np.array([_hand_weight(u.sides, hands.sides) for u in units])
    weights *= np.array([0.05 if u.name in hands.recent else 1.0 for u in units])
    return units[int(rng.choice(len(units), p=weights / weights.sum()))]


def _hand_weight(sides: tuple[str, ...], last: tuple[str, ...]) -> float:
    if sides == last:
        return 1.0
    return 0.55 if len(sides) == 2 else 0.35 if len(last) == 2 else 0.25


def make_plan(prosody: Prosody, units: Sequence[Unit], rng: np.random.Generator) -> list[Placed]:
    """Gestures for a clip in the order of their strokes."""
    if not units:
        return []
    hands = _Hands()
    drafts: list[tuple[Unit, Accent, float, float]] = []
    ends: list[float] = []
    for phrase in prosody.phrases:
        if phrase.end - phrase.start < 0.6 and rng.random() < 0.5:
            continue
        for accent in strokes_of(phrase, rng):
            unit = choose_unit(units, accent, phrase, hands, rng)
            speed = float(np.clip(rng.normal(1.05 + 0.2 * (accent.loudness - 0.5), 0.08), 0.85, 1.4))
            size = float(np.clip(rng.normal(0.92 + 0.12 * accent.loudness, 0.07), 0.7, 1.12))
            drafts.append((unit, accent, speed, size))
            ends.append(phrase.end)
            hands = _Hands(unit.sides, (*hands.recent[-5:], unit.name))
    return [_place(drafts, ends, i) for i in range(len(drafts))]


def _place(drafts: list[tuple[Unit, Accent, float, float]], ends: list[float], i: int) -> Placed:
    unit, accent, speed, size = drafts[i]
    previous = drafts[i - 1][1].time if i else -np.inf
    # late preparation is played faster rather than moved off its syllable
    room = accent.time - previous if i and accent.time - previous < 2 * LONGEST_HOLD else accent.time
    lead = unit.emphasis - unit.begin
    speed = float(np.clip(max(speed, lead / max(room - 0.05, 0.2)), 0.85, 1.9))
    start = accent.time - lead / speed
    following = drafts[i + 1][1].time if i + 1 < len(drafts) else np.inf
    natural = min(max(ends[i] - 0.05, accent.time + 0.35), accent.time + LONGEST_HOLD)
    leave = following if following - accent.time < _KEEP_UP + max(natural - accent.time - 0.4, 0.0) else natural
    return Placed(unit, start, accent.time, leave, speed, size, chained=bool(room < LONGEST_HOLD + 0.5 and i > 0))


def tracks(plan: Sequence[Placed]) -> dict[str, list[Placed]]:
    """The plan per arm. An arm that the next gesture does not use leaves its pose when that one starts."""
    result: dict[str, list[Placed]] = {}
    for side in SIDES:
        rows: list[Placed] = []
        for i, placed in enumerate(plan):
            if side not in placed.unit.sides:
                continue
            leave, last = placed.leave, plan[i - 1] if i else None
            if i + 1 < len(plan) and side not in plan[i + 1].unit.sides:
                leave = min(leave, max(plan[i + 1].start + 0.15, placed.emphasis + 0.25))
            chained = placed.chained and last is not None and side in last.unit.sides
            rows.append(Placed(placed.unit, placed.start, placed.emphasis, leave, placed.speed, placed.size, chained))
        result[side] = rows
    return result
