from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.speech import align as align_module
from backend.speech.align import align, refine
from backend.speech.audio import Audio, load_audio
from backend.speech.forced_alignment import aligner
from backend.speech.script import read_script
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.timeline import Word

SPEECH = Path(__file__).parents[2] / "data" / "speech"
TRUTH: list[tuple[str, float, float]] = json.loads((SPEECH / "words.json").read_text())


@pytest.fixture(scope="module")
def words_audio() -> Audio:
    return load_audio(SPEECH / "words.flac")


@pytest.fixture(scope="module")
def numbers() -> Audio:
    return load_audio(SPEECH / "numbers.flac")


@pytest.fixture(scope="module")
def welcome() -> Audio:
    return load_audio(SPEECH / "welcome.flac")


def text(name: str) -> str:
    return (SPEECH / f"{name}.txt").read_text(encoding="utf-8")


def check_order(words: list[Word], audio: Audio) -> None:
    starts = [w.start for w in words]
    assert starts == sorted(starts)
    assert all(0.0 <= w.start <= w.end <= audio.seconds for w in words)


def test_against_exact_times(words_audio: Audio) -> None:
    words, warnings = align(words_audio, read_script(text("words")))
    errors = np.array([abs(w.start - start) for w, (_, start, _) in zip(words, TRUTH, strict=True)])
    assert np.median(errors) < 0.05 and errors.max() < 0.1
    assert warnings == []


def test_numbers_abbreviations_and_unknown_words(numbers: Audio) -> None:
    words, warnings = align(numbers, read_script(text("numbers")))
    assert [w.text for w in words] == text("numbers").split()
    assert warnings == []
    check_order(words, numbers)
    start = {w.text: w.start for w in words}
    # "2024" takes over a second to say, and "zorblax" stands between its neighbours.
    assert start["our"] - start["2024,"] > 1.0
    assert start["well-known"] < start["zorblax"] < start["shop"]


def test_subtitles_cue_by_cue(numbers: Audio) -> None:
    srt = "1\n00:00:00,000 --> 00:00:06,100\nIn 2024, our well-known zorblax shop sold 3 gesticulators for $20.\n\n"
    srt += "2\n00:00:06,000 --> 00:00:08,200\nDr. Miller said: never again.\n"
    words, warnings = align(numbers, read_script(srt))
    whole, _ = align(numbers, read_script(text("numbers")))
    assert warnings == []
    assert np.abs([a.start - b.start for a, b in zip(words, whole, strict=True)]).max() < 0.1


def test_subtitles_with_wrong_times_are_timed_by_the_sound(numbers: Audio) -> None:
    srt = "1\n00:00:05,000 --> 00:00:07,000\nIn 2024, our well-known zorblax shop sold 3 gesticulators for $20.\n\n"
    srt += "2\n00:00:07,000 --> 00:00:07,900\nDr. Miller said: never again.\n"
    words, warnings = align(numbers, read_script(srt))
    assert "subtitles' times do not fit" in warnings[0]
    assert words[0].start < 0.3 and words[-1].start > 7.5


def test_wrong_script_is_noticed(numbers: Audio) -> None:
    heard = [Word("In", 0.1, 0.2), Word("2024,", 0.2, 1.5), Word("our", 1.8, 2.0), Word("again.", 7.8, 8.2)]
    words, warnings = align(
        numbers, read_script("Whose woods these are I think I know, his house is far"), lambda: heard
    )
    assert "does not match" in warnings[0]
    assert [w.text for w in words] == [w.text for w in heard]


def test_wrong_script_without_a_recogniser_is_spread(numbers: Audio) -> None:
    def missing() -> list[Word]:
        raise UserError("The speech recogniser is missing.", "Install it.", "missing_package")

    words, warnings = align(numbers, read_script("Whose woods these are I think I know"), missing)
    assert len(words) == 8 and "missing" in warnings[0] and "spread" in warnings[1]
    check_order(words, numbers)


def test_lost_words_take_whispers_times(numbers: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every word called lost, each takes the time that the recogniser has for it."""
    exact, _ = align(numbers, read_script(text("numbers")))
    heard = [Word(w.text, w.start + 0.05, w.end + 0.05) for w in exact]
    heard[4] = Word("sore", heard[4].start, heard[4].end)
    monkeypatch.setattr(align_module, "LOST", 0.0)
    words, _ = align(numbers, read_script(text("numbers")), lambda: heard)
    assert [w.text for w in words] == [w.text for w in exact]
    assert np.allclose([w.start for w in words], [w.start for w in heard], atol=0.011)


def test_other_languages_take_whispers_times(numbers: Audio) -> None:
    heard = [Word("Im", 0.1, 0.3), Word("Jahr", 0.3, 0.7), Word("war", 0.7, 1.0), Word("alles", 1.0, 1.5)]
    words, _ = align(numbers, read_script("Im Jahre war alles gut."), lambda: heard, language="de")
    assert [w.text for w in words] == ["Im", "Jahre", "war", "alles", "gut."]
    assert [w.start for w in words[:4]] == [0.1, 0.3, 0.7, 1.0]
    assert words[4].start >= 1.5


def test_long_recordings_go_piece_by_piece(welcome: Audio, numbers: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align_module, "WHOLE_SECONDS", 12.0)
    monkeypatch.setattr(align_module, "PIECE_SECONDS", 10.0)
    parts = [(welcome, "welcome"), (numbers, "numbers")] * 3
    audio = Audio.from_samples(np.concatenate([a.samples for a, _ in parts]), 16000)
    script = read_script(" ".join(text(name) for _, name in parts))
    words, warnings = align(audio, script)
    expected, offset = [], 0.0
    for part, name in parts:
        expected += [w.start + offset for w in align(part, read_script(text(name)))[0]]
        offset += len(part.samples) / 16000
    errors = np.abs(np.array([w.start for w in words]) - expected)
    assert warnings == [] and np.median(errors) < 0.02 and np.percentile(errors, 95) < 0.1


def test_refining_a_recognisers_words(words_audio: Audio) -> None:
    rough = [Word(w, start + 0.12 * (-1) ** i, end + 0.1) for i, (w, start, end) in enumerate(TRUTH)]
    words = refine(words_audio, rough)
    errors = np.array([abs(w.start - start) for w, (_, start, _) in zip(words, TRUTH, strict=True)])
    assert np.median(errors) < 0.05 and errors.max() < 0.12


def test_silence_has_no_words() -> None:
    words, warnings = align(Audio.from_samples(np.zeros(32000), 16000), read_script("Hello there"))
    assert words == [] and "No speech" in warnings[0]


def test_script_far_longer_than_the_recording(words_audio: Audio) -> None:
    script = read_script(text("words") + " and then nobody said a word " * 30)
    words, warnings = align(words_audio, script)
    assert [w.text for w in words] == text("words").split()
    assert "words were left out" in warnings[0]
    check_order(words, words_audio)


def test_script_of_another_far_longer_recording(words_audio: Audio) -> None:
    words, warnings = align(words_audio, read_script("Whose woods these are I think I know. " * 20))
    assert words == [] and "far too long" in warnings[-1]


def test_what_was_heard_before_changes_no_time(numbers: Audio, words_audio: Audio) -> None:
    """One decoder serves all recordings: their means and noise stay their own."""
    shared, words = aligner(), text("numbers").split()
    first = shared.place(numbers.speech, words)
    for _ in range(3):
        shared.place((0.05 * words_audio.speech).astype(np.float32), ["zero"])
    assert first is not None and shared.place(numbers.speech, words) == first
