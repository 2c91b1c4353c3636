"""The film's sound: made while the pictures are, and the same as made at once."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from backend.outputs import video
from backend.speech.audio import Audio
from tests.backend.conftest import speechlike


@pytest.mark.parametrize("seconds", [0.3, 10.0, 23.7])
def test_sound_in_pieces_is_the_sound(seconds: float) -> None:
    audio = Audio.from_samples(speechlike(seconds), 16000)
    frames = list(video._frames(video._sound(audio, seconds), 1024))
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    whole = soxr.resample(audio.samples, audio.rate, video.SOUND_RATE)
    assert len(sound) - len(whole) in range(1024)
    np.testing.assert_allclose(sound[: len(whole)], whole, atol=1e-3)
    assert not sound[len(whole) :].any()
    assert [frame.pts for frame in frames] == list(range(0, len(sound), 1024))


def test_sound_ends_with_the_film() -> None:
    audio = Audio.from_samples(speechlike(3.0), 16000)
    assert sum(map(len, video._sound(audio, 1.0))) == video.SOUND_RATE
    assert sum(map(len, video._sound(audio, 9.0))) == 3 * video.SOUND_RATE
