"""Placing: strokes on words, neighbours, limits, locked segments."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.gestures.phases import Lengths, Placement
from backend.gestures.place import LATEST, place
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.timeline import Segment, Word
from SG_dataset.library import Library
from tests.backend.toys import PHASES, SECONDS, choice, gesture, library, small_library, two_gestures, variant, words

LIBRARY = small_library()


def test_stroke_falls_on_the_words_onset() -> None:
    segments, warnings = place([choice(0), choice(1)], words(2.0, 5.0), LIBRARY, 10.0)
    assert [s.stroke for s in segments] == [2.0, 5.0] and warnings == []
    assert all(s.start < s.stroke < s.end for s in segments)
    assert [s.word for s in segments] == ["word0", "word1"]


def test_preparation_may_overlap_the_previous_retraction() -> None:
    natural = Lengths.of(PHASES, SECONDS)
    gap = natural.fall + natural.hold + natural.before
    segments, warnings = place([choice(0), choice(1)], words(2.0, 2.0 + gap), LIBRARY, 10.0)
    assert len(segments) == 2 and not warnings
    assert segments[1].stroke - segments[1].start == pytest.approx(natural.before)
    assert segments[0].end > segments[1].start


def test_compresses_before_it_drops() -> None:
    natural = Lengths.of(PHASES, SECONDS)
    gap = natural.least_until_retraction + natural.least_before + 0.01
    segments, warnings = place([choice(0), choice(1)], words(2.0, 2.0 + gap), LIBRARY, 10.0)
    assert len(segments) == 2 and not warnings


def test_moves_by_at_most_100_ms_then_drops_the_less_confident() -> None:
    natural = Lengths.of(PHASES, SECONDS)
    least = natural.least_until_retraction + natural.least_before
    choices = [choice(0, confidence=0.9), choice(1, confidence=0.4)]
    onset = 2.0 + least - 0.05
    segments, warnings = place(choices, words(2.0, onset), LIBRARY, 10.0)
    assert len(segments) == 2 and segments[0].stroke == 2.0 and 0.0 < segments[1].stroke - onset <= LATEST
    segments, warnings = place(choices, words(2.0, 2.0 + least - 0.2), LIBRARY, 10.0)
    assert [s.word_index for s in segments] == [0] and len(warnings) == 1 and "word1" in warnings[0]


@cache
def waving() -> Library:
    """A wave of four swings and one of a single swing, beside the halting palm."""
    long = variant(1, seconds=3.1, phases=replace(PHASES, stroke_end=2.3, retraction=2.5))
    return library(gesture("3123", "HAND WAVE", long, variant(2)), *two_gestures())


def test_a_repeated_stroke_loses_repetitions_where_the_next_gesture_is_near() -> None:
    choices = [choice(0, "3123", 0.9), choice(1, "2300", 0.4)]
    for seed in range(10):
        segments, warnings = place(choices, words(2.0, 3.0), waving(), 10.0, seed=seed)
        assert [s.variant for s in segments] == [2, 1] and not warnings
        assert [s.stroke for s in segments] == [2.0, 3.0]


def test_a_repeated_stroke_keeps_its_repetitions_where_there_is_room() -> None:
    found = [place([choice(0, "3123")], words(2.0), waving(), 10.0, seed=k)[0][0].variant for k in range(20)]
    assert found.count(1) > 14


@cache
def handed(hands: str) -> Library:
    """A thumb for either hand, and one for the right alone."""
    both = gesture("0031", "THUMB UP", variant(1), variant(2, "left"), variant(3))
    one = gesture("0032", "THUMB DOWN", variant(1))
    return library(*(replace(g, tags={"hands": hands}) for g in (both, one)))


def hands_of(hand: float, hands: str = "one", identity: str = "0031") -> list[str]:
    """Of forty gestures, far apart, each in a talk of its own."""
    where = handed(hands)
    return [
        where.gestures[identity].variants[segment.variant - 1].hand
        for k in range(40)
        for segment in place([choice(0, identity)], words(2.0), where, 10.0, seed=k, manner=Manner(hand=hand))[0]
    ]


def test_the_manner_says_which_hand_makes_a_one_handed_gesture() -> None:
    assert set(hands_of(1.0)) == {"right"} and set(hands_of(-1.0)) == {"left"}
    assert 12 < hands_of(0.0).count("right") < 28
    assert hands_of(0.0).count("right") < hands_of(0.6).count("right") < 40


def test_a_gesture_of_one_hand_only_or_of_both_is_made_all_the_same() -> None:
    assert hands_of(-1.0, identity="0032") == ["right"] * 40
    assert hands_of(-1.0, "two") == hands_of(1.0, "two"), "its variants' hand is a mirror image, not a hand"


def test_a_locked_wave_keeps_its_repetitions() -> None:
    locked = Segment("3123", "HAND WAVE", 1, "word0", 0, 1.4, 2.0, 4.5, 0.1)
    segments, warnings = place([choice(1, "2300")], words(2.0, 3.0), waving(), 10.0, locked=[locked])
    assert [s.variant for s in segments] == [1] and len(warnings) == 1


def test_locked_segments_stay_and_others_make_room() -> None:
    locked = Segment("2300", "PALM HALT", 1, "word0", 0, 1.4, 2.0, 3.4, 0.1)
    choices = [choice(0, confidence=0.99), choice(1, confidence=0.99), choice(2)]
    segments, warnings = place(choices, words(2.0, 2.2, 6.0), LIBRARY, 10.0, locked=[locked])
    assert (segments[0].start, segments[0].stroke, segments[0].end, segments[0].locked) == (1.4, 2.0, 3.4, True)
    assert [s.word_index for s in segments] == [0, 2] and len(warnings) == 1


def test_ends_of_the_audio_cut_instead_of_shift() -> None:
    segments, _ = place([choice(0), choice(1)], words(0.1, 4.7), LIBRARY, 5.0)
    assert [s.stroke for s in segments] == [0.1, 4.7]
    assert segments[0].start == 0.0 and segments[1].end == 5.0


def test_unknown_gesture_and_word_are_survived() -> None:
    segments, warnings = place([choice(0, "9999"), choice(7), choice(1)], words(1.0, 4.0), LIBRARY, 8.0)
    assert [s.word_index for s in segments] == [1] and len(warnings) == 1
    assert place([], [], LIBRARY, 8.0) == ([], [])


def test_same_seed_same_variants_and_edits_elsewhere_change_nothing() -> None:
    onsets = [2.0 * i + 1 for i in range(12)]
    first, _ = place([choice(i) for i in range(12)], words(*onsets), LIBRARY, 30.0, seed=3)
    again, _ = place([choice(i) for i in range(12)], words(*onsets), LIBRARY, 30.0, seed=3)
    assert first == again
    assert {s.variant for s in first} == {1, 2}  # both are used
    assert any(
        [s.variant for s in place([choice(i) for i in range(12)], words(*onsets), LIBRARY, 30.0, seed=k)[0]]
        != [s.variant for s in first]
        for k in range(4, 8)
    )


def test_broken_locked_segment_is_refused() -> None:
    with pytest.raises(UserError, match="backwards"):
        place([], [], LIBRARY, 5.0, locked=[Segment("2300", "PALM HALT", 1, "", -1, 3.0, 2.0, 1.0, 1.0)])
    with pytest.raises(UserError, match="no variant 9"):
        place([], [], LIBRARY, 5.0, locked=[Segment("2300", "PALM HALT", 9, "", -1, 1.0, 2.0, 3.0, 1.0)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.05, 1.5), min_size=1, max_size=20),
    st.lists(st.floats(0.01, 1.0), min_size=20, max_size=20),
    st.integers(0, 5),
)
def test_dense_choices_never_drift_and_never_collide(gaps: list[float], confidences: list[float], seed: int) -> None:
    onsets = np.cumsum(gaps)
    spoken = words(*onsets.tolist(), length=0.04)
    seconds = float(onsets[-1]) + 0.5
    choices = [choice(i, ("0031", "2300")[i % 2], confidences[i]) for i in range(len(spoken))]
    segments, warnings = place(choices, spoken, LIBRARY, seconds, seed=seed)
    assert segments and len(segments) + len(warnings) == len(choices)
    for segment in segments:
        assert abs(segment.stroke - spoken[segment.word_index].start) <= LATEST + 1e-9
        assert 0.0 <= segment.start <= segment.stroke <= segment.end <= seconds
    for a, b in itertools.pairwise(segments):
        lengths = Lengths.of(PHASES, SECONDS)
        assert b.stroke - a.stroke >= lengths.least_until_retraction + lengths.least_before - 1e-9
        first = Placement.of(PHASES, SECONDS, a.start, a.stroke, a.end, seconds)
        second = Placement.of(PHASES, SECONDS, b.start, b.stroke, b.end, seconds)
        assert second.stroke_start >= first.stroke_end - 1e-6


def test_a_hold_is_cut_at_its_sentences_end_and_not_at_an_abbreviation() -> None:
    def end(text: str) -> float:
        """Where a gesture on the second word ends."""
        spoken = [Word(t, 2.0 + 0.1 * i, 2.1 + 0.1 * i) for i, t in enumerate(text.split())]
        held = gesture("0031", "PALM", variant(seconds=4.0, phases=replace(PHASES, retraction=3.5)))
        (segment,), _ = place([choice(1)], spoken, library(held), 9.0)
        return segment.end

    whole = end("We met Doctor Miller at 3 pm in the US today and so forth.")
    assert end("We met Dr. Miller at 3 p.m. in the U.S. today and so forth.") == whole
    assert end("We met. Doctor Miller at 3 pm in the US today and so forth.") < whole - 0.1


def test_phases_squeeze_in_order_and_play_forwards() -> None:
    placed = Placement.of(PHASES, SECONDS, 1.0, 1.65, 2.6)
    times = np.linspace(0.9, 2.7, 200)
    assert np.allclose(placed.source_times(times), np.clip(times - 1.0, 0.0, 1.6), atol=1e-9)  # natural: unchanged
    short = Placement.of(PHASES, SECONDS, 1.25, 1.65, 2.3)
    assert short.stroke - short.stroke_start == pytest.approx(0.15)  # the stroke keeps its speed
    source = short.source_times(times)
    assert (np.diff(source) >= -1e-9).all() and source[0] == 0.0 and source[-1] == pytest.approx(1.6)
    assert short.source_times(np.array([1.65]))[0] == pytest.approx(0.65)
    weight = short.weight(times)
    assert weight.min() == 0.0 and (weight[(times > short.stroke_start) & (times < short.retraction)] == 1.0).all()
