"""Sizes of the models. Everything a model needs to be built again is here and goes into the weights folder as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.records import Range, Reader

FPS = 60
FRAMES_PER_TOKEN = 8
TOKENS_PER_SECOND = FPS / FRAMES_PER_TOKEN
AUDIO_FEATURES = 437  # of the reference
PROSODY_FEATURES = 108  # of generators that hear prosody: the voice, then posture and manner
PROSODY_VOICE = 92  # of them the voice's
STREAMS = 3  # audio, body, hands

_HINT = "Get the weights again, or train them again with this version."

Size = Annotated[int, Range(0, 1_000_000)]
Share = Annotated[float, Range(0, 1)]


def _fail(message: str) -> UserError:
    return UserError(message, _HINT, "bad_weights")


def _reader(name: str) -> Reader:
    what = f"weights' description of {name}"
    return Reader(f"The {what}", f"In the {what}", _HINT, "bad_weights")


@dataclass(frozen=True)
class Config:
    """JSON in and out, refusing what does not belong."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Raises UserError for unknown or missing names, values of another type and sizes out of reason."""
        return _reader(cls.__name__).read(cls, data)

    def _divides(self, heads: int, width: int) -> None:
        if heads < 1 or width < 1 or width % heads:
            raise _fail(f"A width of {width} cannot be split among {heads} attention heads.")


@dataclass(frozen=True)
class PartConfig(Config):
    """One residual VQ-VAE (body or hands). Defaults are the reference's sizes, apart from channels and layers."""

    channels: Size
    layers: Size
    width: Size = 512
    feed_forward: Size = 2048
    heads: Size = 4
    codes: Size = 512
    levels: Size = 4
    window: Size = 15
    positions: Size = 120
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        self._divides(self.heads, self.width)
        if self.width % 2:
            raise _fail(f"A tokenizer's width must be even, not {self.width}.")
        if not 1 <= self.window <= self.positions:
            raise _fail(f"A tokenizer's window of {self.window} tokens does not fit its {self.positions} positions.")


@dataclass(frozen=True)
class TokenizerConfig:
    """Both parts; they share codes, levels and window."""

    body: PartConfig
    hands: PartConfig

    def __post_init__(self) -> None:
        for name in ("codes", "levels", "window"):
            if getattr(self.body, name) != getattr(self.hands, name):
                raise _fail(f"The tokenizer's body and hands disagree on {name}.")

    def to_json(self) -> dict[str, Any]:
        return {"body": self.body.to_json(), "hands": self.hands.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        return _reader(cls.__name__).read(cls, data)


@dataclass(frozen=True)
class Level0Config(Config):
    """The cross-conditional GPT. `window` counts time steps per stream."""

    width: Size = 768
    heads: Size = 12
    base_layers: Size = 6
    head_layers: Size = 6
    feed_forward: Size = 3072
    window: Size = 14
    audio: Size = AUDIO_FEATURES
    codes: Size = 512
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        self._divides(self.heads, self.width)


@dataclass(frozen=True)
class FineConfig(Config):
    """The transformer that predicts code level `level` (1..3) from the levels below it."""

    level: Size
    width: Size = 768
    heads: Size = 12
    layers: Size = 6
    feed_forward: Size = 3072
    window: Size = 15
    audio: Size = AUDIO_FEATURES
    codes: Size = 512
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        self._divides(self.heads, self.width)
        if self.level < 1:
            raise _fail(f"There is no fine level {self.level}.")


BODY_CHANNELS, HANDS_CHANNELS = 66, 114


def reference_tokenizer() -> TokenizerConfig:
    """The reference's sizes (84.9 million parameters)."""
    return TokenizerConfig(PartConfig(BODY_CHANNELS, 3), PartConfig(HANDS_CHANNELS, 2))


def small_tokenizer(width: int = 128, codes: int = 512, dropout: float = 0.1) -> TokenizerConfig:
    """The same structure at a width that trains and runs in seconds on a laptop."""

    def part(channels: int, layers: int) -> PartConfig:
        return PartConfig(channels, layers, width, 4 * width, 4, codes, dropout=dropout)

    return TokenizerConfig(part(BODY_CHANNELS, 2), part(HANDS_CHANNELS, 2))


def small_level0(width: int = 192, layers: int = 3, codes: int = 512, dropout: float = 0.1) -> Level0Config:
    return Level0Config(width, 6, layers, layers, 4 * width, codes=codes, dropout=dropout)


def small_fine(level: int, width: int = 192, layers: int = 2, codes: int = 512, dropout: float = 0.1) -> FineConfig:
    return FineConfig(level, width, 6, layers, 4 * width, codes=codes, dropout=dropout)
