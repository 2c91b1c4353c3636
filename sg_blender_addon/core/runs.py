"""Runs of True in a row of answers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def runs(
    mask: npt.NDArray[np.bool_], rate: float = 1.0, shortest: float = 0.0, gap: float = 0.0
) -> list[tuple[int, int]]:
    """Start and end (excluded) of the runs of True in (N,): gaps under `gap` are closed, then what is left that lasts
    `shortest` or longer is kept; both in seconds at `rate` answers a second."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask).astype(np.int8), [0]])))
    found: list[tuple[int, int]] = []
    for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if found and a - found[-1][1] < gap * rate:
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return [(a, b) for a, b in found if b - a >= shortest * rate]
