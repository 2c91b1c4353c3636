"""The reference's bank as a library: made here by encoding our own gestures with the starter's tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from backend.models.codec import encode_motion
from backend.models.description import STARTER
from backend.models.weights import Weights
from backend.motion.rhythm import decode
from backend.reference import bank_library
from backend.reference.bank import FILE, load_bank, to_bytes
from backend.reference.bank_library import FOLDER, write_bank_library
from sg_blender_addon.core.errors import UserError
from SG_dataset.open import open_library

GESTURES = ("0031", "2300")  # an id with a leading zero, and a plain emblem
TOKENS = 7  # as long as every entry of the reference's release


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = shutil.copytree(STARTER, tmp_path_factory.mktemp("bank") / "weights")
    weights, ours = Weights.load("starter"), open_library("starter")
    bank = {}
    for gesture_id in GESTURES:
        variant = ours.gesture(gesture_id).variants[0]
        first = int(variant.phases.stroke * 7.5) - TOKENS + 2
        bank[gesture_id, 1] = encode_motion(weights, variant.motion())[:, :, first : first + TOKENS]
    (folder / FILE).write_bytes(to_bytes(bank))
    write_bank_library(folder)
    return folder


@pytest.mark.parametrize("gesture_id", GESTURES)
def test_an_entry_becomes_a_gesture_that_plays_its_codes(folder: Path, gesture_id: str) -> None:
    made = open_library(folder / FOLDER).gesture(gesture_id)
    ours = open_library("starter").gesture(gesture_id)
    assert (made.label, made.examples) == (ours.label, ours.examples)
    (variant,) = made.variants
    assert variant.hand == ours.variants[0].hand
    hand = variant.motion().skeleton.index("RightHand")
    decoded = decode(Weights.load("starter"), load_bank(folder)[gesture_id, 1]).forward_kinematics()[0][:, hand]
    path = variant.motion().forward_kinematics()[0][:, hand]
    stroke = path[round(variant.phases.stroke * 60)]
    assert np.linalg.norm(decoded - stroke, axis=1).min() < 6.0  # cm: the import smooths, most at the ends
    assert stroke[1] > path[0, 1] + 15.0  # it is up there, not on its way


def test_it_goes_from_rest_to_rest(folder: Path) -> None:
    motion = open_library(folder / FOLDER).gesture("2300").variants[0].motion()
    ours = open_library("starter").gesture("2300").variants[0].motion()
    for frame in (0, -1):
        np.testing.assert_allclose(np.abs(np.sum(motion.rotations[frame] * ours.rotations[0], axis=-1)), 1, atol=1e-4)


def test_a_bank_without_a_usable_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose codes are those of somebody who stands still: decoders give a little movement even there."""
    still = open_library("starter").gesture("2300").variants[0].motion().slice(0, 1).at(np.zeros(TOKENS * 8))
    monkeypatch.setattr(bank_library, "decode", lambda weights, codes: still)
    alone: Path = shutil.copytree(STARTER, tmp_path / "weights")
    codes = encode_motion(Weights.load("starter"), still)
    (alone / FILE).write_bytes(to_bytes({("2300", 1): codes}))
    with pytest.raises(UserError):
        write_bank_library(alone)
    assert not (alone / FOLDER).exists()
