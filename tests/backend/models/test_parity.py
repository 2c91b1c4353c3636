"""The reference's numbers, at its full size: codes equal, floats within 1e-4."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from backend.models import codec
from backend.models.config import FineConfig, Level0Config
from backend.models.generate import Engine, generate_codes

from . import formula
from .formula import TOLERANCE, codes, values

INSERTS = [(5, 12), (20, 31), (40, 60)]
# every n-th frame of the decoded motion is kept in the data
THINNED = {12: 4, 15: 4, 16: 4, 30: 8, 75: 12}


@pytest.fixture(scope="module")
def golden():
    with np.load(formula.GOLDEN) as data:
        return dict(data)


@pytest.fixture(scope="module")
def full():
    return formula.weights(formula.CONFIGS)


@pytest.fixture(scope="module")
def tokenizer(full):
    return full.tokenizer


@pytest.fixture(scope="module")
def dec_codes():
    return np.stack([codes(f"decode_codes_{part}75", (1, 4, 75))[0] for part in ("body", "hands")])


def close(ours, theirs, tolerance=TOLERANCE):
    assert_allclose(np.asarray(ours), theirs, rtol=0, atol=tolerance)


def both(golden, name):
    return np.stack([golden[f"codes_{part}_{name}"] for part in ("body", "hands")])


@pytest.mark.parametrize("frames", [240, 600])
def test_motion_becomes_the_same_codes(golden, tokenizer, frames):
    motion = values(f"motion{frames}", (1, frames, 219))
    assert_array_equal(codec.encode_standardised(tokenizer, motion[0]), both(golden, str(frames))[:, :, 0])


def test_a_batch_of_single_windows_becomes_the_same_codes(golden, tokenizer):
    motion = torch.from_numpy(values("motion120x2", (2, 120, 219)))
    with torch.inference_mode():
        codes = [part.encode(x).numpy() for part, x in zip(tokenizer.parts, tokenizer.split(motion), strict=True)]
    assert_array_equal(np.stack(codes), both(golden, "120x2"))


@pytest.mark.parametrize(("part", "name"), [(0, "body"), (1, "hands")])
def test_the_encoder_inside(golden, tokenizer, part, name):
    module = tokenizer.parts[part]
    with torch.inference_mode():
        x = tokenizer.split(torch.from_numpy(values("motion240", (1, 240, 219))))[part]
        close(module.convolve(x).transpose(1, 2)[:, ::8], golden[f"conv_{name}_240"])
        latents = module.latents(x)
        close(latents.transpose(1, 2)[:, ::8], golden[f"latent_{name}_240"])
        rest = latents[0]
        for level, book in enumerate(module.bottleneck.books()):
            two = book.distances(rest).topk(2, largest=False)
            close(two.values[:, 1] - two.values[:, 0], golden[f"margin_{name}_240"][level, 0], 1e-3)
            rest = rest - book.k[two.indices[:, 0]]
        long = tokenizer.split(torch.from_numpy(values("motion600", (1, 600, 219))))[part]
        close(module.latents(long).transpose(1, 2)[:, ::8, [0, 20, 74]], golden[f"latent_{name}_600_t0_20_74"])


def test_summed_code_vectors(golden, tokenizer, dec_codes):
    total = tokenizer.vqvae_body.bottleneck.decode(torch.from_numpy(dec_codes[0, :, :12]))
    close(total[:, ::8] if golden["dequant_body_L12"].shape[1] == 64 else total, golden["dequant_body_L12"])


@pytest.mark.parametrize(("filtered", "smoothing"), [("plain", "none"), ("savgol", "latent")])
@pytest.mark.parametrize("length", THINNED)
def test_codes_become_the_same_motion(golden, tokenizer, dec_codes, length, filtered, smoothing):
    motion = codec.decode_standardised(tokenizer, dec_codes[:, :, :length], smoothing=smoothing)
    assert motion.shape == (8 * length, 219)
    close(motion[:: THINNED[length]], golden[f"decode_{filtered}_L{length}"][0])


@pytest.mark.parametrize(
    ("name", "smoothing", "inserts"),
    [("plain_insert", "none", INSERTS), ("gauss_noinsert", "frames", []), ("gauss_insert", "frames", INSERTS)],
)
def test_inserted_gestures_and_the_frame_filter(golden, tokenizer, dec_codes, name, smoothing, inserts):
    motion = codec.decode_standardised(tokenizer, dec_codes, smoothing=smoothing, inserts=inserts)
    close(motion[::12], golden[f"decode_{name}_L75"][0])


def test_level0_logits(golden, full):
    audio = torch.from_numpy(values("gpt_ctx_audio", (1, 14, 437)))
    body, hands = (torch.from_numpy(codes(f"gpt_ctx_{part}", (1, 14))) for part in ("body", "hands"))
    with torch.inference_mode():
        for steps, name in ((14, "gpt_ctx"), (5, "gpt_ctx5")):
            logits = full.level0(audio[:, :steps], body[:, :steps], hands[:, :steps])
            for part, ours in zip(("body", "hands"), logits, strict=True):
                close(ours[..., ::8], golden[f"{name}_logits_{part}"])


def test_level0_cached_is_level0_whole(full):
    """Keys and values kept from earlier steps give the logits of the whole window."""
    engine = Engine.of(full, exact=True).level0
    audio = torch.from_numpy(values("gpt_ctx_audio", (1, 14, 437)))
    tokens = torch.from_numpy(np.stack([codes(f"gpt_ctx_{part}", (1, 14)) for part in ("body", "hands")], axis=1))
    with torch.inference_mode():
        whole = full.level0(audio, tokens[:, 0], tokens[:, 1])
        cache = engine.cache(1)
        heard = engine.audio(audio)
        engine.append(cache, heard[:, :5], tokens[:, :, :5])
        for step in range(5, 14):
            logits = engine.append(cache, heard[:, step : step + 1], tokens[:, :, step : step + 1])
            for ours, theirs in zip(logits, whole, strict=True):
                close(ours, theirs[:, step].numpy(), 1e-5)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_fine_levels(golden, full, level):
    audio = torch.from_numpy(values("fine_audio", (3, 15, 437)))
    below = [
        torch.stack([torch.from_numpy(codes(f"fine_in_{part}_{i}", (3, 15))) for i in range(1, level + 1)])
        for part in ("body", "hands")
    ]
    engine = Engine.of(full, exact=True).fine[level - 1]
    with torch.inference_mode():
        logits = full.fine[level - 1](audio, *below)
        stacked = torch.stack([part.transpose(0, 1) for part in below], dim=1)
        quick = {keep: engine(engine.audio(audio), stacked, keep) for keep in (15, 1)}
    for i, part in enumerate(("body", "hands")):
        close(logits[i][..., ::8], golden[f"fine{level}_logits_{part}"])
        expected = golden[f"fine{level}_out_{part}"]
        assert_array_equal(logits[i].argmax(-1), expected)
        assert_array_equal(quick[15][:, i], expected)
        assert_array_equal(quick[1][:, i], expected[:, -1:])
        two = logits[i].topk(2).values
        close(two[..., 0] - two[..., 1], golden[f"fine{level}_margin_{part}"], 1e-3)


def test_the_whole_chain(golden, full):
    """Greedy level 0 over 81 tokens, levels 1..3 in sliding windows, and the decoded motion."""
    audio = values("sample_audio81", (1, 81, 437))[0]
    result = generate_codes(full, audio, exact=True, ranks=np.zeros((80, 2), dtype=int))
    for i, part in enumerate(("body", "hands")):
        assert_array_equal(result[i, 0], golden[f"greedy_{part}"][0])
        assert_array_equal(result[i], golden[f"chain_codes_{part}"][:, 0])
    close(codec.decode_standardised(full.tokenizer, result, smoothing="latent")[::12], golden["chain_motion"][0])


def test_greedy_margins(golden, full):
    """How clear each of the 80 decisions was, from whole windows computed at once."""
    audio = torch.from_numpy(values("sample_audio81", (1, 81, 437)))
    body, hands = (torch.from_numpy(golden[f"greedy_{part}"].astype(np.int64)) for part in ("body", "hands"))
    rows = torch.arange(12, 80)[:, None] + torch.arange(-12, 1)
    with torch.inference_mode():
        logits = full.level0(audio[0, rows + 1], body[0, rows], hands[0, rows])
    for i, part in enumerate(logits):
        two = part[:, -1].topk(2).values
        close(two[:, 0] - two[:, 1], golden["greedy_margin"][12:, i], 1e-3)


def test_parameter_counts(full):
    def count(name):
        return sum(p.numel() for p in full.model(name).parameters())

    assert count("level0") == 86_997_504
    assert [count(f"fine{i}") for i in (1, 2, 3)] == [44_472_576, 45_259_008, 46_045_440]
    assert isinstance(full.configs["level0"], Level0Config) and isinstance(full.configs["fine1"], FineConfig)
