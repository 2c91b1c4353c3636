"""Residual vector quantisation with codebooks learnt by exponential moving averages."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

DECAY = 0.95
DEAD_BELOW = 1.0


class Codebook(nn.Module):
    """One level: `k` (codes, width). In training mode every call moves the codebook towards what it was given."""

    k: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("k", torch.zeros(codes, width))
        # training state; not part of the weights (the reference's files hold `k` alone)
        self.register_buffer("sums", torch.zeros(codes, width), persistent=False)
        self.register_buffer("counts", torch.zeros(codes), persistent=False)

    def distances(self, x: Tensor) -> Tensor:
        """Squared distances (N, codes) of rows x (N, width) to all entries."""
        return (x * x).sum(1, keepdim=True) - 2 * x @ self.k.t() + (self.k * self.k).sum(1)

    def nearest(self, x: Tensor) -> Tensor:
        """Index (N,) of the nearest entry."""
        return self.distances(x).argmin(1)

    @torch.no_grad()
    def learn(self, x: Tensor, index: Tensor) -> None:
        """Exponential moving average of the rows each entry won; entries that win too rarely move onto a random row."""
        sums = torch.zeros_like(self.sums).index_add_(0, index, x)
        counts = torch.bincount(index, minlength=len(self.k)).to(x.dtype)
        fresh = self._random_rows(x)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
            dist.all_reduce(counts)
            dist.broadcast(fresh, 0)
        self.sums.mul_(DECAY).add_(sums, alpha=1 - DECAY)
        self.counts.mul_(DECAY).add_(counts, alpha=1 - DECAY)
        dead = self.counts < DEAD_BELOW
        # a re-seeded entry starts with one win, so that one unlucky batch does not move it again
        self.counts[dead] = DEAD_BELOW / DECAY
        self.sums[dead] = fresh[dead] * (DEAD_BELOW / DECAY)
        self.k.copy_(self.sums / self.counts[:, None])

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Start from random rows of the first batch."""
        rows = self._random_rows(x)
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(rows, 0)
        self.k.copy_(rows)
        self.sums.copy_(rows)
        self.counts.fill_(1.0)

    def _random_rows(self, x: Tensor) -> Tensor:
        """As many rows as entries, drawn from x; repeated with a little noise when x has fewer."""
        codes = len(self.k)
        if len(x) < codes:
            x = x.repeat(-(-codes // len(x)), 1)
            x = x + torch.randn_like(x) * (0.01 / x.shape[1] ** 0.5)
        return x[torch.randperm(len(x), device=x.device)[:codes]]


class ResidualQuantizer(nn.Module):
    """Levels in turn, each on what the levels before it left over (van den Oord 2017; Zeghidour 2021)."""

    def __init__(self, levels: int, codes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Codebook(codes, width) for _ in range(levels))
        self.started = False
        # training only: share of the sequences that are decoded from their first few levels alone, so that the coarse
        # levels carry the movement and the fine ones, which are harder to predict, only its detail (Zeghidour 2021)
        self.level_dropout = 0.0

    def books(self) -> list[Codebook]:
        return [layer for layer in self.layers if isinstance(layer, Codebook)]

    def encode(self, x: Tensor) -> Tensor:
        """Vectors (..., width) to codes (levels, ...)."""
        rest = x.reshape(-1, x.shape[-1]).float()
        codes = []
        for book in self.books():
            index = book.nearest(rest)
            codes.append(index)
            rest = rest - book.k[index]
        return torch.stack(codes).reshape(len(codes), *x.shape[:-1])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (levels, ...) to the sum of their entries (..., width)."""
        total = self.books()[0].k[codes[0]]
        for book, index in zip(self.books()[1:], codes[1:], strict=True):
            total = total + book.k[index]
        return total

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Training pass on (B, L, width).

        Returns the quantised vectors with a straight-through gradient (B, L, width), codes (levels, B, L), the
        commitment loss (mean squared distance to what was chosen, summed over levels) and the share of entries used per
        level (levels,). Learns only in training mode.
        """
        flat = x.reshape(-1, x.shape[-1])
        rest = flat.float()
        total = torch.zeros_like(rest)
        commitment = rest.new_zeros(())
        codes, used = [], []
        kept = self._kept_levels(x)
        for level, book in enumerate(self.books()):
            if self.training and not self.started:
                book.start(rest.detach())
            index = book.nearest(rest.detach())
            chosen = book.k[index].clone()
            commitment = commitment + (rest - chosen).square().mean()
            if self.training:
                book.learn(rest.detach(), index)
            codes.append(index)
            used.append(torch.bincount(index, minlength=len(book.k)).gt(0).float().mean())
            total = total + chosen * (level < kept)
            rest = rest - chosen
        self.started = self.started or self.training
        quantised = flat + (total - flat).detach()
        stacked = torch.stack(codes).reshape(len(codes), *x.shape[:-1])
        return quantised.reshape(x.shape), stacked, commitment, torch.stack(used)

    def _kept_levels(self, x: Tensor) -> Tensor:
        """How many levels count for each row of x (B, L, width): (B L, 1)."""
        levels, sequences = len(self.layers), x.shape[0]
        kept = torch.full((sequences,), levels, device=x.device)
        if self.training and self.level_dropout:
            some = torch.rand(sequences, device=x.device) < self.level_dropout
            kept = torch.where(some, torch.randint(1, levels + 1, (sequences,), device=x.device), kept)
        return kept.repeat_interleave(x[0, ..., 0].numel())[:, None]

    def training_state(self) -> dict[str, Tensor]:
        """What must be kept, beside the weights, to go on training later."""
        state = {}
        for i, book in enumerate(self.books()):
            state[f"{i}.sums"], state[f"{i}.counts"] = book.sums.clone(), book.counts.clone()
        return state

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        for i, book in enumerate(self.books()):
            book.sums.copy_(state[f"{i}.sums"])
            book.counts.copy_(state[f"{i}.counts"])
        self.started = True
