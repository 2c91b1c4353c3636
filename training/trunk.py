"""Pelvis, chest, breath and head: what follows the arms, what marks the accents, what looks at people.

Movement comes from real trunks first (a conversation whose own stresses are brought under the speech's, and the trunks
that belong to the gestures); rules add the coupling that those lack. Angles are degrees as (pitch forward, yaw to the
left, roll: left side up) about the body's X, Y, Z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.manner import Manner
from training.curves import Reach, bump, near, nod_curve, settle
from training.life import Idle, Talk
from training.motion_folder import FPS
from training.plan import Placed
from training.prosody import Accent, Phrase, Prosody
from training.units import TRUNK_JOINTS

_LEAD = 0.1  # seconds the trunk moves before the hand
_ARRIVE = 0.04  # seconds after a stroke's apex that the trunk arrives: it is fastest about 0.2 s before
_FIRST = 0.09  # seconds by which trunk and head are ahead of that with the largest strokes: they throw the arm
_PAUSE_RATE = 0.12  # how fast the conversation runs on where nobody speaks
_AT_REST = 0.35  # of the trunk's share where the hands rest
_PELVIS = np.array([1.3, 2.7, 1.5])  # deviations of a stroke's target
_CHEST = np.array([3.5, 5.7, 3.0])


def idle_track(idles: Sequence[Idle], frames: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Real idling (F, J, 4) and its quick hip sway (F, 3): pieces of idles, one over into the other."""
    at, fade = 0, int(1.2 * FPS)
    rotations: Floats = np.empty((0, 0, 0))
    path: Floats = np.empty((0, 3))
    weights = np.array([len(i.sway) for i in idles], dtype=float)
    while at < frames:
        idle = idles[int(rng.choice(len(idles), p=weights / weights.sum()))]
        length = min(len(idle.sway), int(rng.uniform(8, 22) * FPS))
        start = int(rng.integers(len(idle.sway) - length + 1))
        piece, own = idle.sway[start : start + length], idle.hips[start : start + length]
        if at == 0:
            rotations, path = piece, own
        else:
            n = min(fade, len(rotations), len(piece))
            share = minimum_jerk(np.arange(n) / n)
            mixed = rot.slerp(rotations[-n:], piece[:n], np.repeat(share[:, None], piece.shape[1], axis=1))
            rotations = np.concatenate([rotations[:-n], mixed, piece[n:]])
            level = path[-n:] * (1 - share[:, None]) + own[:n] * share[:, None]
            path = np.concatenate([path[:-n], level, own[n:]])
        at = len(rotations)
    return rotations[:frames], path[:frames]


def breath_curve(prosody: Prosody, times: Floats, rng: np.random.Generator) -> Floats:
    """0 (out) to 1 (in), (F,): in quickly in the pauses of speech, out slowly over the phrases, calm where none is."""
    moves = list[Reach]()
    phrases = prosody.phrases
    at = 0.0
    for phrase in (*phrases, None):
        until = phrase.start if phrase else float(times[-1])
        while until - at > 4.5:  # quiet breathing
            moves += [Reach(at + 1.6, 1.5, (0.75,)), Reach(at + 3.9, 2.2, (0.1,))]
            at += float(rng.uniform(3.7, 4.5))
        if phrase:
            inhale = float(np.clip(until - at, 0.3, 0.8))
            moves.append(Reach(phrase.start + 0.02, inhale, (float(rng.uniform(0.8, 1.0)),)))
            moves.append(Reach(phrase.end, max(phrase.end - phrase.start - 0.05, 0.3), (0.05,)))
            at = phrase.end
    return np.clip(settle(times, moves, (0.3,))[:, 0], -0.2, 1.2)


