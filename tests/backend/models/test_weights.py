"""The weights folder: there and back, and everything that can be wrong with one."""

import json
import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.torch import load_file, save_file

from backend.models.codec import encode_standardised
from backend.models.generate import generate_codes
from backend.models.weights import Weights, WeightsInfo
from sg_blender_addon.core.errors import UserError

from .formula import values


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    small.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to break."""
    return shutil.copytree(saved, tmp_path / "weights")


def test_there_and_back(saved, small):
    loaded = Weights.load(saved)
    assert loaded.configs == small.configs
    assert loaded.info.start_tokens == small.info.start_tokens and loaded.info.licence == small.info.licence
    for name in loaded.configs:
        state, expected = loaded.state(name), small.state(name)
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[key], expected[key]) for key in state)
    audio = values("speech", (30, 437))
    assert_array_equal(generate_codes(loaded, audio, seed=2), generate_codes(small, audio, seed=2))


def test_half_precision_keeps_codebooks(small, tmp_path):
    info = small.save(tmp_path / "half", torch.float16)
    loaded = Weights.load(tmp_path / "half")
    assert loaded.info == info and len(info.content_hash) == 64
    state = load_file(tmp_path / "half" / "tokenizer.safetensors")
    assert {t.dtype for k, t in state.items() if k.endswith(".k")} == {torch.float32}
    assert {t.dtype for k, t in state.items() if not k.endswith(".k")} == {torch.float16}
    assert all(p.dtype == torch.float32 for p in loaded.tokenizer.parameters())
    motion = values("motion", (240, 219))
    same = encode_standardised(loaded.tokenizer, motion) == encode_standardised(small.tokenizer, motion)
    assert same.mean() > 0.9


def test_saving_over_weights_replaces_them(folder, small):
    before = Weights.load(folder).info.content_hash
    small.info = WeightsInfo("another name", small.info.start_tokens, "none")
    try:
        small.save(folder)
    finally:
        small.info = WeightsInfo("filled by a formula", small.info.start_tokens, "none")
    assert Weights.load(folder).info.name == "another name"
    assert Weights.load(folder).info.content_hash != before
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no weights"):
        Weights.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["tokenizer", "level0", "fine3"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "noise", "changed"])
def test_damaged_files(folder, name, damage):
    path = folder / f"{name}.safetensors"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = data[:-1] + bytes([data[-1] ^ 255])
        path.write_bytes({"empty": b"", "truncated": data[:-100], "noise": b"x" * 999, "changed": changed}[damage])
    with pytest.raises(UserError) as caught:
        Weights.load(folder)
    assert path.name in caught.value.message and caught.value.hint and caught.value.code == "bad_weights"


def rewrite(folder, name, change):
    path = folder / f"{name}.safetensors"
    state = load_file(path)
    change(state)
    save_file({k: v.clone() for k, v in state.items()}, path)


def test_missing_extra_misshapen_and_mistyped_tensors(folder):
    key = "gpt_head.ln_f.bias"
    good = (folder / "level0.safetensors").read_bytes()
    for change, word in (
        (lambda s: s.pop(key), "lacks"),
        (lambda s: s.update(more=torch.zeros(1)), "unknown tensor"),
        (lambda s: s.update({key: torch.zeros(7)}), "shape"),
        (lambda s: s.update({key: s[key].to(torch.int32)}), "int32"),
    ):
        rewrite(folder, "level0", change)
        with pytest.raises(UserError, match=word):
            Weights.load(folder)
        (folder / "level0.safetensors").write_bytes(good)


def edit(data, path, value):
    *parents, last = path
    for name in parents:
        data = data[name]
    if value is None:
        del data[last]
    else:
        data[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 99),
        (("fps",), 30),
        (("models",), None),
        (("models",), []),
        (("models", "fine2"), None),
        (("models", "fine9"), {}),
        (("models", "level0", "config"), None),
        (("models", "level0", "config", "width"), "a"),
        (("models", "level0", "config", "width"), 50),
        (("models", "level0", "config", "extra"), 1),
        (("models", "level0", "config", "codes"), 99),
        (("models", "level0", "config", "audio"), 99),
        (("models", "level0", "sha256"), "0"),
        (("models", "fine1", "config", "level"), 2),
        (("models", "fine1", "config", "level"), None),
        (("models", "tokenizer", "config", "body"), None),
        (("models", "tokenizer", "config", "body", "channels"), 60),
        (("models", "tokenizer", "config", "body", "heads"), 0),
        (("start_tokens",), None),
        (("start_tokens", "body"), 99999),
        (("start_tokens", "hands"), -1),
        (("body_scaler",), None),
        (("body_scaler", "mean"), [1.0]),
        (("audio_scaler", "scale"), "text"),
        (("audio_scaler", "scale", 3), 0.0),
        (("audio_scaler", "mean", 3), float("nan")),
        (("audio_scaler", "constant"), [99999]),
        (("audio_input", "clip"), -1.0),
        (("audio_input", "clip"), "far"),
        (("audio_input", "columns"), [[0, 438]]),
        (("audio_input", "columns"), [[9, 9]]),
        (("audio_input", "columns"), [5]),
    ],
)
def test_wrong_descriptions(folder, path, value):
    description = json.loads((folder / "weights.json").read_text())
    edit(description, path, value)
    (folder / "weights.json").write_text(json.dumps(description))
    with pytest.raises(UserError):
        Weights.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\xff"])
def test_descriptions_that_are_none(folder, text):
    (folder / "weights.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        Weights.load(folder)


def test_a_place_that_cannot_be_written(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="could not be written"):
        small.save(tmp_path / "file")


def test_models_are_released(saved):
    weights = Weights.load(saved)
    first = weights.tokenizer
    weights.release("tokenizer")
    assert weights.tokenizer is not first
    assert np.isfinite(weights.body_scaler.mean).all()
