"""Keeping hands out of the body: penetration of hand points into the body's capsules and the push that resolves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def depth_and_push(
    points: Floats, radii: Floats, a: Floats, b: Floats, ra: Floats, rb: Floats
) -> tuple[Floats, Floats]:
    """How deep points (F, N, 3) with radii (N,) are in capsules a..b (F, C, 3) with end radii (C,), cm (F, N, C), negative
    outside, and the unit directions out (F, N, C, 3)."""
    axis = (b - a)[:, None]
    rel = points[:, :, None] - a[:, None]
    t = np.clip(np.sum(rel * axis, -1) / np.maximum(np.sum(axis * axis, -1), 1e-9), 0, 1)
    away = rel - t[..., None] * axis
    distance = np.linalg.norm(away, axis=-1)
    depth = ra + (rb - ra) * t + radii[None, :, None] - distance
    return depth, away / np.maximum(distance, 1e-6)[..., None]


def resolve(
    points: Floats, radii: Floats, capsules: tuple[Floats, Floats, Floats, Floats], allowed: Floats, ahead: Floats
) -> Floats:
    """Displacement (F, 3) of the whole hand that brings its deepest point out, given the depth allowed at each frame (F,).

    `ahead` (F, 3): preferred way out, added a little so that a hand is not pushed through to the wrong side."""
    depth, out = depth_and_push(points, radii, *capsules)
    excess = np.maximum(depth - allowed[:, None, None], 0.0)
    flat = excess.reshape(len(points), -1)
    worst = flat.argmax(1)
    frames = np.arange(len(points))
    direction = out.reshape(len(points), -1, 3)[frames, worst] + 0.35 * ahead
    direction /= np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
    return np.asarray(flat[frames, worst][:, None] * direction)