def talk_track(
    talks: Sequence[Talk], prosody: Prosody, stresses: Sequence[float], times: Floats, rng: np.random.Generator
) -> Floats | None:
    """A real trunk in conversation (F, 7, 4), played so that it turns fastest just before the stresses.

    It runs on slowly where nobody speaks. None where there is no such recording.
    """
    if not talks:
        return None
    talk = talks[int(rng.integers(len(talks)))]
    peaks, length = talk.peaks / FPS, len(talk.turns) / FPS
    knots, at = [(0.0, 0.0)], float(rng.uniform(0, length))
    knots[0] = (0.0, at)
    for stress in stresses:
        now = stress - 0.14
        if now - knots[-1][0] < 0.25:
            continue
        voiced = _voiced_between(prosody, knots[-1][0], now)
        expected = at + voiced + _PAUSE_RATE * (now - knots[-1][0] - voiced)
        turned = np.concatenate([peaks + k * length for k in (at // length, at // length + 1)])
        reachable = turned[(turned > at + 0.45 * (expected - at)) & (turned < at + 1.8 * (expected - at))]
        at = float(reachable[np.argmin(np.abs(reachable - expected))]) if len(reachable) else expected
        knots.append((now, at))
    knots.append((float(times[-1]) + 1.0, at + 0.5))
    clip, source = np.array(knots).T
    keep = np.concatenate([[True], np.diff(clip) > 1e-3])
    place = PchipInterpolator(clip[keep], source[keep])(times)
    # forwards and backwards in turn: the ends need no seam
    folded = np.abs((place / length + 1) % 2 - 1) * (len(talk.turns) - 2)
    low = folded.astype(int)
    return rot.slerp(talk.turns[low], talk.turns[low + 1], (folded - low)[:, None])


def _voiced_between(prosody: Prosody, a: float, b: float) -> float:
    return sum(max(0.0, min(p.end, b) - max(p.start, a)) for p in prosody.phrases)


def add_trunk_of_units(
    turns: Floats, hips: Floats, plan: Sequence[Placed], weights: Sequence[Floats], times: Floats
) -> None:
    """The trunk's own part in each gesture, relative to the unit's rest, into turns (F, 7, 4) and hips (F, 3)."""
    for placed, weight in zip(plan, weights, strict=True):
        live = np.flatnonzero(weight > 1e-4)
        if len(live) == 0:
            continue
        span = slice(int(live[0]), int(live[-1]) + 1)
        rows = np.round(np.clip(placed.local(times[span]) * FPS, 0, len(placed.unit.trunk_delta) - 1)).astype(int)
        delta = placed.unit.trunk_delta[rows]
        share = np.repeat(weight[span, None], len(TRUNK_JOINTS), axis=1)
        turns[span] = rot.mul(turns[span], rot.slerp(rot.identity(*delta.shape[:-1]), delta, share))
        hips[span] += weight[span, None] * placed.unit.hips_delta[rows] * [1.0, 0.0, 1.0]


def follow_arms(hands: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Pelvis and chest (F, 3) degrees that go with the hands' places in the chest's frame, a little ahead of them."""
    ahead = int(_LEAD * FPS)
    away = {}
    for side, path in hands.items():
        smooth = gaussian_filter1d(path - np.median(path, axis=0), 0.1 * FPS, axis=0, mode="nearest")
        away[side] = np.concatenate([smooth[ahead:], np.repeat(smooth[-1:], ahead, axis=0)])
    left, right = away["Left"], away["Right"]
    pitch = 0.045 * (left[:, 2] + right[:, 2]) - 0.02 * (left[:, 1] + right[:, 1])
    yaw = 0.13 * (right[:, 2] - left[:, 2]) + 0.09 * (left[:, 0] + right[:, 0])
    roll = 0.05 * (left[:, 1] - right[:, 1])
    both = np.stack([pitch, yaw, roll], axis=-1)
    pelvis = gaussian_filter1d(both, 0.08 * FPS, axis=0, mode="nearest") * [0.45, 0.5, 0.4]
    return pelvis, both * [1.1, 0.85, 0.9]


def mark_stresses(
    prosody: Prosody,
    plan: Sequence[Placed],
    rests: Sequence[tuple[float, float]],
    times: Floats,
    manner: Manner,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Pelvis and chest (F, 3) degrees that settle anew with every stroke and stronger syllable, and calm down after."""
    strokes = {round(p.emphasis, 3): p for p in plan if not p.unit.self_touch}
    pelvis, chest = list[Reach](), list[Reach]()
    for phrase in prosody.phrases:
        lean = rng.standard_normal(3) * [1.0, 2.4, 0.8]  # how this phrase stands
        for accent in phrase.accents:
            stroke = next((p for at, p in strokes.items() if abs(at - accent.time) < 0.09), None)
            if stroke is None and accent.prominence < 0.2:
                continue
            size = _size_of(accent, phrase, manner) * (1.0 if stroke else 0.55)
            if any(start < accent.time < end for start, end in rests):
                size *= _AT_REST
            lead = float(rng.uniform(0.42, 0.58)) / np.sqrt(manner.speed)
            at = accent.time + _ARRIVE - (_FIRST * float(np.clip((stroke.unit.size - 30) / 30, 0, 1)) if stroke else 0)
            side = _side_of(stroke)
            down = 0.9 * size * np.clip(accent.prominence, 0, 2)
            goal = lean + size * (_PELVIS * rng.standard_normal(3) + [0.5 * down, 1.8 * side, 0.0])
            pelvis.append(Reach(at - 0.03, lead, tuple(goal)))
            goal = 0.5 * lean + size * (_CHEST * rng.standard_normal(3) + [1.1 * down, 1.6 * side, 0.0])
            chest.append(Reach(at, lead, tuple(goal)))
        for moves in (pelvis, chest):
            moves.append(Reach(phrase.end + 0.55, 1.0, tuple(0.6 * lean)))
    start = (0.0, 0.0, 0.0)
    return tuple(settle(times, sorted(m, key=lambda r: r.at), start) for m in (pelvis, chest))  # type: ignore[return-value]


def _size_of(accent: Accent, phrase: Phrase, manner: Manner) -> float:
    return float((0.65 + 0.35 * accent.loudness + 0.3 * phrase.loudness) * manner.liveliness)


def _side_of(stroke: Placed | None) -> float:
    """1: the right hand strokes, which turns the body to the left; -1: the left one; 0: both or none."""
    if stroke is None or len(stroke.unit.sides) == 2:
        return 0.0
    return 1.0 if stroke.unit.sides == ("Right",) else -1.0


def head_track(prosody: Prosody, chest: Floats, times: Floats, manner: Manner, rng: np.random.Generator) -> Floats:
    """Head against chest (F, 3) degrees: it keeps looking while the chest (F, 3) turns under it, looks away as a
    thought begins and comes back, moves with the melody, and nods after the accents."""
    away = list[Reach]()
    nod = np.zeros(len(times))
    last_end = -np.inf
    for phrase in prosody.phrases:
        if phrase.start - last_end > 0.5:  # a thought begins: the gaze leaves and returns
            side = float(rng.choice([-1.0, 1.0]))
            far = (float(rng.normal(-1.5, 3.0)), side * float(rng.uniform(7, 16)), side * float(rng.normal(1.5, 1.5)))
            back = phrase.start + float(rng.uniform(0.55, 1.2))
            if rng.random() < 0.45 + 0.2 * manner.liveliness:
                away.append(Reach(phrase.start + 0.1, 0.45, far))
                away.append(Reach(back, 0.42, (0.0, float(rng.normal(0, 2)), 0.0)))
        strong = [a for a in phrase.accents if a.prominence > 0.1]
        for accent in strong:
            if accent.time > (away[-1].at if away else 0) + 0.35 and rng.random() < 0.6:
                goal = rng.standard_normal(3) * [2.9, 6.5, 3.3] * np.sqrt(manner.liveliness)
                early = _FIRST * float(np.clip(accent.prominence, 0, 1))  # large strokes go with what stands out
                away.append(Reach(accent.time + 0.08 - early, float(rng.uniform(0.32, 0.5)), tuple(goal)))
        for accent in phrase.accents:
            span = near(times, accent.time, 1.0)
            size = 2.4 + 2.1 * np.clip(accent.prominence, -1.1, 2.2)
            nod[span] += size * nod_curve(times[span], accent.time)
        last_end = phrase.end
        if phrase.accents:
            away.append(Reach(phrase.end + 0.5, 0.6, (float(rng.normal(0.5, 1)), float(rng.normal(0, 3)), 0.0)))
    look = settle(times, sorted(away, key=lambda r: r.at), (0.0, 0.0, 0.0))
    pitch = np.interp(times, np.arange(len(prosody.pitch)) / 100, prosody.pitch)
    look[:, 0] += nod * (0.7 + 0.3 * manner.liveliness) * rng.uniform(0.85, 1.15) - 0.35 * pitch
    return look - chest * [0.6, 0.8, 0.85]


def shrug_curve(plan: Sequence[Placed], times: Floats, manner: Manner, rng: np.random.Generator) -> Floats:
    """Degrees (F,) by which both shoulders rise into some strokes and drop with them."""
    lift = np.zeros(len(times))
    for placed in plan:
        if rng.random() < 0.5:
            span = near(times, placed.emphasis, 1.0)
            lift[span] += rng.uniform(1.0, 4.0) * manner.liveliness * bump(times[span], placed.emphasis - 0.16, 0.17)
    return lift
