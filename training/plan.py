"""Which gesture goes on which stressed syllable, and when the hands rest: the plan that assembly carries out.

Gesture phrases go with intonation phrases (Loehr): both hands prepare together, strokes fall on the most prominent
syllable in reach, the hands stay up between them (holds) and go back once, when the phrase ends, unless the next is
close. The apex comes late in the accented syllable and earlier where a phrase ends; gestures lengthen there. Large
gestures go with loud and prominent syllables. From time to time somebody talks on with resting hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backend.motion.posture_plan import Span, quiet_spans
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.manner import Manner
from training.prosody import Accent, Phrase, Prosody
from training.units import Unit

LONGEST_HOLD = 1.5  # seconds after a stroke before the hand gives up waiting
_FIRST_STROKE = 0.45  # seconds into a clip: it begins at rest, and a hand needs time to rise
_KEEP_UP = 0.9  # a phrase's first stroke nearer than this to the last one keeps the hand up
_LATE, _FINAL = 0.03, -0.05  # seconds from the loudest instant to the apex; the latter for a phrase's last accent
_FINAL_TEMPO = 0.87
_STRESSED = 0.25  # prominence from which a syllable asks for a stroke: about two of five
_LARGE, _BEYOND = 44.0, 0.4  # cm of reach from which more vigour adds less, and how much less
_HUGE, _APART = 55.0, 9.0  # cm and seconds: a huge gesture says something because few are
_TOUCH_ROOM = 4.2  # seconds of rest that invite a self-touch


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


@dataclass(frozen=True, eq=False)
class Plan:
    """Gestures in the order of their strokes; the spans (start, end) in which the hands rest; and those in which they
    were meant to while somebody talks."""

    placed: tuple[Placed, ...]
    rests: tuple[Span, ...]
    quiet: tuple[Span, ...] = ()


@dataclass
class _Hands:
    """What the planner remembers from stroke to stroke."""

    wanted: tuple[str, ...]
    sides: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    last: Unit | None = None
    when: float = -np.inf
    huge: float = -np.inf  # when the last huge one was


@dataclass(frozen=True)
class _Draft:
    unit: Unit
    apex: float
    phrase_end: float
    speed: float
    size: float


def strokes_of(phrase: Phrase, after: float, manner: Manner, rng: np.random.Generator) -> list[Accent]:
    """The syllables of a phrase that get a stroke, none before `after`."""
    chosen: list[Accent] = []
    pace = 1.0 / np.sqrt(manner.liveliness * manner.speed)
    cursor = max(phrase.start, after) + 0.12
    while True:
        ahead = [a for a in phrase.accents if a.time >= cursor]
        if not ahead:
            return chosen
        first = ahead[0].time
        # the next syllable that stands out; where none does in a while, the best there is
        out = [a for a in ahead if a.prominence > _STRESSED and a.time < first + 1.3 * pace]
        near = [a for a in out if a.time < out[0].time + 0.4] or [a for a in ahead if a.time < first + 0.8 * pace]
        best = max(near, key=lambda a: a.prominence + 0.1 * rng.standard_normal())
        chosen.append(best)
        cursor = best.time + float(rng.uniform(0.5, 0.85)) * pace


class Repertoire:
    """The units of talk with what choosing looks at, as arrays over them."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = [u for u in units if not u.self_touch]
        self.sizes = np.array([u.size for u in self.units])
        self.names = np.array([u.name for u in self.units])
        self.used = np.array([[side in u.sides for side in SIDES] for u in self.units]).reshape(-1, len(SIDES))
        peaks = [[u.peak[side] for side in SIDES] for u in self.units]
        self.places = np.array([[at for at, _ in row] for row in peaks]).reshape(-1, len(SIDES), 3)
        self.turns = np.array([[turn for _, turn in row] for row in peaks]).reshape(-1, len(SIDES), 4)

    def choose(self, accent: Accent, phrase: Phrase, hands: _Hands, manner: Manner, rng: np.random.Generator) -> Unit:
        """A unit of the size that loudness, prominence and manner ask for, by the hand that is likely next."""
        vigour = 0.35 * phrase.loudness + 0.3 * accent.loudness + 0.35 / (1 + np.exp(-1.2 * accent.prominence))
        wanted = (12 + 44 * vigour) * (0.45 + 0.55 * manner.liveliness) * (0.6 + 0.4 * manner.width)
        wanted = min(wanted, _LARGE + _BEYOND * (wanted - _LARGE))
        fresh = accent.time - hands.huge > _APART
        wanted = wanted if fresh else min(wanted, _LARGE)
        weights = np.exp(-(((self.sizes - wanted) / 9.0) ** 2)) + 1e-6
        weights *= np.where(self.sizes > _HUGE, 1.0 if fresh else 0.1, 1.0)
        weights *= self._by_hand(hands)
        weights *= np.where(np.isin(self.names, hands.recent), 0.05, 1.0)
        if hands.last is not None and accent.time - hands.when < _KEEP_UP + 0.6:
            weights *= self._near(hands.last)
        return self.units[int(rng.choice(len(self.units), p=weights / weights.sum()))]

    def _by_hand(self, hands: _Hands) -> Floats:
        both = self.used.all(axis=1)
        weights = np.where((self.used == _mask(hands.wanted)).all(axis=1), 1.0, 0.16)
        if hands.sides:
            changed = (self.used != _mask(hands.sides)).any(axis=1)
            weights = weights * np.where(changed, np.where(both, 0.8, 0.5), 1.0)
        return weights

    def _near(self, last: Unit) -> Floats:
        """A raised hand goes on from where it is: far places and turned palms are unlikely next."""
        weights = np.ones(len(self.units))
        for k, side in enumerate(SIDES):
            if side not in last.sides:
                continue
            place, turn = last.peak[side]
            far = np.linalg.norm(self.places[:, k] - place, axis=-1)
            turned = np.degrees(rot.angle(rot.mul(rot.inverse(turn), self.turns[:, k])))
            weight = np.exp(-((np.maximum(far - 15.0, 0.0) / 22.0) ** 2) - (turned / 75.0) ** 2)
            weights *= np.where(self.used[:, k], weight, 1.0)
        return weights + 1e-5


