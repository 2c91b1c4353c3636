"""The generators: a cross-conditional GPT for code level 0 and "fine" transformers for levels 1..3.

Audio (B, t, 437) standardised features; codes (B, t) per part and level. Three streams (audio, body, hands) are joined
along time; position tables have one run of `window` rows per stream. Attribute names are the reference's tensor names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.models.config import STREAMS, FineConfig, Level0Config
from backend.models.layers import Encoder


def _init(module: nn.Module) -> None:
    """GPT-2's start: normal 0.02, biases 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _positions(table: Tensor, window: int, steps: int) -> Tensor:
    """Rows 0..steps of each stream's run in table (1, 3 window, width): (1, 3 steps, width)."""
    if steps > window:
        raise ValueError(f"a window holds {window} steps, not {steps}")
    runs = table.reshape(STREAMS, window, -1)[:, :steps]
    return runs.reshape(1, STREAMS * steps, -1)


class CausalAttention(nn.Module):
    """Each stream sees all three streams at its own step and before."""

    mask: Tensor

    def __init__(self, config: Level0Config) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.register_buffer("mask", torch.tril(torch.ones(config.window, config.window))[None, None])
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def split_heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-2, -3)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[1] // STREAMS
        allowed = self.mask[0, 0, :steps, :steps].bool().repeat(STREAMS, STREAMS)
        q, k, v = (self.split_heads(layer(x)) for layer in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=self.dropout if self.training else 0.0)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(x.shape))
        return out


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: Level0Config) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(config.width)
        self.ln2 = nn.LayerNorm(config.width)
        self.attn = CausalAttention(config)
        self.drop = nn.Dropout(config.dropout)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, config.feed_forward),
            nn.GELU(),
            nn.Linear(config.feed_forward, config.width),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.ln1(x)))
        out: Tensor = x + self.mlp(self.ln2(x))
        return out


class GPTBase(nn.Module):
    """Embeddings and the first half of the blocks."""

    def __init__(self, config: Level0Config) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, STREAMS * config.window, config.width))
        self.tok_emb_body = nn.Embedding(config.codes, config.width)
        self.tok_emb_hands = nn.Embedding(config.codes, config.width)
        self.cond_emb = nn.Linear(config.audio, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.base_layers))


class GPTHead(nn.Module):
    """The second half of the blocks and the two heads."""

    def __init__(self, config: Level0Config) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.head_layers))
        self.ln_f = nn.LayerNorm(config.width)
        self.head_body = nn.Linear(config.width, config.codes, bias=False)
        self.head_hands = nn.Linear(config.width, config.codes, bias=False)


class Level0(nn.Module):
    """Predicts the next body and hand code from audio and the past codes."""

    def __init__(self, config: Level0Config) -> None:
        super().__init__()
        self.config = config
        self.gpt_base = GPTBase(config)
        self.gpt_head = GPTHead(config)
        self.apply(_init)

    @property
    def blocks(self) -> list[Block]:
        return [b for half in (self.gpt_base, self.gpt_head) for b in half.blocks if isinstance(b, Block)]

    def embed(self, audio: Tensor, body: Tensor, hands: Tensor) -> Tensor:
        """(B, 3 t, width), positions included."""
        base = self.gpt_base
        x = torch.cat([base.cond_emb(audio), base.tok_emb_body(body), base.tok_emb_hands(hands)], dim=1)
        return x + _positions(base.pos_emb, self.config.window, body.shape[1])

    def forward(self, audio: Tensor, body: Tensor, hands: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, t, codes) of body and hands.

        Step i holds the codes of token i and the audio row of token i + 1, and predicts token i + 1; t <= window.
        """
        steps = body.shape[1]
        x = self.gpt_base.drop(self.embed(audio, body, hands))
        for block in self.blocks:
            x = block(x)
        x = self.gpt_head.ln_f(x)
        return self.gpt_head.head_body(x[:, steps : 2 * steps]), self.gpt_head.head_hands(x[:, 2 * steps :])


class Fine(nn.Module):
    """Predicts code level n of every token in a window from audio and levels 0..n-1."""

    def __init__(self, config: FineConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.pos_emb = nn.Parameter(torch.zeros(1, STREAMS * config.window, width))
        for i in range(config.level):
            suffix = "" if i == 0 else f"_{i + 1}"
            setattr(self, f"tok_emb_body{suffix}", nn.Embedding(config.codes, width))
            setattr(self, f"tok_emb_hands{suffix}", nn.Embedding(config.codes, width))
        self.cond_emb = nn.Linear(config.audio, width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = Encoder(config.layers, width, config.heads, config.feed_forward, config.dropout)
        self.ln_f = nn.LayerNorm(width)
        self.head_body = nn.Linear(width, config.codes, bias=False)
        self.head_hands = nn.Linear(width, config.codes, bias=False)
        self.apply(_init)

    def _sum(self, part: str, levels: Sequence[Tensor] | Tensor) -> Tensor:
        if len(levels) != self.config.level:
            raise ValueError(f"fine level {self.config.level} needs as many lower levels, not {len(levels)}")
        names = (f"tok_emb_{part}" + ("" if i == 0 else f"_{i + 1}") for i in range(self.config.level))
        total: Tensor = sum(getattr(self, name)(codes) for name, codes in zip(names, levels, strict=True))
        return total

    def embed(self, audio: Tensor, body: Sequence[Tensor] | Tensor, hands: Sequence[Tensor] | Tensor) -> Tensor:
        """(B, 3 t, width), positions included."""
        x = torch.cat([self.cond_emb(audio), self._sum("body", body), self._sum("hands", hands)], dim=1)
        return x + _positions(self.pos_emb, self.config.window, audio.shape[1])

    def forward(
        self, audio: Tensor, body: Sequence[Tensor] | Tensor, hands: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, t, codes) of body and hands; body, hands: the lower levels, each (B, t); t <= window."""
        steps = audio.shape[1]
        x = self.ln_f(self.blocks(self.drop(self.embed(audio, body, hands))))
        return self.head_body(x[:, steps : 2 * steps]), self.head_hands(x[:, 2 * steps :])
