"""What generators hear of a voice: the same whatever the length and the gain, and where speech stresses."""

import shutil
import subprocess

import numpy as np
import pytest

from backend.models.config import PROSODY_FEATURES, PROSODY_VOICE
from backend.motion.posture_plan import COLUMNS as POSTURE
from backend.motion.posture_plan import MANNER_COLUMNS
from backend.speech import features, prosody
from backend.speech.audio import Audio, load_audio
from sg_blender_addon.core.errors import Cancelled
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Word
from tests.backend.conftest import speechlike

RATE = 16000


@pytest.fixture(scope="module")
def voice():
    return speechlike(24.0)


def heard(samples, words=()):
    return prosody.extract(Audio.from_samples(samples, RATE), words)


def test_columns_add_up(voice):
    rows = heard(voice)
    assert rows.shape == (features.rows(len(Audio.from_samples(voice, RATE).low)), prosody.COLUMNS)
    assert rows.dtype == np.float32 and prosody.COLUMNS == PROSODY_VOICE
    assert PROSODY_FEATURES == prosody.COLUMNS + POSTURE + MANNER_COLUMNS


def test_what_is_heard_does_not_depend_on_what_follows_in_two_seconds(voice):
    """So the same weights can stream, and ten seconds are heard like ten minutes."""
    whole, part = heard(voice), heard(voice[: 12 * RATE])
    settled = round(10 * features.TOKEN_RATE)
    assert np.allclose(whole[:settled], part[:settled], atol=1e-4)


def test_a_long_past_is_forgotten(voice):
    twice = heard(np.concatenate([0.2 * voice, voice]))
    later = round(36 * features.TOKEN_RATE)
    shift = round(24 * features.TOKEN_RATE)
    assert np.allclose(twice[later:], heard(voice)[later - shift :], atol=0.05)


def test_gain_does_not_matter(voice):
    loud, quiet = heard(voice), heard(0.1 * voice)
    assert np.abs(loud - quiet).mean() < 0.005 and np.abs(loud - quiet)[:, 1:4].max() < 0.05


def test_silence_and_hum_say_nothing():
    hum = 0.02 * np.sin(2 * np.pi * 100 * np.arange(6 * RATE) / RATE).astype(np.float32)
    noise = 0.003 * np.random.default_rng(0).standard_normal(6 * RATE).astype(np.float32)
    for sound in (np.zeros(6 * RATE, np.float32), hum, noise):
        rows = heard(sound)
        assert np.all(rows[:, 0] == 1) and np.abs(rows[:, 1:]).max() < 0.1
        assert np.all(rows[:, prosody.ON] == 0), "but for the click of its beginning"


def test_syllables_are_where_they_are_heard():
    at = np.array([1.0, 1.5, 2.1, 2.6, 3.4])
    t = np.arange(5 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    shape = sum(a * np.exp(-(((t - x) / 0.06) ** 2)) for x, a in zip(at, (0.5, 0.5, 1.0, 0.5, 0.5), strict=True))
    found = prosody.listen((0.1 * shape * tone).astype(np.float32)).syllables
    assert np.allclose(found.times, at, atol=0.03) and found.prominence.argmax() == 2
    rows = heard((0.1 * shape * tone).astype(np.float32))
    assert rows[7, 7] == 1 and rows[0, 7] == 0


def test_only_times_of_words_enter(voice):
    words = [Word("hello", 1.0, 1.4), Word("there", 1.5, 2.0)]
    other = [Word("jumbo", 1.0, 1.4), Word("skate", 1.5, 2.0)]
    assert np.array_equal(heard(voice, words), heard(voice, other))
    with_words, without = heard(voice, words), heard(voice)
    assert np.array_equal(with_words[:, : prosody.SOUND], without[:, : prosody.SOUND])
    assert np.all(without[:, prosody.SOUND :] == 0) and np.all(with_words[:, prosody.SOUND] == 1)
    moved = heard(voice, [Word("hello", 3.0, 3.4)])
    assert not np.array_equal(moved, with_words)


def test_cancel(voice):
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        prosody.extract(Audio.from_samples(voice, RATE), (), progress)


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_a_real_voice_has_a_syllable_for_nearly_each_of_its_own(tmp_path):
    """flite's sentence of eleven syllables, in one or two phrases that begin and end with the voice."""
    path = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", "it was a banana and not another one", "-o", str(path)], check=True)
    audio = load_audio(path)
    found = prosody.listen(audio.samples)
    assert 5 <= len(found.syllables.times) <= 13 and 1 <= len(found.phrases) <= 2
    assert 0 <= found.phrases[0][0] < 0.5 and audio.seconds - 0.6 < found.phrases[-1][1] <= audio.seconds
