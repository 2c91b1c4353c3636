"""What generators hear: everything by default, to the bit; clipped and partly deaf where weights say so."""

import json
import shutil

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.models.audio_input import AudioInput
from backend.models.config import AUDIO_FEATURES
from backend.models.description import STARTER
from backend.models.weights import Weights

from .formula import values


def test_the_default_changes_nothing():
    rows = values("speech", (9, AUDIO_FEATURES)).astype(np.float32) * 100
    assert_array_equal(AudioInput().apply(rows.copy()), rows)
    assert not AudioInput().hidden.any()


def test_clipped_and_partly_hidden():
    rows = np.full((3, AUDIO_FEATURES), 50.0, np.float32)
    heard = AudioInput(8.0, ((0, 20), (52, 53))).apply(rows)
    assert heard is rows and np.all(heard[:, :20] == 8.0) and np.all(heard[:, 52] == 8.0)
    assert heard.sum() == 3 * 21 * 8.0


@pytest.mark.parametrize(
    "wrong",
    [
        (-1.0, ((0, 5),)),
        (np.inf, ((0, 5),)),
        (0.0, ()),
        (0.0, ((3, 3),)),
        (0.0, ((0, 438),)),
        (0.0, ((5, 9), (0, 3))),
    ],
)
def test_no_such_hearing(wrong):
    with pytest.raises(ValueError, match="no such audio_input"):
        AudioInput(*wrong)


def test_weights_that_say_nothing_hear_everything(small, tmp_path):
    small.save(tmp_path / "a")
    assert Weights.load(tmp_path / "a").info.audio_input == AudioInput()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    description = json.loads((tmp_path / "b" / "weights.json").read_text())
    del description["audio_input"]
    (tmp_path / "b" / "weights.json").write_text(json.dumps(description))
    features = values("speech", (30, AUDIO_FEATURES)) * 1000
    assert Weights.load(tmp_path / "b").info.audio_input == AudioInput()
    assert_array_equal(Weights.load(tmp_path / "b").prepare_audio(features), small.prepare_audio(features))


def test_the_starter_does_not_hear_the_tempogram():
    starter = Weights.load(STARTER)
    features = values("speech", (40, AUDIO_FEATURES)) * 1000
    heard = starter.prepare_audio(features)
    features[:, 53:] = 7.0
    assert np.abs(heard).max() <= 8.0 and np.abs(heard[:, :53]).min() >= 0
    assert_array_equal(starter.prepare_audio(features), heard)
