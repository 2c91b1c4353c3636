"""Posture planned for a whole recording: weight, quiet hands and rests that last, told at each token."""

from itertools import pairwise

import numpy as np
import pytest

from backend.models.rest_place import RestPlace
from backend.motion.posture_plan import (
    COLUMNS,
    HANGING,
    MANNER_COLUMNS,
    Resting,
    plan_rows,
    quiet_spans,
    rest_changes,
    resting_spans,
    rows,
    shift_plan,
)
from sg_blender_addon.core.manner import PRESETS, Manner

PHRASES = [(float(t), float(t) + 3.2) for t in np.arange(0.5, 116.0, 4.0)]
CASUAL = Manner(liveliness=1.6, formality=0.0)
BELLY = RestPlace(0.8, 1.0, (4.0, -30.0, 20.0, -4.0, -30.0, 20.0))
SIDES = RestPlace(0.5, 0.0, HANGING)


def test_weight_goes_from_leg_to_leg_in_pauses_and_stays():
    ends = np.array([end for _, end in PHRASES])
    plans = [shift_plan(PHRASES, 120.0, CASUAL, np.random.default_rng(seed)) for seed in range(6)]
    legs = [leg for plan in plans for leg in plan[1:]]
    assert len(legs) > 30
    assert np.mean([np.abs(ends - leg.start).min() < 0.3 for leg in legs]) > 0.8
    for plan in plans:
        assert all(b.start - a.end > 2.3 for a, b in pairwise(plan))
        assert all(np.sign(a.weight) != np.sign(b.weight) or abs(b.weight) < 0.3 or abs(a.weight) < 0.3
                   for a, b in pairwise(plan))  # fmt: skip


def test_hands_rest_now_and_then_while_somebody_talks_on():
    spans = [quiet_spans(PHRASES, Manner(), np.random.default_rng(seed)) for seed in range(20)]
    assert 1 <= np.mean([len(s) for s in spans]) <= 4
    ends = {end for _, end in PHRASES}
    assert all(a in ends and 6.8 <= b - a <= 9.2 for s in spans for a, b in s)
    lively = [quiet_spans(PHRASES, PRESETS["lively"], np.random.default_rng(seed)) for seed in range(20)]
    assert sum(map(len, lively)) < sum(map(len, spans))


def test_rests_change_only_where_hands_are_down():
    quiet, pauses = [(20.0, 28.0)], [(0.5, 18.0), (19.0, 40.0), (46.0, 60.0)]
    spans = resting_spans(pauses, quiet, 62.0)
    assert spans == [(21.1, 27.6), (41.1, 45.6)]
    changes = rest_changes(spans, [BELLY, SIDES], Manner(), np.random.default_rng(3))
    assert changes[0].at == -np.inf and {c.at for c in changes[1:]} <= {20.0, 40.0}
    assert all(a.rest != b.rest for a, b in pairwise(changes))


def test_rows_say_what_was_planned():
    legs = shift_plan(PHRASES, 120.0, CASUAL, np.random.default_rng(0))
    changes = [Resting(-np.inf, SIDES), Resting(50.0, BELLY)]
    told = rows(legs, [(30.0, 37.0)], changes, PRESETS["lively"], 900)
    times = (np.arange(900) + 0.5) / 7.5
    after = times > legs[1].end
    assert told[0, 0] == pytest.approx(legs[0].weight) and np.abs(told[:, 0]).max() <= 0.5
    assert told[np.argmax(after), 0] == pytest.approx(legs[1].weight)
    assert np.array_equal(told[:, 2] == 1, (times >= 30) & (times < 37))
    assert np.array_equal(told[:, 3] == 1, (times >= 29) & (times < 36)), "a second ahead"
    assert np.allclose(told[times < 49, 4:11], [0] * 7) and np.allclose(
        told[-1, 4:10], np.subtract(BELLY.place, HANGING) / 20
    )
    assert told[-1, 10] == 1 and np.all(told[:, 11] > 1) and np.ptp(told[:, COLUMNS:], axis=0).max() == 0


def test_new_speech_gets_a_plan_of_its_own():
    one, same, other = (
        plan_rows(PHRASES, 900, Manner(), [BELLY, SIDES], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (900, COLUMNS + MANNER_COLUMNS) and np.array_equal(one, same) and not np.array_equal(one, other)
    silent = plan_rows([], 450, Manner(), [], np.random.default_rng(0))
    assert np.isfinite(silent).all() and np.ptp(silent[:, 0]) > 0.3, "people shift their weight in silence too"
