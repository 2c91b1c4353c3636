"""Training of the motion tokenizer (Semantic Gesticulator, arXiv 2405.09814, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.models.config import BODY_CHANNELS, FRAMES_PER_TOKEN, HANDS_CHANNELS, PartConfig, TokenizerConfig
from backend.models.layers import EncoderLayer, SelfAttention
from backend.models.layout import BODY_COLUMNS, HANDS_COLUMNS, ROOT_COLUMNS
from backend.models.scaler import Scaler
from backend.models.tokenizer import LatentTransformer, Tokenizer, TokenizerOutput
from training import distributed
from training.config import Recipe, TokenizerRecipe
from training.data import Sampler, TrainingSet, gather
from training.kinematics import EndPositions
from training.loop import Losses, Moment, Trainer, kept_state, load_checkpoint

FOLDER = "tokenizer"
WINDOW = 15


def sizes(recipe: TokenizerRecipe) -> TokenizerConfig:
    def part(channels: int, width: int, layers: int) -> PartConfig:
        return PartConfig(channels, layers, width, 4 * width, 4, recipe.codes, dropout=recipe.dropout)

    return TokenizerConfig(
        part(BODY_CHANNELS, recipe.body_width, recipe.body_layers),
        part(HANDS_CHANNELS, recipe.hands_width, recipe.hands_layers),
    )


def column_weights(scaler: Scaler, share: float) -> Tensor:
    """Weights (219,) of the columns in the loss, mean 1 within each part.

    Standardising makes a toe that trembles as important as an arm that waves. share 0 leaves it so (the reference); 1
    weighs columns by how much they really move; the root's displacement keeps weight 1.
    """
    weights = np.zeros(len(scaler.scale))
    for columns in (BODY_COLUMNS, HANDS_COLUMNS):
        scale = np.where(scaler.constant[columns], 0.0, scaler.scale[columns])
        scale = np.where(np.isin(columns, ROOT_COLUMNS), np.median(scale[scale > 0]), scale)
        part = np.where(scale > 0, scale**share, 0.0)
        weights[columns] = part / part[part > 0].mean()
    return torch.tensor(weights, dtype=torch.float32)


def prepare_start(model: nn.Module) -> None:
    """Starting values that pass signals on.

    PyTorch's defaults shrink a signal by 0.6 per convolution, a hundredfold through this autoencoder, and post-norm
    layers start out scrambling it; with few steps to spend, both cost a third of them.
    """
    for module in model.modules():
        if isinstance(module, nn.ConvTranspose1d):
            nn.init.normal_(module.weight, 0.0, (2 * module.in_channels) ** -0.5)
        elif isinstance(module, nn.Conv1d):
            branch = 0.5 if module.kernel_size[0] == 1 else 1.0  # the end of a residual branch starts small
            nn.init.normal_(module.weight, 0.0, branch * (module.in_channels * module.kernel_size[0]) ** -0.5)
        elif isinstance(module, SelfAttention):
            module.out_proj.weight.data.mul_(0.1)
        elif isinstance(module, EncoderLayer):
            module.linear2.weight.data.mul_(0.1)
        elif isinstance(module, LatentTransformer):
            nn.init.eye_(module.lxm_embed.weight)


def smoothness_at(share: float) -> float:
    """How much velocities and accelerations count when `share` of the run is done.

    From the start they would hold the output still: a constant pose has the smallest velocity error of all bad poses.
    """
    return min(1.0, max(0.0, (share - 0.15) / 0.35))


def reconstruction(
    out: Tensor, wanted: Tensor, weights: Tensor, recipe: TokenizerRecipe, smoothness: float = 1.0
) -> Tensor:
    """L1 on values, velocities and accelerations (differences of consecutive frames)."""

    def l1(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b).abs() * weights).mean()

    total, a, b = l1(out, wanted), out, wanted
    for factor in (recipe.velocity, recipe.acceleration):
        a, b = a.diff(dim=1), b.diff(dim=1)
        total = total + smoothness * factor * l1(a, b)
    return total


def loss_of(
    out: TokenizerOutput,
    motion: Tensor,
    tokenizer: Tokenizer,
    weights: Tensor,
    recipe: TokenizerRecipe,
    smoothness: float = 1.0,
    ends: EndPositions | None = None,
) -> Losses:
    """All terms; "loss" is their sum as in the reference: parts weighted, plus commitment; plus, with `ends`, how far
    ankles, wrists and head are from their places (dm), and their speeds (dm per frame, ten times)."""
    terms: Losses = {}
    total = motion.new_zeros(())
    parts = zip(
        ("body", "hands"),
        (out.body, out.hands),
        tokenizer.split(motion),
        tokenizer.split(weights),
        (recipe.body_weight, recipe.hands_weight),
        strict=True,
    )
    for name, part, wanted, part_weights, factor in parts:
        error = reconstruction(part.motion.float(), wanted, part_weights, recipe, smoothness)
        terms[name] = error
        terms[f"{name}_used"] = part.used[0]
        total = total + factor * error + recipe.commitment * part.commitment
    if ends is not None:
        got = ends(tokenizer.join(out.body.motion.float(), out.hands.motion.float()))
        wanted = ends(motion)
        terms["places"] = (got - wanted).abs().mean()
        terms["speeds"] = (got.diff(dim=1) - wanted.diff(dim=1)).abs().mean()
        total = total + recipe.places * (terms["places"] + 10 * smoothness * terms["speeds"])
    return {"loss": total, **terms}


def train(recipe: Recipe, data: TrainingSet, device: torch.device, *, resume: bool = False) -> Tokenizer:
    how = recipe.tokenizer
    torch.manual_seed(recipe.seed)
    model = Tokenizer(sizes(how))
    prepare_start(model)
    for part in model.parts:
        part.bottleneck.level_dropout = how.level_dropout
    model.to(device)
    weights = column_weights(data.body_scaler, how.weigh_by_motion).to(device)
    ends = EndPositions(data.body_scaler).to(device) if how.places else None
    starts = data.windows(WINDOW, how.stride, held_out=False)
    sampler = Sampler(starts, how.optimisation.batch, recipe.seed, distributed.rank(), distributed.world_size())

    def loss(wrapped: nn.Module, at: Moment) -> Losses:
        motion = gather(data.vectors, sampler(), WINDOW * FRAMES_PER_TOKEN).to(device)
        return loss_of(wrapped(motion), motion, model, weights, how, smoothness_at(at.share), ends)

    trainer = Trainer(model, how.optimisation, recipe.folder(FOLDER), recipe, recipe.seed, sampler)
    extra, restore = _codebook_state(model)
    kept = trainer.run(loss, extra, restore, resume=resume)
    assert isinstance(kept, Tokenizer)
    return kept


def _codebook_state(model: Tokenizer) -> tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """Save and restore the codebooks' moving averages, which are not part of the weights."""

    def extra() -> dict[str, Any]:
        return {f"part{i}": part.bottleneck.training_state() for i, part in enumerate(model.parts)}

    def restore(state: dict[str, Any]) -> None:
        for i, part in enumerate(model.parts):
            part.bottleneck.load_training_state(state[f"part{i}"])

    return extra, restore


def trained(recipe: Recipe) -> Tokenizer:
    """The tokenizer of a finished run."""
    model = Tokenizer(sizes(recipe.tokenizer))
    model.load_state_dict(kept_state(load_checkpoint(recipe.folder(FOLDER))))
    return model.eval()
