"""Runs of True."""

import numpy as np

from sg_blender_addon.core.runs import runs


def test_runs_close_gaps_and_drop_what_is_short() -> None:
    mask = np.zeros(120, dtype=bool)
    mask[0:30] = mask[33:60] = mask[100:104] = True
    assert runs(mask) == [(0, 30), (33, 60), (100, 104)]
    assert runs(mask, 30.0, shortest=1.0, gap=0.2) == [(0, 60)]
    assert runs(np.zeros(0, dtype=bool)) == []
