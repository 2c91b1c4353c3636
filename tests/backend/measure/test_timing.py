"""Timing against chance, and the syllables it is measured at."""

import numpy as np
import pytest

from backend.measure.body import body_of
from backend.measure.syllables import RATE, stressed
from backend.measure.timing import Spoken, timing

from . import bodies

SECONDS = 240.0


@pytest.fixture(scope="module")
def talk():
    """Irregular syllables, and motion that strokes on them 0.2 s early with hand and head."""
    rng = np.random.default_rng(3)
    at = np.cumsum(rng.uniform(0.6, 2.2, 160))
    at = at[at < SECONDS - 2]
    motion = bodies.strokes(bodies.standing(SECONDS, 30.0), at - 0.2, wide=0.1)
    return at, body_of(bodies.strokes(motion, at - 0.2, "Head", (1, 0, 0), 0.1, 0.1))


def test_motion_on_the_syllables_stands_out_at_its_lag(talk):
    at, body = talk
    rows = timing([Spoken(body, at, SECONDS)])
    for part in ("hands", "head"):
        assert rows[f"{part} timing z"] > 8 and rows[f"{part} timing p"] == 0
        assert -0.4 < rows[f"{part} timing lag s"] < 0.0
    assert rows["stressed syllables"] == len(at)


def test_syllables_at_random_do_not(talk):
    at, body = talk
    found = [timing([Spoken(body, np.sort(np.random.default_rng(s).uniform(2, SECONDS - 2, len(at))), SECONDS)])
             for s in range(4)]  # fmt: skip
    assert np.mean([rows["hands timing z"] for rows in found]) < 3
    assert max(rows["hands timing p"] for rows in found) > 0.05


def test_pieces_count_together(talk):
    at, body = talk
    one = timing([Spoken(body, at[:40], SECONDS)])
    both = timing([Spoken(body, at[:40], SECONDS), Spoken(body, at[40:], SECONDS)])
    assert both["stressed syllables"] == len(at) and both["hands timing z"] > one["hands timing z"]
    assert timing([]) == {} and timing([Spoken(body, np.zeros(0), SECONDS)]) == {}


def test_stressed_syllables_are_the_loud_high_ones():
    t = np.arange(int(20 * RATE)) / RATE
    times = np.arange(0.5, 19.5, 0.4)
    strong = times[::3]
    sound = np.zeros(len(t))
    for at in times:
        loud = at in strong
        pitch = 180 if loud else 130
        sound += (
            (0.3 if loud else 0.12)
            * np.exp(-0.5 * ((t - at) / 0.06) ** 2)
            * sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 9))
        )
    found = stressed(sound)
    assert len(found) == pytest.approx(0.4 * len(times), abs=2)
    hits = sum(np.abs(strong - x).min() < 0.05 for x in found)
    assert hits >= len(strong) - 1
    assert len(stressed(np.zeros(RATE))) == 0
