"""Training of the fine generators: level n of every token in a window from its audio and the levels below."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.config import FRAMES_PER_TOKEN, FineConfig
from backend.models.generator import Fine
from training import distributed
from training.config import GeneratorRecipe, Recipe
from training.data import Sampler, TrainingSet
from training.generator import batch_of, cross_entropy, held_out_batch, roughen, scramble
from training.loop import Losses, Moment, Trainer, kept_state, load_checkpoint

WINDOW = 15
LEVELS = (1, 2, 3)
_HELD_OUT_EVERY = 100


def folder(level: int) -> str:
    return f"fine{level}"


def sizes(how: GeneratorRecipe, level: int, audio: int) -> FineConfig:
    """audio: how many numbers the generators are told per token."""
    return FineConfig(
        level, how.width, how.heads, how.layers, 4 * how.width, audio=audio, codes=how.codes, dropout=how.dropout
    )


def train(
    recipe: Recipe, level: int, data: TrainingSet, codes: Tensor, device: torch.device, *, resume: bool = False
) -> Fine:
    how = recipe.fine
    data = data.with_audio_input(recipe.sampling.audio_input, recipe.sampling.lookahead)
    torch.manual_seed(recipe.seed + 1 + level)
    model = Fine(sizes(how, level, recipe.sampling.audio_input.width)).to(device)
    starts = data.windows(WINDOW, FRAMES_PER_TOKEN, held_out=False)
    sampler = Sampler(starts, how.optimisation.batch, recipe.seed + level, distributed.rank(), distributed.world_size())
    held_out = held_out_batch(data, codes, WINDOW, device)

    def loss(wrapped: nn.Module, at: Moment) -> Losses:
        batch, audio = batch_of(data, codes, sampler(), WINDOW, device)
        below = scramble(batch[:, :level], how)
        body, hands = wrapped(roughen(audio, how, recipe.sampling.audio_input), below[0], below[1])
        losses = {
            "body": cross_entropy(body, batch[0, level], how.smoothing),
            "hands": cross_entropy(hands, batch[1, level], how.smoothing),
        }
        losses["loss"] = losses["body"] + losses["hands"]
        if held_out is not None and at.step % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1:
            losses["held_out"] = torch.stack(likelihood(model, *held_out)).mean()
        return losses

    trainer = Trainer(model, how.optimisation, recipe.folder(folder(level)), recipe, recipe.seed + level, sampler)
    kept = trainer.run(loss, resume=resume)
    assert isinstance(kept, Fine)
    return kept


@torch.no_grad()
def likelihood(model: Fine, batch: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log likelihood (body, hands), nats per token, given the true levels below."""
    training, level = model.training, model.config.level
    model.eval()
    body, hands = model(audio, batch[0, :level], batch[1, :level])
    model.train(training)
    return cross_entropy(body, batch[0, level]), cross_entropy(hands, batch[1, level])


def trained(recipe: Recipe, level: int) -> Fine:
    model = Fine(sizes(recipe.fine, level, recipe.sampling.audio_input.width))
    model.load_state_dict(kept_state(load_checkpoint(recipe.folder(folder(level)))))
    return model.eval()
