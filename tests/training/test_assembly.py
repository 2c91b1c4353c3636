"""Assembled co-speech: gestures on the stress, rest in silence, a body that takes part, no jumps."""

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Word
from training.assembly import assemble
from training.measures import hands, joint_speeds
from training.plan import make_plan, tracks
from training.prosody import Prosody, analyse
from training.units import trunk_joints

from . import synthetic

TIMES = np.r_[np.arange(0.5, 4.0, 0.3), np.arange(8.0, 11.0, 0.3)]
LOUD = TIMES[1::3]


@pytest.fixture(scope="module")
def prosody():
    return analyse(synthetic.bursts(TIMES, 13.0, LOUD))


def assembled(prosody, stock, seed=1, manner=None):
    return assemble(prosody, stock, round(prosody.seconds * 60), np.random.default_rng(seed), manner).motion


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


def planned(prosody, stock, seed=0, manner=None):
    return make_plan(prosody, stock.units, manner or Manner(), np.random.default_rng(seed))


def test_strokes_fall_on_stressed_syllables(prosody, stock):
    plan = planned(prosody, stock).placed
    accents = np.array([a.time for p in prosody.phrases for a in p.accents])
    assert len(plan) >= 4 and all(np.abs(accents - p.emphasis).min() < 0.06 for p in plan)
    assert all(p.start < p.emphasis < p.leave and 0.8 <= p.speed <= 1.9 for p in plan)
    loud = [np.abs(LOUD - p.emphasis).min() < 0.06 for p in plan]
    assert np.mean(loud) > 0.6


def test_the_apex_is_late_and_earlier_where_a_phrase_ends(prosody, stock):
    last = {p.accents[-1].time for p in prosody.phrases}
    accents = np.array([a.time for p in prosody.phrases for a in p.accents])
    for seed in range(8):
        for placed in planned(prosody, stock, seed).placed:
            at = float(accents[np.abs(accents - placed.emphasis).argmin()])
            assert (placed.emphasis < at) == (at in last)


def test_each_arm_gets_its_own_gestures(prosody, stock):
    for side, rows in tracks(planned(prosody, stock, 3).placed).items():
        assert all(side in row.unit.sides for row in rows)


def test_hand_leads_as_the_manner_says(prosody, stock):
    def share(hand):
        sides = [p.unit.sides for s in range(60) for p in planned(prosody, stock, s, Manner(hand=hand)).placed]
        return np.mean([s == ("Right",) for s in sides]) - np.mean([s == ("Left",) for s in sides])

    assert share(1.0) > 0.15 and share(-1.0) < -0.15


def rest_in_silence(motion: Motion, prosody: Prosody) -> dict[str, float]:
    """Hand height above its rest (cm) and hand speed (cm/s), in speech and in pauses of more than 1.6 s.

    The first 1.2 s of a pause are not counted: hands need them to come down.
    """
    path = hands(motion)
    height = path[..., 1].max(axis=1) - np.quantile(path[..., 1], 0.05)
    speed = np.linalg.norm(np.diff(path, axis=0, prepend=path[:1]), axis=-1).mean(axis=1) * motion.fps
    times = np.arange(len(motion)) / motion.fps
    speech = np.zeros(len(motion), dtype=bool)
    for phrase in prosody.phrases:
        speech |= (times >= phrase.start) & (times < phrase.end)
    ends = np.array([0.0, *(p.end for p in prosody.phrases)])
    starts = np.array([*(p.start for p in prosody.phrases), prosody.seconds])
    still = np.zeros(len(motion), dtype=bool)
    for a, b in zip(ends, starts, strict=True):
        if b - a > 1.6:
            still |= (times >= a + (1.2 if a > 0 else 0.4)) & (times < b - 0.3)

    def mean(values: np.ndarray, mask: np.ndarray) -> float:
        return float(values[mask].mean()) if mask.any() else float("nan")

    return {
        "height_speech_cm": mean(height, speech),
        "height_silence_cm": mean(height, still),
        "speed_speech_cm_s": mean(speed, speech),
        "speed_silence_cm_s": mean(speed, still),
    }


def test_hands_rest_in_silence(prosody, stock):
    facts = rest_in_silence(assembled(prosody, stock), prosody)
    assert facts["height_silence_cm"] < facts["height_speech_cm"]
    assert facts["speed_silence_cm_s"] < 6 < facts["speed_speech_cm_s"]


def test_nobody_gestures_where_nobody_speaks(stock):
    silent = analyse(np.zeros(160000, np.float32))
    assert not [p for p in planned(silent, stock).placed if not p.unit.self_touch]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_pops(prosody, stock, seed):
    motion = assembled(prosody, stock, seed)
    speeds = joint_speeds(motion)
    assert speeds.max() < 1200
    assert np.abs(np.diff(speeds, axis=0)).max() < 300  # degrees/s from one frame to the next
    assert np.allclose(np.linalg.norm(motion.rotations, axis=-1), 1.0)


def test_same_seed_same_motion(prosody, stock):
    a, b, c = (assembled(prosody, stock, s) for s in (5, 5, 6))
    assert np.array_equal(a.rotations, b.rotations) and not np.array_equal(a.rotations, c.rotations)


def test_units_know_hand_size_and_height(stock):
    captured = [u for u in stock.units if u.name.startswith("Test/")]
    assert len(captured) == 6  # three and their mirror images
    low = next(u for u in captured if u.name.endswith("BeatLowLf01"))
    both = next(u for u in captured if u.name.endswith("BeatHighBt01"))
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
    joints = list(trunk_joints())
    for posture in stock.postures:  # no leg's tilt in the spine
        swing, _ = rot.swing_twist(posture.pose[joints], np.array([1.0, 0.0, 0.0]))
        assert np.degrees(rot.angle(swing)).max() < 1e-3


def turning(motion, joint="Hips"):
    return joint_speeds(motion)[:, motion.skeleton.index(joint)]


def test_the_pelvis_talks_along_and_calms_down(stock):
    """No sway that goes on by itself: where nobody speaks it turns less than half as much."""
    times = np.r_[np.arange(0.5, 20.0, 0.3), np.arange(32.0, 50.0, 0.3)]
    speech = analyse(synthetic.bursts(times, 62.0, times[1::3]))
    motion = assembled(speech, stock, 4)
    speed = turning(motion)
    seconds = np.arange(len(speed)) / 60
    talking = (seconds > 1) & (seconds < 20) | (seconds > 32) & (seconds < 50)
    silent = (seconds > 22) & (seconds < 31) | (seconds > 52)
    assert np.median(speed[talking]) > 2.5
    assert np.median(speed[silent]) < 0.5 * np.median(speed[talking])


def test_liveliness_moves_the_whole_body(prosody, stock):
    def speed(liveliness):
        motions = [assembled(prosody, stock, s, Manner(liveliness=liveliness)) for s in (1, 2)]
        return [np.mean([turning(m, joint).mean() for m in motions]) for joint in ("Hips", "Spine2", "Head")]

    assert all(calm < lively for calm, lively in zip(speed(0.5), speed(1.6), strict=True))


def test_minimum_jerk_starts_and_ends_still():
    x = minimum_jerk(np.linspace(-0.5, 1.5, 401))
    assert x[0] == 0 and x[-1] == 1 and np.all(np.diff(x) >= -1e-12) and x[200] == pytest.approx(0.5)
