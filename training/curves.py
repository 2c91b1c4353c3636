"""Time courses that movement is made of: reaching, settling from target to target, beating, nodding, slow wandering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from training.motion_folder import FPS


@dataclass(frozen=True)
class Reach:
    """A move that arrives at `value` at `at` seconds, begun `lead` seconds before."""

    at: float
    lead: float
    value: tuple[float, ...]


def settle(times: Floats, moves: Sequence[Reach], start: Sequence[float]) -> Floats:
    """From target to target (F, columns): each move adds its own minimum-jerk step, so that overlapping moves blend."""
    curve = np.tile(np.asarray(start, dtype=float), (len(times), 1))
    before = np.asarray(start, dtype=float)
    for move in moves:
        value = np.asarray(move.value, dtype=float)
        # both masks are slices: times ascend
        begin, end = np.searchsorted(times, (move.at - move.lead, move.at))
        done = minimum_jerk((times[begin:end] - move.at + move.lead) / move.lead)
        curve[begin:end] += done[:, None] * (value - before)
        curve[end:] += value - before
        before = value
    return curve


def wander(rng: np.random.Generator, frames: int, seconds: float, columns: int = 1) -> Floats:
    """Smooth noise (frames, columns) of deviation 1 that changes over about `seconds`."""
    sigma = max(seconds * FPS / 2.5, 1.0)
    noise = gaussian_filter1d(rng.standard_normal((frames + int(8 * sigma), columns)), sigma, axis=0)
    noise /= np.sqrt(1 / (2 * np.sqrt(np.pi) * sigma))
    return np.asarray(noise[int(4 * sigma) : int(4 * sigma) + frames])


def beat_curve(times: Floats, at: float, seconds: float) -> Floats:
    """A small up and down stroke: up before `at`, fastest downwards at `at`, back afterwards; peak 1."""
    x = (times - at) / seconds
    return np.asarray(-x * np.exp(0.5 - 0.5 * x * x))


def bump(times: Floats, at: float, seconds: float) -> Floats:
    """A Gaussian of deviation `seconds`, 1 at `at`."""
    return np.asarray(np.exp(-0.5 * ((times - at) / seconds) ** 2))


def nod_curve(times: Floats, at: float) -> Floats:
    """Down with the syllable, lowest just after it (Esteve-Gibert et al.), a small rebound."""
    return bump(times, at + 0.06, 0.12) - 0.35 * bump(times, at + 0.39, 0.16)


def near(times: Floats, at: float, reach: float) -> slice:
    """The slice of ascending `times` within `reach` seconds of `at`: what a short event touches."""
    begin, end = np.searchsorted(times, (at - reach, at + reach))
    return slice(int(begin), int(end))
