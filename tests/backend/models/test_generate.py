"""Schedules against the plainest possible way of computing the same."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from backend.models import codec, generate, threads
from backend.models.audio_input import AudioInput
from backend.models.config import PROSODY_FEATURES, PROSODY_VOICE
from backend.models.generate import Engine, generate_codes, generate_many
from backend.models.layers import window_starts
from backend.models.sampling import Sampling
from backend.models.threads import FreeThreads, choose, free_threads
from backend.models.weights import Weights
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Progress

from .formula import generator, values
from .small import CODES


def naive(weights, audio, ranks):
    """The reference's schedule with whole models: every window anew, every fine window, first whole, then last rows."""
    heard = torch.from_numpy(weights.audio_scaler.standardise(audio))
    length = len(heard)
    level0 = torch.zeros(2, length, dtype=torch.long)
    level0[:, 0] = torch.tensor(weights.info.start_tokens)
    with torch.inference_mode():
        for step in range(length - 1):
            n = min(step + 1, 13)
            rows = slice(step + 1 - n, step + 1)
            logits = weights.level0(heard[None, step + 2 - n : step + 2], level0[:1, rows], level0[1:, rows])
            for part in range(2):
                level0[part, step + 1] = logits[part][0, -1].topk(5).indices[ranks[step, part]]
        size = min(15, length)
        out = np.zeros((2, 4, length), dtype=np.int64)
        out[:, 0] = level0
        for start in range(length - size + 1):
            levels = [level0[:, start : start + size]]
            for fine in weights.fine:
                body, hands = ([level[part : part + 1] for level in levels] for part in range(2))
                logits = fine(heard[None, start : start + size], body, hands)
                levels.append(torch.cat([part.argmax(-1) for part in logits]))
            fresh = 0 if start == 0 else size - 1
            for level, codes in enumerate(levels):
                out[:, level, start + fresh : start + size] = codes[:, fresh:]
    return out


def speech(tokens):
    return values(f"speech {tokens}", (tokens, 437))


@pytest.mark.parametrize("tokens", [1, 2, 14, 15, 16, 40])
def test_exact_is_the_plain_schedule(small, tokens):
    ranks = generator("ranks").integers(0, 5, (tokens - 1, 2))
    audio = speech(tokens)
    found = generate_codes(small, audio, exact=True, ranks=ranks)
    assert found.shape == (2, 4, tokens)
    assert_array_equal(found, naive(small, audio, ranks))


def test_exact_does_not_depend_on_the_batch_of_windows(small, monkeypatch):
    audio = speech(40)
    whole = generate_codes(small, audio, exact=True, seed=3)
    monkeypatch.setitem(generate.WINDOWS, "cpu", 3)
    assert_array_equal(generate_codes(small, audio, exact=True, seed=3), whole)


def test_fast_in_full_precision_is_its_own_plain_definition(small, monkeypatch):
    """Level 0 in windows that grow from SHIFT to 13; fine levels from every STRIDE-th window."""
    monkeypatch.setattr(generate, "best_precision", lambda device: "float32")
    monkeypatch.setattr(small, "engines", {})
    audio = speech(60)
    found = generate_codes(small, audio, temperature=0)
    heard = torch.from_numpy(small.audio_scaler.standardise(audio))
    level0 = torch.from_numpy(found[:, 0])
    with torch.inference_mode():
        start = 0
        for known in range(1, 60):
            if known - start > 13:
                start = known - generate.SHIFT
            body, hands = level0[:1, start:known], level0[1:, start:known]
            logits = small.level0(heard[None, start + 1 : known + 1], body, hands)
            assert [int(part[0, -1].argmax()) for part in logits] == level0[:, known].tolist()
        covered = 0
        for start in window_starts(60, 15, generate.STRIDE).tolist():
            levels = [level0[:, start : start + 15]]
            for fine in small.fine:
                body, hands = ([level[part : part + 1] for level in levels] for part in range(2))
                logits = fine(heard[None, start : start + 15], body, hands)
                levels.append(torch.cat([part.argmax(-1) for part in logits]))
            for level, codes in enumerate(levels):
                assert_array_equal(found[:, level, covered : start + 15], codes[:, covered - start :])
            covered = start + 15
    small.engines.clear()


