"""The generators laid out for inference: packed matrices, cached keys and values, nothing computed that nobody reads.

Batches of sequences throughout (B first). Rows of a level-0 sequence are ordered step by step (audio, body, hands of
step 0, then of step 1, ...): the order does not matter to attention, and a new step's keys are simply appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from backend.models.config import STREAMS, FineConfig, Level0Config
from backend.models.kernels import Linear, Precision, pack_linear

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Norm:
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


class _Reader:
    """Takes tensors out of a state, copies them, and packs linear layers."""

    def __init__(self, state: State, precision: Precision, device: torch.device) -> None:
        self.state, self.precision, self.device = state, precision, device

    def tensor(self, name: str) -> Tensor:
        # a copy: the state may be a mapped file, which is to be let go
        return self.state[name].to(self.device, torch.float32, copy=True)

    def norm(self, name: str) -> Norm:
        return Norm(self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))

    def linear(self, name: str, precision: Precision | None = None) -> Linear:
        bias = self.state.get(f"{name}.bias")
        return self._pack(self.state[f"{name}.weight"], bias, precision)

    def joined(self, names: list[str]) -> Linear:
        """Several layers over the same input as one."""
        weight = torch.cat([self.state[f"{n}.weight"] for n in names])
        return self._pack(weight, torch.cat([self.state[f"{n}.bias"] for n in names]))

    def raw(self, weight: str, bias: str) -> Linear:
        return self._pack(self.state[weight], self.state[bias])

    def _pack(self, weight: Tensor, bias: Tensor | None, precision: Precision | None = None) -> Linear:
        weight = weight.detach().to(self.device)
        bias = None if bias is None else bias.detach().to(self.device)
        return pack_linear(weight, bias, precision or self.precision)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


@dataclass(frozen=True)
class _Block:
    ln1: Norm
    qkv: Linear
    proj: Linear
    ln2: Norm
    up: Linear
    down: Linear


@dataclass
class Cache:
    """Keys and values of the steps so far, per block (B, heads, 3 * window, width / heads)."""

    keys: list[Tensor]
    values: list[Tensor]
    steps: int = 0


class Level0Engine:
    """Level 0 with cached keys and values."""

    def __init__(self, state: State, config: Level0Config, precision: Precision, device: torch.device) -> None:
        read = _Reader(state, precision, device)
        self.config, self.device = config, device
        # positions per step and stream: (window, 3, width)
        table = read.tensor("gpt_base.pos_emb").reshape(STREAMS, config.window, -1)
        self.positions = table.transpose(0, 1).contiguous()
        self.tables = [read.tensor(f"gpt_base.tok_emb_{part}.weight") for part in ("body", "hands")]
        # the audio layer runs once over everything and the heads decide codes: both stay in full precision
        self.audio = read.linear("gpt_base.cond_emb", "float32")
        names = [f"gpt_base.blocks.{i}" for i in range(config.base_layers)]
        names += [f"gpt_head.blocks.{i}" for i in range(config.head_layers)]
        self.blocks = [
            _Block(
                read.norm(f"{n}.ln1"),
                read.joined([f"{n}.attn.{m}" for m in ("query", "key", "value")]),
                read.linear(f"{n}.attn.proj"),
                read.norm(f"{n}.ln2"),
                read.linear(f"{n}.mlp.0"),
                read.linear(f"{n}.mlp.2"),
            )
            for n in names
        ]
        self.ln_f = read.norm("gpt_head.ln_f")
        self.heads = [read.linear(f"gpt_head.head_{part}", "float32") for part in ("body", "hands")]

    def cache(self, batch: int) -> Cache:
        c = self.config
        shape = (batch, c.heads, STREAMS * c.window, c.width // c.heads)

        def fresh() -> list[Tensor]:
            return [torch.empty(shape, device=self.device) for _ in self.blocks]

        return Cache(fresh(), fresh())

    def append(self, cache: Cache, audio: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Add n steps to a window and return the logits (B, codes) of body and hands after the last of them.

        audio (B, n, width): rows that went through `self.audio`; codes (B, 2, n).
        """
        batch, steps = audio.shape[:2]
        first, total = cache.steps, cache.steps + steps
        x = torch.stack([audio, self.tables[0][codes[:, 0]], self.tables[1][codes[:, 1]]], dim=2)
        x = (x + self.positions[first:total]).reshape(batch, STREAMS * steps, -1)
        allowed = self._mask(first, total) if steps > 1 else None
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1
            x = self._block(block, x, cache.keys[i], cache.values[i], first, total, allowed, last)
        cache.steps = total
        x = self.ln_f(x)
        return self.heads[0](x[:, -2]), self.heads[1](x[:, -1])

    def _block(
        self,
        block: _Block,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        first: int,
        total: int,
        allowed: Tensor | None,
        last: bool,
    ) -> Tensor:
        a, b = STREAMS * first, STREAMS * total
        q, k, v = block.qkv(block.ln1(x)).chunk(3, dim=-1)
        keys[:, :, a:b], values[:, :, a:b] = _heads(k, self.config.heads), _heads(v, self.config.heads)
        if last:
            # only the last step's body and hands are read, and they see every step
            x, q, allowed = x[:, -2:], q[:, -2:], None
        y = F.scaled_dot_product_attention(
            _heads(q, self.config.heads), keys[:, :, :b], values[:, :, :b], attn_mask=allowed
        )
        x = x + block.proj(y.transpose(1, 2).reshape(x.shape))
        return x + block.down(F.gelu(block.up(block.ln2(x))))

    def _mask(self, first: int, total: int) -> Tensor:
        """Who may see whom: rows of steps first..total against rows of steps 0..total."""
        step = torch.arange(STREAMS * total, device=self.device) // STREAMS
        return step[STREAMS * first :, None] >= step[None]


