"""Choosing gestures: size goes with vigour, and huge ones are apart."""

from dataclasses import replace

import numpy as np
import pytest

from sg_blender_addon.core.manner import PRESETS
from training import vocabulary
from training.plan import Repertoire, make_plan
from training.prosody import Accent, Phrase, Prosody


@pytest.fixture(scope="module")
def units():
    """Strokes of every size from 15 to 95 cm."""
    found = vocabulary.strokes(3)
    return [replace(u, size=size) for u, size in zip(found, np.linspace(15, 95, len(found)), strict=True)]


def test_huge_gestures_are_few_and_apart_even_on_a_big_stage(units):
    accents = tuple(Accent(t, 1.0, 2.0) for t in np.arange(0.6, 58.0, 1.1))
    loud = Prosody(60.0, (Phrase(0.3, 59.0, accents, 1.0),), np.zeros(6000), np.zeros(6000))
    plans = [make_plan(loud, units, PRESETS["big stage"], np.random.default_rng(seed)).placed for seed in range(5)]
    sizes = np.array([p.unit.size for plan in plans for p in plan])
    assert np.median(sizes) > 35 and 0 < (sizes > 55).mean() < 0.25
    assert len(Repertoire(units).units) == len(units)