@pytest.mark.parametrize("tokens", [1, 2, 7, 14, 15, 33])
def test_fast_gives_codes_for_any_length(small, tokens):
    found = generate_codes(small, speech(tokens), seed=1)
    assert found.shape == (2, 4, tokens)
    assert found.min() >= 0 and found.max() < CODES
    assert found[:, 0, 0].tolist() == [128, 258]


def test_a_seed_decides_everything(small):
    audio = speech(40)
    first = generate_codes(small, audio, seed=5)
    assert_array_equal(generate_codes(small, audio, seed=5), first)
    assert np.any(generate_codes(small, audio, seed=6) != first)
    exact = generate_codes(small, audio, seed=5, exact=True)
    assert_array_equal(generate_codes(small, audio, seed=5, exact=True), exact)


@pytest.mark.parametrize("exact", [False, True])
def test_clips_side_by_side_are_clips_alone(small, exact):
    clips = [speech(20), speech(33), speech(3)]
    together = generate_many(small, clips, [1, 2, 3], exact=exact)
    for clip, seed, codes in zip(clips, [1, 2, 3], together, strict=True):
        assert_array_equal(codes, generate_codes(small, clip, seed=seed, exact=exact))


def guided(small, guidance, seeds=(3,), **draw):
    sampling = Sampling(0.9, 20, 0.95, guidance)
    return generate_many(small, [speech(20 + seed) for seed in seeds], list(seeds), sampling=sampling, **draw)


def test_guidance_of_one_changes_nothing_and_more_changes_only_its_part(small):
    plain = guided(small, (1.0, 1.0))[0]
    assert_array_equal(plain, guided(small, (1.0, 1.000001))[0])
    strong = guided(small, (4.0, 1.0))[0]
    assert not np.array_equal(strong[0, 0], plain[0, 0])


def test_guidance_is_the_voices_difference_in_the_logits(small):
    """Step by step: the logits with the voice, moved away from those without it, by so much."""
    audio, guidance = speech(10), (3.0, 2.0)
    sampling = Sampling(0.0, 0, 1.0, guidance)
    found = generate_many(small, [audio], [0], sampling=sampling)[0][:, 0]
    heard = torch.from_numpy(small.prepare_audio(audio))
    codes = torch.zeros(2, 10, dtype=torch.long)
    codes[:, 0] = torch.tensor(small.info.start_tokens)
    with torch.inference_mode():
        for step in range(9):
            rows = heard[None, 1 : step + 2]
            told = small.level0(rows, codes[:1, : step + 1], codes[1:, : step + 1])
            untold = small.level0(torch.zeros_like(rows), codes[:1, : step + 1], codes[1:, : step + 1])
            for part, g in enumerate(guidance):
                logits = untold[part][0, -1] + g * (told[part][0, -1] - untold[part][0, -1])
                codes[part, step + 1] = logits.argmax()
    assert_array_equal(found, codes.numpy())


def test_guided_clips_side_by_side_are_clips_alone(small):
    together = guided(small, (2.0, 3.0), seeds=(1, 5, 9))
    for seed, codes in zip((1, 5, 9), together, strict=True):
        assert_array_equal(codes, guided(small, (2.0, 3.0), seeds=(seed,))[0])


def test_posture_and_manner_are_told_without_the_voice_too():
    rows = np.ones((3, PROSODY_FEATURES), np.float32)
    silenced = generate.without_voice(rows, AudioInput(features="prosody"))
    assert np.all(silenced[:, :PROSODY_VOICE] == 0) and np.all(silenced[:, PROSODY_VOICE:] == 1) and rows.min() == 1
    assert np.all(generate.without_voice(np.ones((3, 437), np.float32), AudioInput()) == 0)


def test_cancel_stops_between_tokens(small):
    seen = []

    def listen(stage, fraction):
        seen.append((stage, fraction))
        if fraction > 0.2:
            progress.cancel()

    progress = Progress(listen)
    with pytest.raises(Cancelled):
        generate_codes(small, speech(60), progress=progress)
    assert 0 < seen[-1][1] < 0.6