@dataclass(frozen=True)
class _Layer:
    qkv: Linear
    out: Linear
    norm1: Norm
    up: Linear
    down: Linear
    norm2: Norm


class FineEngine:
    """A fine level: arg-max codes of windows."""

    def __init__(self, state: State, config: FineConfig, precision: Precision, device: torch.device) -> None:
        read = _Reader(state, precision, device)
        self.config, self.device = config, device
        self.positions = read.tensor("pos_emb").reshape(STREAMS, config.window, -1)
        suffixes = [""] + [f"_{i + 1}" for i in range(1, config.level)]
        self.tables = [[read.tensor(f"tok_emb_{p}{s}.weight") for s in suffixes] for p in ("body", "hands")]
        self.audio = read.linear("cond_emb", "float32")
        self.layers = [
            _Layer(
                read.raw(f"{n}.self_attn.in_proj_weight", f"{n}.self_attn.in_proj_bias"),
                read.linear(f"{n}.self_attn.out_proj"),
                read.norm(f"{n}.norm1"),
                read.linear(f"{n}.linear1"),
                read.linear(f"{n}.linear2"),
                read.norm(f"{n}.norm2"),
            )
            for n in (f"blocks.layers.{i}" for i in range(config.layers))
        ]
        self.ln_f = read.norm("ln_f")
        self.heads = [read.linear(f"head_{part}", "float32") for part in ("body", "hands")]

    def __call__(self, audio: Tensor, codes: Tensor, keep: int) -> Tensor:
        """Windows to codes of the last `keep` tokens: (B, 2, keep).

        audio (B, t, width): rows that went through `self.audio`; codes (B, 2, levels, t), of which the first `level`
        levels are read.
        """
        batch, steps = audio.shape[:2]
        streams = [audio]
        for part, tables in enumerate(self.tables):
            total = tables[0][codes[:, part, 0]]
            for level, table in enumerate(tables[1:], start=1):
                total = total + table[codes[:, part, level]]
            streams.append(total)
        x = (torch.stack(streams, dim=1) + self.positions[:, :steps]).reshape(batch, STREAMS * steps, -1)
        for layer in self.layers[:-1]:
            x = self._layer(layer, x)
        # in the last layer only rows that somebody reads ask and go on: the last tokens of body and hands
        rows = torch.arange(STREAMS * steps, device=x.device).reshape(STREAMS, steps)[1:, steps - keep :].reshape(-1)
        x = self.ln_f(self._layer(self.layers[-1], x, rows)).reshape(batch, 2, keep, -1)
        return torch.stack([head(x[:, i]).argmax(-1) for i, head in enumerate(self.heads)], dim=1)

    def _layer(self, layer: _Layer, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """One layer; with `rows` (indices) only those come out."""
        heads = self.config.heads
        q, k, v = layer.qkv(x).chunk(3, dim=-1)
        if rows is not None:
            x, q = x[:, rows], q[:, rows]
        y = F.scaled_dot_product_attention(_heads(q, heads), _heads(k, heads), _heads(v, heads))
        y = layer.norm1(x + layer.out(y.transpose(1, 2).reshape(x.shape)))
        return layer.norm2(y + layer.down(F.gelu(layer.up(y))))
