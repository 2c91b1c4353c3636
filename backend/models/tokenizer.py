"""The motion tokenizer: two residual VQ-VAEs, one for the body and one for the hands (arXiv 2405.09814, section 4.1).

Motion is (B, frames, 219) standardised vectors, codes are (2 parts, 4 levels, B, tokens); 8 frames make a token.
Modules and attributes are nested so that the state dict has the reference's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.models.config import PartConfig, TokenizerConfig
from backend.models.layers import Encoder, SinusoidalPositions, stitch, window_starts
from backend.models.layout import BODY_COLUMNS, HANDS_COLUMNS, WIDTH
from backend.models.quantizer import ResidualQuantizer

STAGES = 3
DILATIONS = (1, 3, 9)
# How far a decoded token's motion can see, in tokens: convolutions 26, a transformer window 14, the latent filter 2,
# the frame filter 3; 48 leaves a few to spare. Encoding sees less far.
MARGIN = 48
WINDOW_BATCH = 64


class ResidualBlock(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.model(x)
        return out


class ResidualStack(nn.Module):
    def __init__(self, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.model = nn.Sequential(*(ResidualBlock(width, d) for d in dilations))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class ConvEncoderLevel(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        stages = [
            nn.Sequential(nn.Conv1d(channels if i == 0 else width, width, 4, 2, 1), ResidualStack(width, DILATIONS))
            for i in range(STAGES)
        ]
        self.model = nn.Sequential(*stages, nn.Conv1d(width, width, 3, padding=1))


class ConvDecoderLevel(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        stages = [
            nn.Sequential(ResidualStack(width, DILATIONS[::-1]), nn.ConvTranspose1d(width, width, 4, 2, 1))
            for _ in range(STAGES)
        ]
        self.model = nn.Sequential(nn.Conv1d(width, width, 3, padding=1), *stages)


class ConvEncoder(nn.Module):
    """(B, channels, 8 L) to (B, width, L)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.level_blocks = nn.ModuleList([ConvEncoderLevel(channels, width)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.level_blocks.get_submodule("0.model")(x)
        return out


class ConvDecoder(nn.Module):
    """(B, width, L) to (B, channels, 8 L)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.level_blocks = nn.ModuleList([ConvDecoderLevel(width)])
        self.out = nn.Conv1d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.level_blocks.get_submodule("0.model")(x))
        return out


class LatentTransformer(nn.Module):
    """Sees a latent sequence in windows of 15 tokens, the length it was trained on."""

    def __init__(self, config: PartConfig) -> None:
        super().__init__()
        self.window = config.window
        self.pos_embed = SinusoidalPositions(config.positions, config.width)
        self.encoder = Encoder(config.layers, config.width, config.heads, config.feed_forward, config.dropout)
        self.norm = nn.LayerNorm(config.width)
        self.lxm_embed = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """One window each (B, L <= positions, width); with `queries` only the last so many rows."""
        out: Tensor = self.lxm_embed(self.norm(self.encoder(self.pos_embed(x), queries)))
        return out

    def sequence(self, x: Tensor, stride: int = 1) -> Tensor:
        """One sequence (L, width) in windows, a batch of them at a time.

        stride 1 is the reference: the first window gives all its rows, each later one its last. A larger stride takes
        the last `stride` rows of each window: so much less work, and an approximation.
        """
        size, length = self.window, len(x)
        if length <= size:
            whole: Tensor = self(x[None])[0]
            return whole
        starts = window_starts(length, size, stride)
        out = torch.empty_like(x)
        out[:size] = self(x[None, :size])[0]
        covered = size
        for batch in torch.split(starts[1:], WINDOW_BATCH):
            rows = x[batch[:, None].to(x.device) + torch.arange(size, device=x.device)]
            covered = stitch(self(rows, min(stride, size)), batch + size - min(stride, size), out, covered)
        return out


class VectorQuantizedPart(nn.Module):
    """One part's autoencoder on (B, frames, channels)."""

    def __init__(self, config: PartConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_transformer = LatentTransformer(config)
        self.decoder_transformer = LatentTransformer(config)
        self.encoders = nn.ModuleList([ConvEncoder(config.channels, config.width)])
        self.decoders = nn.ModuleList([ConvDecoder(config.channels, config.width)])
        self.bottleneck = ResidualQuantizer(config.levels, config.codes, config.width)

    def convolve(self, x: Tensor) -> Tensor:
        """(B, 8 L, channels) to what the encoder's transformer sees (B, L, width)."""
        return self.encoders[0](x.transpose(1, 2)).transpose(1, 2)

    def deconvolve(self, latents: Tensor) -> Tensor:
        """(B, L, width) to (B, 8 L, channels)."""
        return self.decoders[0](latents.transpose(1, 2)).transpose(1, 2)

    def latents(self, x: Tensor, stride: int = 1) -> Tensor:
        """(B, 8 L, channels) to the vectors that are quantised (B, L, width)."""
        return torch.stack([self.encoder_transformer.sequence(row, stride) for row in self.convolve(x)])

    def encode(self, x: Tensor, stride: int = 1) -> Tensor:
        """(B, 8 L, channels) to codes (levels, B, L)."""
        return self.bottleneck.encode(self.latents(x, stride))

    def forward(self, x: Tensor) -> PartOutput:
        """Training pass on single windows (B, 8 L, channels), L <= window."""
        latents = self.encoder_transformer(self.convolve(x))
        quantised, codes, commitment, used = self.bottleneck(latents)
        motion = self.deconvolve(self.decoder_transformer(quantised))
        return PartOutput(motion, codes, commitment, used)


@dataclass(frozen=True)
class PartOutput:
    """motion (B, F, channels); codes (levels, B, L); commitment: a scalar; used (levels,): share of entries in use."""

    motion: Tensor
    codes: Tensor
    commitment: Tensor
    used: Tensor


@dataclass(frozen=True)
class TokenizerOutput:
    """motion (B, F, 219) and both parts' own outputs."""

    motion: Tensor
    body: PartOutput
    hands: PartOutput


class Tokenizer(nn.Module):
    """Both parts. `forward` is the training pass; `encode` and `decode` are in `coding.py` for whole sequences."""

    body_columns: Tensor
    hands_columns: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.vqvae_body = VectorQuantizedPart(config.body)
        self.vqvae_hands = VectorQuantizedPart(config.hands)
        self.register_buffer("body_columns", None, persistent=False)
        self.register_buffer("hands_columns", None, persistent=False)
        self.reset_columns()

    def reset_columns(self) -> None:
        self.body_columns = torch.tensor(BODY_COLUMNS.tolist(), device="cpu")
        self.hands_columns = torch.tensor(HANDS_COLUMNS.tolist(), device="cpu")

    @property
    def parts(self) -> tuple[VectorQuantizedPart, VectorQuantizedPart]:
        return self.vqvae_body, self.vqvae_hands

    def split(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 219) to body (..., 66) and hands (..., 114)."""
        return motion[..., self.body_columns], motion[..., self.hands_columns]

    def join(self, body: Tensor, hands: Tensor) -> Tensor:
        """Body (..., 66) and hands (..., 114) to (..., 219); the end sites' columns are zero."""
        motion = body.new_zeros(*body.shape[:-1], WIDTH)
        motion[..., self.body_columns] = body
        motion[..., self.hands_columns] = hands
        return motion

    def forward(self, motion: Tensor) -> TokenizerOutput:
        """Training pass on windows (B, 8 L, 219), L <= 15. Codebooks learn when the module is in training mode."""
        body_in, hands_in = self.split(motion)
        body, hands = self.vqvae_body(body_in), self.vqvae_hands(hands_in)
        return TokenizerOutput(self.join(body.motion, hands.motion), body, hands)
