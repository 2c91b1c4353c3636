"""Assembled co-speech: gestures on the stress, rest in silence, still feet, no jumps."""

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Word
from training.assembly import assemble
from training.curves import min_jerk
from training.measures import foot_sliding, hands, joint_speeds, rest_in_silence
from training.plan import make_plan, tracks
from training.prosody import analyse

from . import synthetic

TIMES = np.r_[np.arange(0.5, 4.0, 0.3), np.arange(8.0, 11.0, 0.3)]
LOUD = TIMES[1::3]


@pytest.fixture(scope="module")
def prosody():
    return analyse(synthetic.bursts(TIMES, 13.0, LOUD))


def assembled(prosody, stock, seed=1):
    return assemble(prosody, stock, round(prosody.seconds * 60), np.random.default_rng(seed))


def test_stress_is_found_where_it_is(prosody):
    assert [(round(p.start, 1), round(p.end, 1)) for p in prosody.phrases] == [
        pytest.approx((0.4, 3.9), abs=0.25),
        pytest.approx((7.9, 10.8), abs=0.25),
    ]
    accents = [a for p in prosody.phrases for a in p.accents]
    assert np.abs(np.array([a.time for a in accents]) - TIMES).max() < 0.05
    strong = sorted(accents, key=lambda a: -a.prominence)[: len(LOUD)]
    assert np.allclose(sorted(a.time for a in strong), LOUD, atol=0.05)


def test_gain_does_not_move_the_stress(prosody):
    quiet = analyse(0.05 * synthetic.bursts(TIMES, 13.0, LOUD))
    assert len(quiet.phrases) == 2
    assert np.allclose(
        [a.time for p in quiet.phrases for a in p.accents],
        [a.time for p in prosody.phrases for a in p.accents],
        atol=0.02,
    )


def test_function_words_lose_their_stress():
    sound = synthetic.bursts(TIMES, 13.0, LOUD)
    first = analyse(sound, [Word("of", TIMES[1] - 0.1, TIMES[1] + 0.1)]).phrases[0].accents[1].prominence
    assert first < analyse(sound).phrases[0].accents[1].prominence - 1.0


@pytest.mark.parametrize("sound", [np.zeros(32000, np.float32), 1e-4 * np.random.default_rng(0).standard_normal(32000)])
def test_silence_has_no_phrases(sound):
    assert analyse(sound.astype(np.float32)).phrases == ()


def test_strokes_fall_on_stressed_syllables(prosody, stock):
    plan = make_plan(prosody, stock.units, np.random.default_rng(0))
    accents = {round(a.time, 3) for p in prosody.phrases for a in p.accents}
    assert len(plan) >= 4 and all(round(p.emphasis, 3) in accents for p in plan)
    assert all(p.start < p.emphasis < p.leave and 0.85 <= p.speed <= 1.9 for p in plan)
    motion = assembled(prosody, stock)
    away = np.linalg.norm(hands(motion) - hands(motion)[:1], axis=-1).max(axis=1)
    plan = make_plan(prosody, stock.units, np.random.default_rng(0))
    for placed in plan:
        assert np.interp(placed.emphasis, np.arange(len(motion)) / 60, away) > 8


def test_each_arm_gets_its_own_gestures(prosody, stock):
    plan = make_plan(prosody, stock.units, np.random.default_rng(3))
    for side, rows in tracks(plan).items():
        assert all(side in row.unit.sides for row in rows)


def test_hands_rest_in_silence(prosody, stock):
    facts = rest_in_silence(assembled(prosody, stock), prosody)
    assert facts["height_silence_cm"] < 6 < facts["height_speech_cm"]
    assert facts["speed_silence_cm_s"] < 4 < facts["speed_speech_cm_s"]
    silent = analyse(np.zeros(80000, np.float32))
    motion = assembled(silent, stock)
    assert np.linalg.norm(hands(motion) - hands(motion)[:1], axis=-1).max() < 6


@pytest.mark.parametrize("seed", range(3))
def test_feet_stand_and_nothing_pops(prosody, stock, seed):
    motion = assembled(prosody, stock, seed)
    assert foot_sliding(motion) < 1e-6
    speeds = joint_speeds(motion)
    assert speeds.max() < 900
    assert np.abs(np.diff(speeds, axis=0)).max() < 150  # degrees/s from one frame to the next
    assert np.allclose(np.linalg.norm(motion.rotations, axis=-1), 1.0)


def test_same_seed_same_motion(prosody, stock):
    a, b, c = (assembled(prosody, stock, s) for s in (5, 5, 6))
    assert np.array_equal(a.rotations, b.rotations) and not np.array_equal(a.rotations, c.rotations)


def test_units_know_hand_size_and_height(stock):
    assert len(stock.units) == 6  # three and their mirror images
    low = next(u for u in stock.units if u.name.endswith("BeatLowLf01"))
    both = next(u for u in stock.units if u.name.endswith("BeatHighBt01"))
    assert low.sides == ("Left",) and both.sides == ("Left", "Right") and low.size < both.size
    assert low.begin < low.emphasis < low.leave and low.emphasis == pytest.approx(1.0, abs=0.05)
    image = low.mirrored()
    assert image.sides == ("Right",) and np.allclose(
        hands(image.motion)[:, 1] * [-1, 1, 1], hands(low.motion)[:, 0], atol=0.01
    )


def test_postures_hang_and_come_in_pairs(stock):
    assert [p.name for p in stock.postures] == ["Test@Idle01", "Test@Idle01~"]
    arm = canonical().index("LeftArm")
    assert np.degrees(rot.angle(stock.postures[0].pose[arm])) == pytest.approx(np.degrees(1.35), abs=1.5)


def test_minimum_jerk_starts_and_ends_still():
    x = min_jerk(np.linspace(-0.5, 1.5, 401))
    assert x[0] == 0 and x[-1] == 1 and np.all(np.diff(x) >= -1e-12) and x[200] == pytest.approx(0.5)
