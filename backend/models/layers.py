"""Building blocks shared by tokenizer and fine generators. Attribute names follow the reference's tensor names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention over the whole sequence, with PyTorch's MultiheadAttention tensor names."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """(B, L, width) to the same; only the last `queries` rows of each sequence if given."""
        batch, length, width = x.shape
        if queries is None:
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            # rows nobody will read need keys and values but no queries
            weight, bias = self.in_proj_weight, self.in_proj_bias
            q = F.linear(x[:, length - queries :], weight[:width], bias[:width])
            k, v = F.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        q, k, v = (t.reshape(batch, -1, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        out: Tensor = self.out_proj(y.transpose(1, 2).reshape(batch, -1, width))
        return out


class EncoderLayer(nn.Module):
    """Post-norm transformer layer: attention, add, norm; feed-forward with exact GELU, add, norm."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads, dropout)
        self.linear1 = nn.Linear(width, feed_forward)
        self.linear2 = nn.Linear(feed_forward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """(B, L, width); with `queries` only the last so many rows come back, and nothing is computed for the rest."""
        attended = self.self_attn(x, queries)
        if queries is not None:
            x = x[:, x.shape[1] - queries :]
        x = self.norm1(x + self.drop(attended))
        out: Tensor = self.norm2(x + self.drop(self.linear2(self.drop(F.gelu(self.linear1(x))))))
        return out


class Encoder(nn.Module):
    """A stack of layers under the name `layers`."""

    def __init__(self, layers: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feed_forward, dropout) for _ in range(layers))

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, queries if i == last else None)
        return x


class SinusoidalPositions(nn.Module):
    """The fixed table `pe` (1, positions, width): sine in even columns, cosine in odd ones."""

    pe: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(positions, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[:, : x.shape[1]]


def sinusoids(positions: int, width: int) -> Tensor:
    """(1, positions, width) float32."""
    # Always real and on the CPU: on the meta device, where models are built, arange would load sympy and torch's
    # compiler (1.6 s and 145 MB).
    cpu = torch.device("cpu")
    frequency = torch.exp(-math.log(10000.0) * torch.arange(0, width, 2, device=cpu).float() / width)
    angle = torch.arange(positions, device=cpu).float()[:, None] * frequency
    table = torch.zeros(1, positions, width, device=cpu)
    table[0, :, 0::2] = torch.sin(angle)
    table[0, :, 1::2] = torch.cos(angle)
    return table


def windows(x: Tensor, size: int, stride: int) -> tuple[Tensor, Tensor]:
    """Overlapping windows of a sequence (L, ...): starts (N,) and rows (N, size, ...).

    Windows begin every `stride` rows; the last one is moved back so that it ends at the end. L >= size.
    """
    starts = window_starts(len(x), size, stride).to(x.device)
    return starts, x[starts[:, None] + torch.arange(size, device=x.device)]


def window_starts(length: int, size: int, stride: int) -> Tensor:
    starts = list(range(0, length - size + 1, stride))
    if starts[-1] != length - size:
        starts.append(length - size)
    return torch.tensor(starts)


def stitch(rows: Tensor, starts: Tensor, out: Tensor, covered: int) -> int:
    """Write window outputs rows (N, size, ...) into out (L, ...): of each window what lies at or after `covered`.

    With stride 1 this is the reference's rule: the first window whole, of each later one the last row. Returns the new
    `covered`.
    """
    size = rows.shape[1]
    for row, start in zip(rows, starts.tolist(), strict=True):
        fresh = start + size - covered
        if fresh > 0:
            out[covered : start + size] = row[size - fresh :]
            covered = start + size
    return covered
