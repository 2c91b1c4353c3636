"""What generators hear: everything by default, to the bit; clipped and partly deaf where weights say so."""

import json
import shutil

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.models.audio_input import AudioInput
from backend.models.config import AUDIO_FEATURES, PROSODY_FEATURES
from backend.models.description import STARTER
from backend.models.weights import Weights
from sg_blender_addon.core.errors import UserError

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


def test_the_starter_hears_prosody():
    """Neither tempogram nor chroma; nothing is further than six deviations off, and nothing stays nothing."""
    starter = Weights.load(STARTER)
    info = starter.info
    assert info.audio_input == AudioInput(6.0, features="prosody") and info.audio_input.width == PROSODY_FEATURES
    assert info.lookahead == 0 and min(info.guidance_body, info.guidance_hands) > 1 and info.root == "legs"
    told = starter.prepare_audio(values("speech", (40, PROSODY_FEATURES)) * 1000)
    assert np.abs(told).max() <= 6.0
    assert np.all(starter.prepare_audio(np.zeros((3, PROSODY_FEATURES))) == 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rests", [{"formal": 2.0, "held": 0.0, "place": [0.0] * 6}]),
        ("rests", [{"formal": 0.5, "held": 0.0, "place": [0.0] * 5}]),
        ("rests", [{"formal": 0.5}]),
        ("root", "wheels"),
        ("gains", {"Head": 90.0}),
        ("gains", {"Tail": 1.2}),
        ("audio_input", {"features": "smell", "clip": 6.0}),
        ("audio_input", {"features": "prosody", "clip": 6.0, "columns": [[0, 5]]}),
    ],
)
def test_a_description_that_cannot_be_is_refused(small, tmp_path, name, value):
    small.save(tmp_path)
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(UserError) as refused:
        Weights.load(tmp_path)
    assert refused.value.code == "bad_weights"