def test_progress_only_grows_and_ends_at_one(small):
    seen = []
    generate_codes(small, speech(60), progress=Progress(lambda stage, fraction: seen.append(fraction)))
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)


def test_wrong_audio_is_refused(small):
    for audio in (np.zeros((5, 436)), np.zeros((0, 437)), np.zeros(437), np.full((5, 437), np.nan)):
        with pytest.raises(UserError):
            generate_codes(small, audio)
    with pytest.raises(UserError):
        generate_codes(small, speech(5), temperature=-1)


def test_only_one_engine_is_kept(small):
    Engine.of(small, exact=True)
    fast = Engine.of(small, exact=False)
    assert list(small.engines) == [False] and Engine.of(small, exact=False) is fast


def test_large_models_are_not_held_at_once(small, monkeypatch):
    audio = speech(30)
    expected = generate_codes(small, audio, exact=True, seed=1)
    assert not Engine.of(small, exact=True).lean
    monkeypatch.setattr(generate, "LEAN_ABOVE", 0)
    small.engines.clear()
    engine = Engine.of(small, exact=True)
    for _ in range(2):
        assert_array_equal(generate_codes(small, audio, exact=True, seed=1), expected)
        assert engine.lean and engine._level0 is None and engine._fine
    small.engines.clear()


def test_decode_in_pieces_is_decode_at_once(small):
    tokens = generator("codes").integers(0, CODES, (2, 4, 200))
    inserts = [(5, 12), (60, 67), (110, 119), (190, 200)]
    for smoothing in ("none", "latent", "frames"):
        whole = codec.decode_standardised(small.tokenizer, tokens, smoothing=smoothing, inserts=inserts, piece=500)
        pieces = codec.decode_standardised(small.tokenizer, tokens, smoothing=smoothing, inserts=inserts, piece=7)
        assert_allclose(pieces, whole, atol=1e-5)
    motion = values("long motion", (1600, 219))
    assert_array_equal(
        codec.encode_standardised(small.tokenizer, motion, piece=7),
        codec.encode_standardised(small.tokenizer, motion, piece=500),
    )


def test_decode_of_codes_ends_in_raw_vectors(small):
    tokens = generator("codes").integers(0, CODES, (2, 4, 40))
    exact = codec.decode_codes(small, tokens, exact=True)
    assert_allclose(exact, codec.decode_standardised(small.tokenizer, tokens, smoothing="latent"), atol=1e-6)
    assert codec.decode_codes(small, tokens).shape == (320, 219)


@pytest.mark.parametrize(
    ("others", "available", "threads"), [(0.0, 2, 2), (0.3, 2, 2), (0.9, 2, 1), (5.0, 2, 1), (1.5, 8, 7), (0.0, 1, 1)]
)
def test_threads_follow_what_is_free(others, available, threads):
    assert choose(others, available) == threads


def test_the_number_of_threads_is_put_back(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    with free_threads() as free:
        assert 1 <= torch.get_num_threads() <= free.available
        free.update(0.0)
    assert torch.get_num_threads() == before
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert FreeThreads().fixed


def test_motion_does_not_depend_on_how_many_threads_there_are():
    weights = Weights.load("starter")
    tokens = generator("threads").integers(0, CODES, (2, 4, 60))
    before, motions = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            motions.append(codec.decode_codes(weights, tokens))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)
    assert_array_equal(*motions)


def test_what_was_seen_a_moment_ago_is_not_looked_for_again(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "processors", lambda: 2)
    clock, busy, own = [100.0], [0.0], [0.0]
    monkeypatch.setattr(threads, "_busy_seconds", lambda: busy[0])
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(threads.time, "process_time", lambda: own[0])
    slept = []

    def sleep(seconds):  # somebody else keeps both processors busy
        slept.append(seconds)
        clock[0] += seconds
        busy[0] += 2 * seconds

    monkeypatch.setattr(threads.time, "sleep", sleep)
    before, free = torch.get_num_threads(), FreeThreads()
    try:
        torch.set_num_threads(2)
        free.begin()
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        free.begin()
        assert (torch.get_num_threads(), len(slept)) == (1, 1)
        clock[0] += threads.STALE + 1  # and now nobody has for a while
        monkeypatch.setattr(threads.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        free.begin()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