def _mask(sides: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.array([side in sides for side in SIDES])


def hands_wanted(manner: Manner, rng: np.random.Generator) -> tuple[str, ...]:
    """Which hands a phrase is likely to use."""
    if rng.random() < 0.66:
        return SIDES
    return ("Right",) if rng.random() < (1 + manner.hand) / 2 else ("Left",)


def make_plan(prosody: Prosody, units: Sequence[Unit], manner: Manner, rng: np.random.Generator) -> Plan:
    """Gestures and rests for a clip."""
    repertoire = Repertoire(units)
    if not repertoire.units:
        return Plan((), ())
    drafts = list[_Draft]()
    hands = _Hands(hands_wanted(manner, rng))
    quiet = quiet_spans(prosody.spans, manner, rng)
    for phrase in prosody.phrases:
        free = max((end for start, end in quiet if start < phrase.end), default=_FIRST_STROKE)
        if phrase.end < free or (phrase.end - phrase.start < 0.6 and rng.random() < 0.5):
            continue
        if rng.random() < 0.4:
            hands.wanted = hands_wanted(manner, rng)
        accents = strokes_of(phrase, free, manner, rng)
        for accent in accents:
            final = accent is phrase.accents[-1] and len(phrase.accents) > 1
            unit = repertoire.choose(accent, phrase, hands, manner, rng)
            drafts.append(_draft(unit, accent, phrase, final, manner, rng))
            huge = accent.time if unit.size > _HUGE else hands.huge
            hands = _Hands(hands.wanted, unit.sides, (*hands.recent[-7:], unit.name), unit, accent.time, huge)
    placed = [_place(drafts, i) for i in range(len(drafts))]
    touches = [u for u in units if u.self_touch]
    return replace(_with_touches(placed, touches, prosody.seconds, manner, rng), quiet=tuple(quiet))


def _draft(unit: Unit, accent: Accent, phrase: Phrase, final: bool, manner: Manner, rng: np.random.Generator) -> _Draft:
    speed = rng.normal(1.02 + 0.25 * (accent.loudness - 0.5), 0.07) * manner.speed * (_FINAL_TEMPO if final else 1.0)
    size = rng.normal(0.92 + 0.12 * accent.loudness, 0.07) * (0.7 + 0.3 * manner.width)
    apex = accent.time + (_FINAL if final else _LATE)
    return _Draft(unit, apex, phrase.end, float(np.clip(speed, 0.8, 1.45)), float(np.clip(size, 0.65, 1.2)))


def _place(drafts: Sequence[_Draft], i: int) -> Placed:
    draft = drafts[i]
    unit, apex = draft.unit, draft.apex
    previous = drafts[i - 1].apex if i else -np.inf
    # late preparation is played faster rather than moved off its syllable
    room = apex - previous if i and apex - previous < 2 * LONGEST_HOLD else apex
    lead = unit.emphasis - unit.begin
    speed = float(np.clip(max(draft.speed, lead / max(room - 0.05, 0.2)), 0.8, 1.9))
    start = apex - lead / speed
    following = drafts[i + 1].apex if i + 1 < len(drafts) else np.inf
    natural = min(max(draft.phrase_end - 0.05, apex + 0.35), apex + LONGEST_HOLD)
    leave = following if following - apex < _KEEP_UP + max(natural - apex - 0.4, 0.0) else natural
    return Placed(unit, start, apex, leave, speed, draft.size, chained=bool(room < LONGEST_HOLD + 0.5 and i > 0))


def idle_spans(placed: Sequence[Placed], seconds: float) -> list[tuple[float, float]]:
    """Spans without a gesture, from when hands are down again to when the next one starts."""
    starts = [*(p.start for p in placed), seconds]
    ends = [0.0, *(p.leave + 1.1 for p in placed)]
    return [(a, b) for a, b in zip(ends, starts, strict=True) if b - a > 1.0]


def _with_touches(
    placed: list[Placed], touches: Sequence[Unit], seconds: float, manner: Manner, rng: np.random.Generator
) -> Plan:
    """The plan with self-touches in some of the longer rests."""
    spans = idle_spans(placed, seconds)
    rows = list(placed)
    for a, b in spans:
        rate = 0.28 * (1.3 - 0.9 * manner.formality)
        fitting = [u for u in touches if _length(u) < b - a - 0.3]
        if b - a < _TOUCH_ROOM or not fitting or rng.random() > rate:
            continue
        unit = fitting[int(rng.integers(len(fitting)))]
        start = a + float(rng.uniform(0.0, b - a - _length(unit)))
        apex = start + unit.emphasis - unit.begin
        rows.append(Placed(unit, start, apex, apex + unit.leave - unit.emphasis, 1.0, 1.0, False))
    rows.sort(key=lambda p: p.emphasis)
    return Plan(tuple(rows), tuple(idle_spans(rows, seconds)))


def _length(unit: Unit) -> float:
    return unit.leave - unit.begin + 1.1


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
            rows.append(replace(placed, leave=leave, chained=chained))
        result[side] = rows
    return result
