"""Speech against pauses, joins, and a whole column."""

import numpy as np
import pytest

from backend.measure.body import FPS, body_of
from backend.measure.column import Piece, measure
from backend.measure.joins import joins
from backend.measure.speech import Speech, in_speech
from backend.speech.audio import Audio
from tests.backend.conftest import speechlike

from . import bodies

SPOKEN = ((0.0, 10.0), (14.0, 24.0))


@pytest.fixture(scope="module")
def speech():
    sound = np.zeros(28 * 16000, np.float32)
    for a, b in SPOKEN:
        sound[int(a * 16000) : int(b * 16000)] = speechlike(b - a)
    return Speech.of(Audio.from_samples(sound, 16000))


@pytest.fixture(scope="module")
def talking():
    """Turns its pelvis and raises a hand while it speaks, and rests in pauses."""
    motion = bodies.standing(28.0)
    t = bodies.times_of(motion)
    spoken = sum(((t >= a) & (t < b)).astype(float) for a, b in SPOKEN)
    bodies.turn(motion, "Hips", [0, 1, 0], 0.1 * spoken * np.sin(2 * np.pi * 0.5 * t))
    return bodies.turn(motion, "LeftForeArm", [0, -1, 0], 1.2 * spoken)


def test_pauses_are_where_nobody_speaks(speech):
    spoken = speech.speaking(28 * 30)
    pause = np.flatnonzero(~spoken[: 20 * 30]) / FPS
    assert pause.min() == pytest.approx(10, abs=0.5) and pause.max() == pytest.approx(14, abs=0.5)
    assert spoken[: 9 * 30].all(), "short gaps are part of speaking"


def test_what_is_calmer_in_pauses(speech, talking):
    rows = in_speech(body_of(talking), speech)
    assert rows["pelvis deg/s in speech"] > 5 and rows["pelvis deg/s in pauses"] < 0.1
    assert rows["hand height cm in speech"] > 10 and rows["hand height cm in pauses"] < 1
    assert rows["hand height with loudness corr"] > 0.4


def test_a_jolt_at_a_join_is_seen():
    smooth = bodies.strokes(bodies.standing(20.0), np.arange(1.0, 19.0, 1.0), size=0.3, wide=0.3)
    jolt = bodies.turn(bodies.standing(20.0), "LeftForeArm", [0, -1, 0], np.where(np.arange(1200) > 600, 0.8, 0.0))
    row = "wrist change at joins against elsewhere"
    assert joins(body_of(jolt), [10.0])[row] > 20 and joins(body_of(smooth), [10.0])[row] < 3
    assert joins(body_of(smooth), []) == {}


def test_a_column_is_the_median_of_its_clips(speech, talking):
    quiet = bodies.standing(28.0)
    alone, three = measure([Piece(talking, speech)]), measure([Piece(m) for m in (quiet, quiet, talking)])
    assert alone["pelvis deg/s p90"] > 5 and three["pelvis deg/s p90"] < 0.1
    assert three["clips"] == 3 and three["seconds"] == pytest.approx(84)
    assert "hands timing z" in alone and "hands timing z" not in three
