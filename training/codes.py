"""The training set as codes: what the generators learn to continue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from backend.models.codec import encode_standardised
from backend.models.config import FRAMES_PER_TOKEN
from backend.models.tokenizer import Tokenizer
from sg_blender_addon.core.errors import UserError
from training.data import TrainingSet

FILE = "codes.npy"


def encode_set(tokenizer: Tokenizer, data: TrainingSet, folder: Path) -> Tensor:
    """Codes (2, levels, T) of all clips, each encoded alone as at inference; kept in `folder`."""
    codes = np.zeros((2, tokenizer.config.body.levels, len(data.audio)), dtype=np.int16)
    for clip in tqdm(data.clips, desc="encoding", unit="clip"):
        frames = data.vectors[clip.start * FRAMES_PER_TOKEN : clip.end * FRAMES_PER_TOKEN].numpy()
        codes[:, :, clip.start : clip.end] = encode_standardised(tokenizer, frames)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / FILE, codes)
    return torch.from_numpy(codes.astype(np.int64))


def load_codes(folder: Path, tokens: int) -> Tensor:
    try:
        codes = np.load(folder / FILE, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"There are no codes in {folder}.", hint="Train the tokenizer first.", code="no_data"
        ) from error
    if codes.shape[-1] != tokens:
        raise UserError(
            f"The codes in {folder} belong to another training set.", hint="Train the tokenizer again.", code="no_data"
        )
    return torch.from_numpy(codes.astype(np.int64))


def start_tokens(codes: Tensor, data: TrainingSet) -> tuple[int, int]:
    """The pair of level-0 codes (body, hands) most often seen where nobody speaks: somebody standing at rest."""
    spans = [c for c in data.clips if c.silent] or list(data.clips)
    count: Counter[tuple[int, int]] = Counter()
    for clip in spans:
        rows = codes[:, 0, clip.start : clip.end if clip.silent else clip.start + 2].t().tolist()
        count.update((body, hands) for body, hands in rows)
    return count.most_common(1)[0][0]
