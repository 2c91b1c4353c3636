"""Training of the level-0 generator (Semantic Gesticulator, arXiv 2405.09814, section 4.2).

Step i of a window holds token i and the audio of token i + 1, and learns token i + 1 of both parts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from backend.models.audio_input import AudioInput
from backend.models.config import AUDIO_FEATURES, FRAMES_PER_TOKEN, Level0Config
from backend.models.generator import Level0
from backend.speech.prosody import SOUND
from training import distributed
from training.config import GeneratorRecipe, Recipe
from training.data import Sampler, TrainingSet, gather
from training.loop import Losses, Moment, Trainer, kept_state, load_checkpoint

FOLDER = "level0"
WINDOW = 14
RHYTHM = slice(53, AUDIO_FEATURES)  # the tempogram's columns
_HELD_OUT_EVERY, _HELD_OUT_WINDOWS = 100, 256


def sizes(how: GeneratorRecipe, audio: int) -> Level0Config:
    """audio: how many numbers the generators are told per token."""
    return Level0Config(
        how.width, how.heads, how.layers, how.layers, 4 * how.width, audio=audio, codes=how.codes, dropout=how.dropout
    )


def roughen(audio: Tensor, how: GeneratorRecipe, audio_input: AudioInput) -> Tensor:
    """Rows (B, t, n) with noise, some windows without tempogram (it knows each training clip by heart), without words,
    or without any voice. What is not heard, and nothing (0 of what is sparse), stays so."""
    rough = audio + how.audio_noise * torch.randn_like(audio)
    if audio_input.features == "reference":
        dropped = _chance(audio, how.rhythm_dropout)
        rough[..., RHYTHM] = torch.where(dropped, 0.0, rough[..., RHYTHM])
        rough[..., torch.from_numpy(audio_input.hidden).to(audio.device)] = 0.0
        rough[..., -1] = 0.0  # the pinned column stays pinned
        return rough
    rough = torch.where(audio == 0.0, 0.0, rough)
    rough[..., SOUND : audio_input.voice.stop] *= ~_chance(audio, how.words_dropout)
    rough[..., audio_input.voice] *= ~_chance(audio, how.voice_dropout)
    return rough


def _chance(audio: Tensor, share: float) -> Tensor:
    """(B, 1, 1) bool: True for that share of the windows."""
    return torch.rand(len(audio), 1, 1, device=audio.device) < share


def scramble(codes: Tensor, how: GeneratorRecipe) -> Tensor:
    """Some codes replaced by random ones: at inference the past is sampled, not recorded."""
    wrong = torch.rand(codes.shape, device=codes.device) < how.token_dropout
    return torch.where(wrong, torch.randint_like(codes, how.codes), codes)


def cross_entropy(logits: Tensor, wanted: Tensor, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Mean over (B, t), weighted if `weights` (B, t) are given."""
    losses = F.cross_entropy(
        logits.float().flatten(0, 1), wanted.flatten(), label_smoothing=smoothing, reduction="none"
    )
    return losses.mean() if weights is None else (losses * weights.flatten()).sum() / weights.sum()


def change_weights(batch: Tensor, how: GeneratorRecipe) -> Tensor:
    """Weights (B, t) for predicting tokens 1..t of (B, t + 1): more where the token changes.

    Repeating the last token is right so often that a generator fed with its own output would hold a pose for ever.
    """
    return 1.0 + how.change_weight * (batch[:, 1:] != batch[:, :-1])


def batch_of(
    data: TrainingSet, codes: Tensor, frames: Tensor, tokens: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Codes (2, levels, B, tokens) and audio (B, tokens, n) of windows that start at `frames`."""
    at = torch.div(frames, FRAMES_PER_TOKEN, rounding_mode="floor")
    index = at[:, None] + torch.arange(tokens)
    return codes[:, :, index].to(device), gather(data.audio, at, tokens).to(device)


def train(recipe: Recipe, data: TrainingSet, codes: Tensor, device: torch.device, *, resume: bool = False) -> Level0:
    how = recipe.generator
    data = data.with_audio_input(recipe.sampling.audio_input, recipe.sampling.lookahead)
    torch.manual_seed(recipe.seed + 1)
    model = Level0(sizes(how, recipe.sampling.audio_input.width)).to(device)
    starts = data.windows(WINDOW + 1, FRAMES_PER_TOKEN, held_out=False)
    sampler = Sampler(starts, how.optimisation.batch, recipe.seed, distributed.rank(), distributed.world_size())
    held_out = held_out_batch(data, codes, WINDOW + 1, device)

    def loss(wrapped: nn.Module, at: Moment) -> Losses:
        batch, audio = batch_of(data, codes, sampler(), WINDOW + 1, device)
        past = scramble(batch[:, 0, :, :-1], how)
        body, hands = wrapped(roughen(audio[:, 1:], how, recipe.sampling.audio_input), past[0], past[1])
        losses = {
            name: cross_entropy(logits, part[:, 1:], how.smoothing, change_weights(part, how))
            for name, logits, part in zip(("body", "hands"), (body, hands), batch[:, 0], strict=True)
        }
        losses["loss"] = losses["body"] + losses["hands"]
        if held_out is not None and at.step % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1:
            losses["held_out"] = torch.stack(likelihood(model, *held_out)).mean()
        return losses

    trainer = Trainer(model, how.optimisation, recipe.folder(FOLDER), recipe, recipe.seed, sampler)
    kept = trainer.run(loss, resume=resume)
    assert isinstance(kept, Level0)
    return kept


def held_out_batch(data: TrainingSet, codes: Tensor, tokens: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Some windows of held-out clips, always the same; None where nothing is held out."""
    if not any(c.held_out and c.end - c.start >= tokens for c in data.clips):
        return None
    starts = torch.from_numpy(data.windows(tokens, FRAMES_PER_TOKEN, held_out=True))
    chosen = starts[torch.linspace(0, len(starts) - 1, min(len(starts), _HELD_OUT_WINDOWS)).long()]
    return batch_of(data, codes, chosen, tokens, device)


@torch.no_grad()
def likelihood(model: Level0, batch: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log likelihood (body, hands), nats per token, of windows (2, levels, B, 15)."""
    training = model.training
    model.eval()
    body, hands = model(audio[:, 1:], batch[0, 0, :, :-1], batch[1, 0, :, :-1])
    model.train(training)
    return cross_entropy(body, batch[0, 0, :, 1:]), cross_entropy(hands, batch[1, 0, :, 1:])


def trained(recipe: Recipe) -> Level0:
    model = Level0(sizes(recipe.generator, recipe.sampling.audio_input.width))
    model.load_state_dict(kept_state(load_checkpoint(recipe.folder(FOLDER))))
    return model.eval()
