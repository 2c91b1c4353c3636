"""The recordings that weights are measured on: as long as asked for, with rests, the same every time."""

import numpy as np
import pytest

from sg_blender_addon.core.errors import UserError
from training import speech, voices
from training.prosody import RATE


def pieces(count=40):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(int(RATE * rng.uniform(1, 3))) * rng.uniform(0.01, 1) for _ in range(count))


def test_pieces_at_one_level_with_breaths_and_rests():
    sound = voices.recording(pieces(), 60.0)
    assert len(sound) == 60 * RATE and np.array_equal(sound, voices.recording(pieces(), 60.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (sound == 0).astype(int), [0]]))).reshape(-1, 2)
    pauses = (edges[:, 1] - edges[:, 0]) / RATE
    pauses = pauses[pauses > 0.1]
    assert pauses.min() < 0.5 and (pauses > 2.0).sum() >= 2, "hands need rests"
    spoken = sound[sound != 0]
    assert np.sqrt(np.mean(spoken**2)) == pytest.approx(voices.LEVEL, rel=0.05)


def test_too_little_speech_and_nothing_installed(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="too little speech"):
        voices.recording(pieces(3), 60.0)
    with pytest.raises(UserError, match="no telephone prompts") as caught:
        next(voices._prompts(tmp_path))
    assert "asterisk-core-sounds-en-g722" in caught.value.hint
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="flite is not installed"):
        voices._read_aloud()


def test_no_training_says_the_held_out_text():
    held_out = set(voices.TEXT.read_text("utf-8").splitlines())
    assert not held_out & set(speech.SENTENCES.read_text("utf-8").splitlines())
    assert len(" ".join(held_out).split()) > 1300
