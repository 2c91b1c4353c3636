"""The training set in memory, and windows of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.models.audio_input import AudioInput
from backend.models.config import FRAMES_PER_TOKEN
from backend.models.layout import WIDTH
from backend.models.scaler import Scaler
from backend.models.weights import prepared
from sg_blender_addon.core.errors import UserError

_OUTLIER = 8.0  # standard deviations of a motion column


@dataclass(frozen=True)
class ClipSpan:
    """Tokens start..end of one clip."""

    start: int
    end: int
    silent: bool
    held_out: bool


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """vectors (8 T, 219) and audio (T, n), both standardised float32; clips do not overlap. Vectors are clipped."""

    vectors: Tensor
    audio: Tensor
    clips: tuple[ClipSpan, ...]
    body_scaler: Scaler
    audio_scaler: Scaler
    about: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> TrainingSet:
        folder = Path(folder)
        try:
            description = json.loads((folder / "set.json").read_text("utf-8"))
            vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
            audio = np.load(folder / "audio.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"There is no training set in {folder}.", hint="Run `python -m training prepare` first.", code="no_data"
            ) from error
        body = Scaler.from_json(description["body_scaler"], WIDTH, "body")
        sound = Scaler.from_json(description["audio_scaler"], audio.shape[1], "audio")
        spans = tuple(
            ClipSpan(c["start"], c["start"] + c["tokens"], c["silent"], c["held_out"]) for c in description["clips"]
        )
        return cls(
            # constant-pose columns can have scales of a few 1e-5: a far outlier must not rule the loss
            torch.from_numpy(_standardise(body, vectors)).clip_(-_OUTLIER, _OUTLIER),
            torch.from_numpy(_standardise(sound, audio)),
            spans,
            body,
            sound,
            description,
        )

    def with_audio_input(self, audio_input: AudioInput, lookahead: int) -> TrainingSet:
        """The same set with the audio of each clip as generators hear it (`backend.models.weights.prepared`)."""
        rows = (self.audio[c.start : c.end].numpy().copy() for c in self.clips)
        return replace(self, audio=torch.cat([torch.from_numpy(prepared(r, audio_input, lookahead)) for r in rows]))

    def windows(self, tokens: int, stride: float, *, held_out: bool) -> npt.NDArray[np.int64]:
        """Start frames of windows of `tokens` tokens inside clips, every `stride` frames."""
        starts = [
            np.arange(c.start * FRAMES_PER_TOKEN, (c.end - tokens) * FRAMES_PER_TOKEN + 1, int(stride))
            for c in self.clips
            if c.held_out == held_out and c.end - c.start >= tokens
        ]
        if not starts or sum(map(len, starts)) == 0:
            kind = "held-out " if held_out else ""
            raise UserError(
                f"The training set has no {kind}clip of {tokens} tokens.", hint="Prepare more minutes.", code="no_data"
            )
        return np.concatenate(starts)


def _standardise(scaler: Scaler, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Block by block: the float64 in between is never the whole set."""
    out = np.empty(rows.shape, dtype=np.float32)
    for at in range(0, len(rows), 65536):
        out[at : at + 65536] = scaler.standardise(rows[at : at + 65536])
    return out


def gather(rows: Tensor, starts: Tensor, length: int) -> Tensor:
    """(B, length, D) windows of rows (N, D) at starts (B,)."""
    return rows[starts[:, None] + torch.arange(length)]


class Sampler:
    """Draws batches of window starts without replacement, pass after pass; each process its own share."""

    def __init__(self, starts: npt.NDArray[np.int64], batch: int, seed: int, share: int = 0, shares: int = 1) -> None:
        self.starts, self.batch = starts[share::shares] if len(starts) >= shares else starts, batch
        self.generator = np.random.default_rng((seed, share))
        self.queue = np.empty(0, dtype=np.int64)

    def __call__(self) -> Tensor:
        while len(self.queue) < self.batch:
            self.queue = np.concatenate([self.queue, self.generator.permutation(self.starts)])
        chosen, self.queue = self.queue[: self.batch], self.queue[self.batch :]
        return torch.from_numpy(chosen)

    def state(self) -> dict[str, Any]:
        """Everything that the next batches depend on, as plain data and tensors."""
        return {"queue": torch.from_numpy(self.queue.copy()), "generator": self.generator.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self.queue = state["queue"].numpy().copy()
        self.generator.bit_generator.state = state["generator"]
