"""Curves over time: smooth keys, repeated movements, overlap between the parts of the body.

Between keys every channel follows a quintic with zero acceleration at the keys: bell-shaped speed as in human reaching
(Flash and Hogan 1985, minimum jerk). Where a channel continues in the same direction it flows through a key; where it
turns back it stops there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk

Ints = NDArray[np.integer[Any]]

FLOW = 0.8


def _within(x: Floats) -> Floats:
    """Clipped to 0..1; on curves this short np.clip takes longer to start than to work."""
    return np.asarray(np.minimum(np.maximum(x, 0.0), 1.0))


def segments(time: Floats, keys: Floats) -> tuple[Ints, Floats]:
    """For each time the key at or before it (the last but one at most) and the progress 0..1 to the next."""
    index = np.minimum(np.maximum(np.searchsorted(keys, time, side="right") - 1, 0), len(keys) - 2)
    span = np.maximum(keys[index + 1] - keys[index], 1e-6)
    return index, _within((time - keys[index]) / span)


def tangents(keys: Floats, values: Floats, flow: Floats) -> Floats:
    """Speeds (K, C) at the keys: the harmonic mean of the slopes on both sides where they agree in sign, else zero."""
    slope = np.diff(values, axis=0) / np.maximum(np.diff(keys), 1e-6)[:, None]
    result = np.zeros_like(values)
    a, b = slope[:-1], slope[1:]
    agree = a * b > 0
    result[1:-1] = np.where(agree, 2 * a * b / np.where(agree, a + b, 1.0), 0.0) * flow[1:-1, None]
    return result


def interpolate(time: Floats, keys: Floats, targets: Floats, flow: Floats) -> Floats:
    """Smooth curve (F, C) through targets (K, C), or (K, F, C) where the targets themselves move with the body."""
    index, x = segments(time, keys)
    moving = targets.ndim == 3
    nominal = np.stack([targets[k, _nearest(time, t)] for k, t in enumerate(keys)]) if moving else targets
    speed = tangents(keys, nominal, flow)
    frames = np.arange(len(time))
    p0, p1 = (targets[index, frames], targets[index + 1, frames]) if moving else (targets[index], targets[index + 1])
    span = (keys[index + 1] - keys[index])[:, None]
    x = x[:, None]
    s = minimum_jerk(x)
    h0 = x * (1 - x) ** 3 * (1 + 3 * x)  # quintic Hermite basis for a start speed of 1, end at rest
    h1 = -(x**3) * (1 - x) * (4 - 3 * x)
    return np.asarray(p0 + s * (p1 - p0) + span * (h0 * speed[index] + h1 * speed[index + 1]))


def _nearest(time: Floats, t: float) -> int:
    return min(int(np.searchsorted(time, t)), len(time) - 1)


def eased(x: Floats, ramp: float = 0.14) -> Floats:
    """Progress 0..1 at constant speed with soft starts and stops: how repeated movements run through their phase."""
    x = _within(x)
    ramp = max(1e-3, min(0.5, ramp))
    total = 1 - ramp
    up = x**2 / (2 * ramp)
    down = total - (1 - x) ** 2 / (2 * ramp)
    middle = x - ramp / 2
    return np.asarray(np.where(x < ramp, up, np.where(x > 1 - ramp, down, middle)) / total)


def shake(x: Floats, times: float, decay: float = 0.0) -> Floats:
    """To and fro about zero, -1..1, `times` full swings over x in 0..1, dying away by `decay`."""
    edge = minimum_jerk(np.minimum(x, 1 - x) * max(times, 0.5) * 2.5)
    return np.asarray(np.sin(2 * np.pi * times * eased(x)) * edge * (1 - decay * x))


def tap(x: Floats, times: float, decay: float = 0.0) -> Floats:
    """Away and back, 0..1, `times` times, lingering a little where it touches (0)."""
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * times * eased(x))
    return np.asarray(wave**1.25 * (1 - decay * x))


def _held(values: Floats, radius: int) -> Floats:
    """A curve with its first and last value repeated `radius` times more."""
    return np.concatenate([np.repeat(values[:1], radius, 0), values, np.repeat(values[-1:], radius, 0)])


def blur(values: Floats, fps: float, seconds: float) -> Floats:
    """Gaussian smoothing along the first axis, ends held."""
    sigma = seconds * fps
    if sigma < 0.3 or len(values) < 2:
        return values
    kernel = _bell(sigma)
    radius = len(kernel) // 2
    flat = values.reshape(len(values), -1)
    padded = _held(flat, radius)
    out = np.empty_like(flat)
    for c in range(flat.shape[1]):
        out[:, c] = np.convolve(padded[:, c], kernel, "valid")
    return out.reshape(values.shape)


@cache
def _bell(sigma: float) -> Floats:
    """Weights of a Gaussian of `sigma` samples, three times that to each side."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    kernel.setflags(write=False)
    return np.asarray(kernel)


def limit_speed(values: Floats, fps: float, speed: float) -> Floats:
    """A curve (F,) that nowhere changes faster than `speed` per second and is the given one where that is slow enough.

    A jump becomes an even ramp with its middle at the jump: the mean of the largest curve below and the smallest curve
    above it that keep to the speed (its Lipschitz envelopes), rounded where it differs from what was given."""
    step = speed / fps
    if len(values) < 2 or np.abs(np.diff(values)).max() <= step:
        return values
    ramp = step * np.arange(len(values))
    ramped = 0.5 * (_envelope(values, ramp) - _envelope(-values, ramp))
    changed = (np.abs(ramped - values) > 1e-6).astype(float)
    weight = np.minimum(1.0, 3.0 * blur(changed, fps, 0.03))
    return np.asarray(ramped + weight * (blur(ramped, fps, 0.03) - ramped))


def _envelope(values: Floats, ramp: Floats) -> Floats:
    """The largest curve (F,) nowhere above the given one that neither climbs nor falls faster than the ramp."""
    climbing = np.minimum.accumulate(values - ramp) + ramp
    falling = np.minimum.accumulate((values + ramp)[::-1])[::-1] - ramp
    return np.asarray(np.minimum(climbing, falling))
