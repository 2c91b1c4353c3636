"""Keeping hands out of the body: penetration of hand points into the body's capsules and the push that resolves it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats


class Capsules(NamedTuple):
    """Tapered capsules over F frames: ends a and b (F, C, 3), radii there (C,), cm."""

    a: Floats
    b: Floats
    ra: Floats
    rb: Floats


def depths(points: Floats, radii: Floats, capsules: Capsules) -> tuple[Floats, Floats]:
    """How deep points (F, N, 3) with radii (N,) are in each capsule, cm (F, N, C), negative outside.

    Second: where along the capsule's axis, 0..1 (F, N, C)."""
    a, b, ra, rb = capsules
    axis = b - a
    length = np.maximum(np.einsum("fci,fci->fc", axis, axis), 1e-9)[:, None]
    along = points @ np.swapaxes(axis, 1, 2) - np.einsum("fci,fci->fc", a, axis)[:, None]
    t = np.minimum(np.maximum(along / length, 0.0), 1.0)
    square = rot.dot(points, points) - 2 * points @ np.swapaxes(a, 1, 2) + np.einsum("fci,fci->fc", a, a)[:, None]
    square += t * (t * length - 2 * along)
    distance = np.sqrt(np.maximum(square, 0.0, out=square), out=square)
    return (rb - ra) * t + (ra + radii[:, None]) - distance, t


def resolve(points: Floats, radii: Floats, capsules: Capsules, allowed: Floats, ahead: Floats) -> Floats:
    """Displacement (F, 3) of the whole hand that brings its deepest point out, but for the depth allowed (F, N or 1).

    `ahead` (F, 3): preferred way out, added a little so that a hand is not pushed through to the wrong side."""
    depth, t = depths(points, radii, capsules)
    flat = np.maximum(depth - allowed[..., None], 0.0).reshape(len(points), -1)
    worst = flat.argmax(1)
    frames = np.arange(len(points))
    point, capsule = np.divmod(worst, depth.shape[2])
    a, b = capsules.a[frames, capsule], capsules.b[frames, capsule]
    out = points[frames, point] - a - t[frames, point, capsule][:, None] * (b - a)
    out = out / np.maximum(rot.length(out), 1e-6) + 0.35 * ahead
    out /= np.maximum(rot.length(out), 1e-6)
    return np.asarray(flat[frames, worst][:, None] * out)
