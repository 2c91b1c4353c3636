"""Drawing codes from logits, with uniform numbers drawn beforehand, so that a seed does not depend on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sg_blender_addon.core.errors import UserError

# The reference draws among the five likeliest codes with these probabilities, whatever the model's own say.
REFERENCE_PROBABILITIES = (0.9, 0.05, 0.02, 0.02, 0.01)


@dataclass(frozen=True)
class Sampling:
    """temperature 0 takes the likeliest code; top_k 0 and top_p 1 leave all codes in. guidance: of body and hands, see
    `WeightsInfo`."""

    temperature: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    guidance: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise UserError(f"The temperature must lie between 0 and 10, not {self.temperature}.", code="bad_settings")
        if self.top_k < 0:
            raise UserError(f"top-k must be 0 or more, not {self.top_k}.", code="bad_settings")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p must lie between 0 and 1, not {self.top_p}.", code="bad_settings")


def uniforms(seed: int, tokens: int) -> npt.NDArray[np.float32]:
    """(tokens, 2) numbers in [0, 1): one for the body and one for the hands of each token."""
    return np.random.default_rng(seed).random((tokens, 2), dtype=np.float32)


def reference_ranks(seed: int, tokens: int) -> npt.NDArray[np.int64]:
    """(tokens, 2) ranks 0..4 drawn with the reference's fixed probabilities."""
    edges = np.cumsum(REFERENCE_PROBABILITIES)[:-1]
    return np.searchsorted(edges, uniforms(seed, tokens), side="right")


def pick_rank(logits: Tensor, ranks: Tensor) -> Tensor:
    """The code of given rank (0 is the likeliest): logits (B, codes), ranks (B,) to (B,)."""
    best = logits.topk(min(len(REFERENCE_PROBABILITIES), logits.shape[-1]), dim=-1).indices
    return best.gather(-1, ranks[:, None])[:, 0]


def pick(logits: Tensor, u: Tensor, sampling: Sampling) -> Tensor:
    """Draw from the model's own probabilities: logits (B, codes), u (B,) in [0, 1) to codes (B,).

    Codes are sorted by probability, those beyond top_k or beyond the smallest set that holds top_p are dropped, and u
    picks by the cumulative sum of the rest.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    count = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    probabilities = torch.softmax(logits.float() / sampling.temperature, dim=-1)
    values, codes = probabilities.topk(count, dim=-1)
    values = values / values.sum(-1, keepdim=True)
    before = values.cumsum(-1) - values
    values = torch.where(before < sampling.top_p, values, 0.0)
    cumulative = values.cumsum(-1)
    index = (cumulative <= u[:, None] * cumulative[:, -1:]).sum(-1)
    # rounding may carry u to the very end: never beyond the last code that is left in
    index = torch.minimum(index, (values > 0).sum(-1) - 1)
    return codes.gather(-1, index[:, None])[:, 0]
