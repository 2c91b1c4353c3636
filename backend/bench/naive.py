"""The same work in the plainest order, to measure against: what a straightforward implementation would do.

Whole models in float32; level 0 computes its whole window anew for each token; every fine window goes through in one
batch, all its rows to the end; the motion is decoded twice (once for a result nobody uses, as the reference does).
Memory grows with the length. With the same ranks the codes are those of exact mode.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.models.codec import decode_standardised
from backend.models.generate import CONTEXT
from backend.models.sampling import pick_rank
from backend.models.weights import Weights

Codes = npt.NDArray[np.int64]
Mark = Callable[[str], None]


def naive_level0(weights: Weights, audio: Tensor, ranks: Tensor) -> Tensor:
    """Standardised audio (T, 437) and ranks (T - 1, 2) to codes (2, T)."""
    codes = torch.zeros(2, len(audio), dtype=torch.long)
    codes[:, 0] = torch.tensor(weights.info.start_tokens)
    for step in range(len(audio) - 1):
        first = max(0, step + 1 - CONTEXT)
        past = codes[:, first : step + 1]
        logits = weights.level0(audio[None, first + 1 : step + 2], past[:1], past[1:])
        for part in range(2):
            codes[part, step + 1] = pick_rank(logits[part][:, -1], ranks[step : step + 1, part])[0]
    return codes


def naive_fine(weights: Weights, audio: Tensor, level0: Tensor) -> Codes:
    """Codes of all levels (2, levels, T) from level 0 (2, T)."""
    length = len(audio)
    size = min(length, weights.fine[0].config.window)
    rows = torch.arange(length - size + 1)[:, None] + torch.arange(size)
    below = [level0[:, rows]]
    for fine in weights.fine:
        logits = fine(audio[rows], [codes[0] for codes in below], [codes[1] for codes in below])
        below.append(torch.stack([part.argmax(-1) for part in logits]))
    stacked = torch.stack(below, dim=1)
    joined: Codes = torch.cat([stacked[:, :, 0], stacked[:, :, 1:, -1]], dim=2).numpy()
    return joined


def naive(weights: Weights, features: npt.NDArray[np.float32], ranks: npt.NDArray[np.int64], mark: Mark) -> Codes:
    """Raw features (T, 437) to codes and motion; `mark` is told the end of each stage."""
    audio = torch.from_numpy(weights.prepare_audio(features))
    with torch.inference_mode():
        level0 = naive_level0(weights, audio, torch.from_numpy(ranks))
        mark("level 0")
        codes = naive_fine(weights, audio, level0)
        mark("levels 1-3")
        for _ in range(2):
            decode_standardised(weights.tokenizer, codes, smoothing="latent", piece=codes.shape[2])
        mark("decode")
    return codes
