"""Time courses that movement is made of: reaching, settling from target to target, beating, nodding, slow wandering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core.rotations import Array
from training.motion_folder import FPS


def min_jerk(x: Array) -> Array:
    """0 to 1 with still ends; the time course of a reaching hand (Flash and Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x * x)


@dataclass(frozen=True)
class Reach:
    """A move that arrives at `value` at `at` seconds, begun `lead` seconds before."""

    at: float
    lead: float
    value: tuple[float, ...]


def settle(times: Array, moves: Sequence[Reach], start: Sequence[float]) -> Array:
    """From target to target (F, columns): each move adds its own minimum-jerk step, so that overlapping moves blend."""
    curve = np.tile(np.asarray(start, dtype=float), (len(times), 1))
    before = np.asarray(start, dtype=float)
    for move in moves:
        value = np.asarray(move.value, dtype=float)
        # both masks are slices: times ascend
        begin, end = np.searchsorted(times, (move.at - move.lead, move.at))
        curve[begin:end] += min_jerk((times[begin:end] - move.at + move.lead) / move.lead)[:, None] * (value - before)
        curve[end:] += value - before
        before = value
    return curve


def wander(rng: np.random.Generator, frames: int, seconds: float, columns: int = 1) -> Array:
    """Smooth noise (frames, columns) of deviation 1 that changes over about `seconds`."""
    sigma = max(seconds * FPS / 2.5, 1.0)
    noise = gaussian_filter1d(rng.standard_normal((frames + int(8 * sigma), columns)), sigma, axis=0)
    noise /= np.sqrt(1 / (2 * np.sqrt(np.pi) * sigma))
    return np.asarray(noise[int(4 * sigma) : int(4 * sigma) + frames])


def beat_curve(times: Array, at: float, seconds: float) -> Array:
    """A small up and down stroke: up before `at`, fastest downwards at `at`, back afterwards; peak 1."""
    x = (times - at) / seconds
    return np.asarray(-x * np.exp(0.5 - 0.5 * x * x))


def bump(times: Array, at: float, seconds: float) -> Array:
    """A Gaussian of deviation `seconds`, 1 at `at`."""
    return np.asarray(np.exp(-0.5 * ((times - at) / seconds) ** 2))


def nod_curve(times: Array, at: float) -> Array:
    """Down with the syllable, lowest just after it (Esteve-Gibert et al.), a small rebound."""
    return bump(times, at + 0.06, 0.12) - 0.35 * bump(times, at + 0.39, 0.16)


def near(times: Array, at: float, reach: float) -> slice:
    """The slice of ascending `times` within `reach` seconds of `at`: what a short event touches."""
    begin, end = np.searchsorted(times, (at - reach, at + reach))
    return slice(int(begin), int(end))
