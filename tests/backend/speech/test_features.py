from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from backend.speech import features
from backend.speech.audio import FEATURE_RATE, Audio, load_audio
from sg_blender_addon.core.errors import Cancelled
from sg_blender_addon.core.progress import Progress

SPEECH = Path(__file__).parents[2] / "data" / "speech"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(SPEECH / "golden_audio.npz") as data:
        return dict(data)


@pytest.fixture(scope="module")
def clip() -> Audio:
    return load_audio(SPEECH / "golden_8s_24k.wav")


@pytest.fixture(scope="module")
def speech() -> Audio:
    return load_audio(SPEECH / "numbers.flac")


def scaled(a: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(a / np.r_[scale[:436], 1.0])


def test_the_references_numbers(clip: Audio, golden: dict[str, np.ndarray]) -> None:
    found = features.extract(clip)
    assert found.shape == (61, 437) and found.dtype == np.float32
    assert not found[:, features.NOISE_COLUMN].any()
    for libraries in ("raw_new", "raw_pinned"):
        error = scaled(found - golden[libraries], golden["scale"])[:, :436]
        assert np.abs(error).max() < 1e-4


def test_blocks_equal_one_go(speech: Audio, golden: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    fade = np.interp(np.arange(len(speech.samples) * 5), [0, len(speech.samples) * 5], [1.0, 0.2])
    long = Audio.from_samples(np.tile(speech.samples, 5) * fade, 16000)
    whole = features.extract(long)
    monkeypatch.setattr(features, "BLOCK", 130)
    parts = features.extract(long)
    assert np.abs(scaled(whole - parts, golden["scale"])).max() < 1e-3


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 1.0, 1.8, 1.9])
def test_rows_of_short_clips(speech: Audio, seconds: float) -> None:
    cut = Audio.from_samples(speech.clip(1.0, 1.0 + seconds), 16000)
    found = features.extract(cut)
    assert found.shape == (1 + len(cut.low) // 512, 437)
    assert np.isfinite(found).all()
    assert features.activity(cut).shape == (len(found),)


def test_silence_reads_as_a_pause_not_as_the_loudest_sound(golden: dict[str, np.ndarray], clip: Audio) -> None:
    silent = features.extract(Audio.from_samples(np.zeros(48000), 16000))
    loud = features.extract(clip)
    # mfcc 0 is the loudness: 128 bands at -80 dB, under everything that the speech clip has.
    assert silent[:, 0].max() < loud[:, 0].min()
    assert np.ptp(silent, axis=0).max() < 1e-3
    assert not silent[:, 52].any()


@pytest.mark.parametrize("amplitude", [1e-6, 1e-4, 1e-3, 3e-3])
def test_room_noise_is_silence(amplitude: float) -> None:
    noise = amplitude * np.random.default_rng(0).standard_normal(5 * 16000)
    audio = Audio.from_samples(noise, 16000)
    assert not features.activity(audio).any()
    assert np.array_equal(features.extract(audio), features.extract(Audio.from_samples(np.zeros(5 * 16000), 16000)))


def test_quiet_speech_is_speech(speech: Audio) -> None:
    quiet = Audio.from_samples(speech.samples * 0.03, 16000)
    quieter = Audio.from_samples(speech.samples * 0.012, 16000)
    assert features.level(quieter).loud < features.QUIET_DB and not features.level(quieter).silent
    assert np.abs(features.extract(quiet)[:, :20] - features.extract(quieter)[:, :20]).max() < 1.0
    assert np.abs(features.activity(speech) - features.activity(quieter)).max() < 0.05


def test_activity_follows_the_words(speech: Audio) -> None:
    gap = np.zeros(2 * 16000, np.float32)
    audio = Audio.from_samples(np.concatenate([gap, speech.samples, gap]), 16000)
    activity = features.activity(audio)
    rate = features.TOKEN_RATE
    assert activity.min() >= 0.0 and activity.max() <= 1.0
    assert not activity[: int(1.8 * rate)].any() and not activity[-int(1.6 * rate) :].any()
    assert activity[int(2.0 * rate) : int(10.0 * rate)].mean() > 0.7


def test_progress_grows_and_cancel_is_heard(speech: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK", 20)
    seen: list[float] = []
    features.extract(speech, Progress(lambda _, fraction: seen.append(fraction)))
    assert seen == sorted(seen) and len(set(seen)) > 6 and seen[-1] == pytest.approx(1.0)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        features.extract(speech, Progress(lambda *_: stop.set(), stop))


def test_rows_count() -> None:
    assert [features.rows(n) for n in (0, 511, 512, 30720)] == [1, 1, 2, 61]
    assert FEATURE_RATE / features.HOP == 7.5
