"""The training set in memory: what generators hear early, and windows that never cross clips."""

import numpy as np
import pytest
import torch

from backend.models.audio_input import AudioInput
from backend.models.config import AUDIO_FEATURES, PROSODY_FEATURES, PROSODY_VOICE
from backend.models.layout import WIDTH
from backend.models.scaler import Scaler
from backend.models.weights import prepared
from backend.speech.prosody import SOUND
from sg_blender_addon.core.errors import UserError
from training.config import GeneratorRecipe, Optimisation
from training.data import ClipSpan, Sampler, TrainingSet, gather
from training.generator import RHYTHM, change_weights, roughen, scramble
from training.loop import rate_at
from training.tokenizer import column_weights, smoothness_at


@pytest.fixture
def small():
    tokens = 50
    audio = torch.arange(tokens, dtype=torch.float32)[:, None].repeat(1, AUDIO_FEATURES)
    clips = (ClipSpan(0, 30, False, False), ClipSpan(30, 50, False, True))
    body, sound = (Scaler.fit_body(np.eye(n)) for n in (WIDTH, AUDIO_FEATURES))
    return TrainingSet(torch.zeros(8 * tokens, WIDTH), audio, clips, body, sound, {})


def test_windows_stay_inside_their_clips(small):
    training = small.windows(15, 4, held_out=False)
    assert training.min() == 0 and training.max() == (30 - 15) * 8
    held_out = small.windows(15, 8, held_out=True)
    assert held_out.tolist() == [8 * s for s in range(30, 36)]
    with pytest.raises(UserError, match="no held-out clip of 25 tokens"):
        small.windows(25, 8, held_out=True)


def test_lookahead_moves_sound_within_clips_as_at_inference(small):
    early = small.with_audio_input(AudioInput(), 3)
    rows = early.audio[:, 0].tolist()
    assert rows[:5] == [3, 4, 5, 6, 7] and rows[26:30] == [29, 29, 29, 29] and rows[30] == 33 and rows[-1] == 49
    assert torch.equal(small.with_audio_input(AudioInput(), 0).audio, small.audio)


def test_training_and_inference_hear_the_same(small):
    """Whatever the clip's length: the same function, whose outliers are clipped and whose hidden columns are 0."""
    audio_input = AudioInput(8.0, ((0, 53),))
    rows = small.audio[:30].numpy().copy()
    heard_set = small.with_audio_input(audio_input, 3).audio[:30].numpy()
    assert np.array_equal(prepared(rows, audio_input, 3), heard_set)
    assert heard_set.max() == 8.0 and np.all(heard_set[:, 53:] == 0) and np.all(heard_set[10:, :53] == 8.0)
    assert small.audio.max() == 49, "the set keeps what it was"


def test_sampler_shows_everything_before_it_repeats():
    sampler = Sampler(np.arange(10), 4, seed=0)
    first = torch.cat([sampler() for _ in range(5)]).numpy()
    assert sorted(first[:10]) == sorted(first[10:20]) == list(range(10))
    halves = [Sampler(np.arange(10), 5, 0, share, 2)().tolist() for share in (0, 1)]
    assert sorted(halves[0] + halves[1]) == list(range(10))


def test_gather():
    rows = torch.arange(10)[:, None]
    assert gather(rows, torch.tensor([2, 5]), 3)[..., 0].tolist() == [[2, 3, 4], [5, 6, 7]]


def test_noise_keeps_the_pinned_column_and_hides_whole_windows():
    torch.manual_seed(0)
    audio = torch.ones(64, 5, AUDIO_FEATURES)
    rough = roughen(audio, GeneratorRecipe(audio_noise=0.0, rhythm_dropout=0.5), AudioInput())
    assert torch.all(rough[..., -1] == 0) and torch.all(rough[..., : RHYTHM.start] == 1)
    hidden = (rough[..., RHYTHM] == 0).all(-1).all(-1)
    assert 15 < hidden.sum() < 49 and torch.all(audio == 1)
    deaf = roughen(audio, GeneratorRecipe(audio_noise=1.0, rhythm_dropout=0.0), AudioInput(8.0, ((0, 53),)))
    assert torch.all(deaf[..., 53:] == 0) and torch.all(deaf[..., :53].std(dim=(0, 1)) > 0.5)
    codes = torch.zeros(2, 100, 100, dtype=torch.long)
    assert 0.05 < (scramble(codes, GeneratorRecipe(token_dropout=0.1)) != 0).float().mean() < 0.15


def test_some_windows_are_without_voice_and_some_without_words():
    torch.manual_seed(0)
    told = torch.ones(400, 3, PROSODY_FEATURES)
    told[:, :, 5] = 0.0
    how = GeneratorRecipe(audio_noise=0.1, voice_dropout=0.2, words_dropout=0.4)
    rough = roughen(told, how, AudioInput(features="prosody"))
    deaf, wordless = (
        (rough[:, :, span] == 0).all(-1).all(-1) for span in (slice(0, SOUND), slice(SOUND, PROSODY_VOICE))
    )
    assert 50 < deaf.sum() < 110 and 170 < wordless.sum() < 250 and torch.all(wordless[deaf])
    assert torch.all(rough[:, :, 5] == 0), "nothing stays nothing"
    assert torch.all(rough[..., PROSODY_VOICE:] != 0), "posture and manner are always told"
    assert 0.05 < rough[..., PROSODY_VOICE:].std() < 0.15 and torch.all(told[..., 0] == 1)


def test_changes_weigh_more():
    weights = change_weights(torch.tensor([[3, 3, 4, 4]]), GeneratorRecipe(change_weight=2.0))
    assert weights.tolist() == [[1.0, 3.0, 1.0]]


def test_schedules():
    cosine, steps = Optimisation(warmup=10), Optimisation(warmup=1, schedule="steps", milestones=(0.25, 0.75))
    assert rate_at(0.0, 0, cosine) == pytest.approx(0.1) and rate_at(1.0, 99, cosine) == pytest.approx(0.02)
    assert [round(rate_at(s, 9, steps), 3) for s in (0.1, 0.3, 0.8)] == [1.0, 0.4, 0.16]
    with pytest.raises(UserError, match="no schedule"):
        rate_at(0.5, 9, Optimisation(schedule="none"))
    assert [smoothness_at(s) for s in (0.0, 0.1, 0.5, 1.0)] == [0.0, 0.0, 1.0, 1.0]


def test_columns_weigh_by_movement():
    scale = np.full(WIDTH, 0.1)
    scale[0] = 0.4
    scaler = Scaler.body(np.zeros(WIDTH), scale)
    flat, moving = column_weights(scaler, 0.0), column_weights(scaler, 0.5)
    assert moving[0] / moving[3] == pytest.approx(2.0) and torch.all(flat[flat > 0] == 1.0)
