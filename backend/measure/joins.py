"""Rows about the joins of semantic gestures with the rhythm below: where a segment begins and ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.measure.body import FPS, Body, hands, speed
from backend.measure.table import Rows

NEAR = 0.15  # s to both sides of a join


def joins(body: Body, times: Sequence[float]) -> Rows:
    """Wrist speed and acceleration near the joins at `times` (s), and how they compare with everywhere else."""
    frames = np.arange(len(body)) / FPS
    near = np.zeros(len(body), dtype=bool)
    for at in times:
        near |= np.abs(frames - at) <= NEAR
    if not near.any() or near.all():
        return Rows()
    v = np.stack([speed(path) for path in hands(body)])
    change = np.abs(np.gradient(v, 1 / FPS, axis=1))
    return {
        "joins": float(len(times)),
        "wrist cm/s at joins": float(v[:, near].mean()),
        "wrist change at joins against elsewhere": float(change[:, near].mean() / max(change[:, ~near].mean(), 1e-9)),
    }
