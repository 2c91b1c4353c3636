"""In which order codes are generated: exactly as the reference does it, or faster.

Exact   level 0 sees the last 13 tokens, a sliding window computed anew for each token; levels 1..3 see every window of
        15 tokens, of which the first gives all its tokens and each later one its last. float32.
Fast    level 0 lets its window grow from `SHIFT` to 13 tokens with cached keys and values, then drops back (the
        reference's own "shift"); levels 1..3 take every `STRIDE`-th window and of each its last `STRIDE` tokens;
        matrices in the precision this processor is quickest with. docs/performance.md: what it changes and saves.

Windows go through the models in batches of fixed size: memory does not grow with the length of the speech.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.models.audio_input import AudioInput
from backend.models.config import FineConfig, Level0Config
from backend.models.engine import FineEngine, Level0Engine
from backend.models.graphs import Graphed
from backend.models.kernels import Precision, best_precision
from backend.models.layers import window_starts
from backend.models.sampling import Sampling, pick, pick_rank, reference_ranks, uniforms
from backend.models.threads import FreeThreads, free_threads
from backend.models.weights import Weights, expected_shapes
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress

CONTEXT = 13  # tokens level 0 looks back on, one less than it was trained with, as the reference does
SHIFT = 7
STRIDE = 5
LEAN_ABOVE = 512 * 2**20
WINDOWS = {"cpu": 32, "cuda": 512}  # windows per forward pass
LEVEL0_SHARE = 0.6  # of the progress bar

Codes = npt.NDArray[np.int64]
Draw = Callable[[tuple[Tensor, Tensor], Tensor], Tensor]
Cycle = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class Engine:
    """The generators of some weights, laid out for one schedule.

    Where they are large (`lean`) level 0 and the fine levels are not kept at the same time: laying them out anew takes
    a second or two per call, holding both takes a third of the memory there is to be.
    """

    weights: Weights
    exact: bool
    precision: Precision
    lean: bool
    graphs: dict[Any, Graphed] = field(default_factory=dict)
    _level0: Level0Engine | None = None
    _fine: list[FineEngine] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return self.weights.device

    @property
    def level0(self) -> Level0Engine:
        if self._level0 is None:
            if self.lean:
                self._fine = []
            config = cast(Level0Config, self.weights.configs["level0"])
            self._level0 = Level0Engine(self.weights.state("level0"), config, self.precision, self.device)
        return self._level0

    @property
    def fine(self) -> list[FineEngine]:
        if not self._fine:
            if self.lean:
                self._level0 = None
            for level in range(1, self.weights.levels):
                config = cast(FineConfig, self.weights.configs[f"fine{level}"])
                state = self.weights.state(f"fine{level}")
                self._fine.append(FineEngine(state, config, self.precision, self.device))
        return self._fine

    @classmethod
    def of(cls, weights: Weights, exact: bool) -> Engine:
        """Built once per schedule and kept with the weights; only one is kept, for memory's sake."""
        engine = weights.engines.get(exact)
        if isinstance(engine, Engine):
            return engine
        weights.engines.clear()
        precision: Precision = "float32" if exact else best_precision(weights.device)
        lean = weights.device.type == "cpu" and precision == "float32" and _size(weights) > LEAN_ABOVE
        weights.engines[exact] = Engine(weights, exact, precision, lean)
        return cast(Engine, weights.engines[exact])


def _size(weights: Weights) -> int:
    """Bytes of the generators in float32."""
    shapes = (shape for n, c in weights.configs.items() if n != "tokenizer" for shape in expected_shapes(c).values())
    return 4 * sum(math.prod(shape) for shape in shapes)


def generate_codes(
    weights: Weights,
    audio: npt.ArrayLike,
    *,
    seed: int = 0,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    exact: bool = False,
    ranks: npt.ArrayLike | None = None,
    progress: Progress | None = None,
) -> Codes:
    """Raw audio features (T, width) to codes (2 parts, levels, T).

    temperature, top_k, top_p shape the model's own probabilities (None: as the weights recommend). exact: the
    reference's schedule and its fixed probabilities instead; ranks (T - 1, 2) then gives the drawn ranks of each step
    and stream. Raises UserError for features of the wrong shape and Cancelled between tokens.
    """
    info = weights.info
    sampling = Sampling(
        info.temperature if temperature is None else temperature,
        info.top_k if top_k is None else top_k,
        info.top_p if top_p is None else top_p,
        (info.guidance_body, info.guidance_hands),
    )
    given = None if ranks is None else [np.asarray(ranks)]
    return generate_many(weights, [audio], [seed], sampling=sampling, exact=exact, ranks=given, progress=progress)[0]


def generate_many(
    weights: Weights,
    audios: Sequence[npt.ArrayLike],
    seeds: Sequence[int],
    *,
    sampling: Sampling | None = None,
    exact: bool = False,
    ranks: Sequence[npt.NDArray[np.int64]] | None = None,
    progress: Progress | None = None,
) -> list[Codes]:
    """Several clips side by side in level 0, each as `generate_codes` would alone. Clips may differ in length."""
    clips = [_standardised(weights, audio) for audio in audios]
    engine = Engine.of(weights, exact)
    if ranks is None and exact:
        ranks = [reference_ranks(seed, len(clip) - 1) for seed, clip in zip(seeds, clips, strict=True)]
    numbers: Sequence[npt.NDArray[Any]] = (
        ranks if ranks is not None else [uniforms(seed, len(clip) - 1) for seed, clip in zip(seeds, clips, strict=True)]
    )
    info = weights.info
    if sampling is None:
        sampling = Sampling(info.temperature, info.top_k, info.top_p, (info.guidance_body, info.guidance_hands))
    draw = _Draw(None if ranks is not None else sampling)
    with free_threads() as threads, torch.inference_mode():
        run = _Run(engine, progress, threads)
        level0 = run.level0(clips, numbers, weights.info.start_tokens, draw)
        return [run.fine(clip, codes, i, len(clips)) for i, (clip, codes) in enumerate(zip(clips, level0, strict=True))]


def _standardised(weights: Weights, audio: npt.ArrayLike) -> npt.NDArray[np.float32]:
    audio = np.asarray(audio)
    width = weights.info.audio_input.width
    if audio.ndim != 2 or audio.shape[1] != width or not len(audio):
        message = f"Audio features must be rows of {width} numbers, not {audio.shape}."
        raise UserError(message, code="bad_features")
    if not np.all(np.isfinite(audio)):
        raise UserError("The audio features hold numbers that are not finite.", "Check the recording.", "bad_features")
    return weights.prepare_audio(audio)


@dataclass(frozen=True)
class _Draw:
    """How codes are drawn: by rank (no sampling) or from the model's probabilities."""

    sampling: Sampling | None

    @property
    def guided(self) -> bool:
        """Whether each sequence is followed by its twin that does not hear the voice."""
        return self.sampling is not None and self.sampling.guidance != (1.0, 1.0)

    def __call__(self, logits: tuple[Tensor, Tensor], numbers: Tensor) -> Tensor:
        """Logits (B, codes) of body and hands and numbers (B, 2) to codes (B, 2)."""
        if self.sampling is None:
            return torch.stack([pick_rank(part, numbers[:, i]) for i, part in enumerate(logits)], dim=1)
        if not self.guided:
            return self._pick(logits, numbers)
        conditional, unconditional = zip(*(part.chunk(2) for part in logits), strict=True)
        parts = zip(conditional, unconditional, self.sampling.guidance, strict=True)
        codes = self._pick([u + g * (c - u) for c, u, g in parts], numbers[: len(conditional[0])])
        return torch.cat([codes, codes])

    def _pick(self, logits: Sequence[Tensor], numbers: Tensor) -> Tensor:
        assert self.sampling is not None
        return torch.stack([pick(part, numbers[:, i], self.sampling) for i, part in enumerate(logits)], dim=1)


def grow(
    engine: Level0Engine,
    past: Tensor,
    audio: Tensor,
    numbers: Tensor,
    draw: Draw,
    check: Callable[[], None] | None = None,
) -> Tensor:
    """One window of level 0 growing token by token.

    past (B, 2, p): its first tokens; audio (B, p + n - 1, width): the rows heard with each step, one ahead of the
    tokens; numbers (B, n, 2): what the n new tokens are drawn with. Returns the new tokens (B, 2, n).
    """
    cache = engine.cache(len(past))
    new: list[Tensor] = []
    codes, heard = past, audio[:, : past.shape[2]]
    for i in range(numbers.shape[1]):
        if check is not None:
            check()
        logits = engine.append(cache, heard, codes)
        new.append(draw(logits, numbers[:, i]))
        codes = new[-1][:, :, None]
        heard = audio[:, past.shape[2] + i : past.shape[2] + i + 1]
    return torch.stack(new, dim=2)


class _Run:
    """One call of `generate_many`."""

    def __init__(self, engine: Engine, progress: Progress | None, threads: FreeThreads) -> None:
        self.engine, self.progress, self.threads = engine, progress, threads

    def _check(self) -> None:
        self.threads.update()
        if self.progress is not None:
            self.progress.check()

    def _report(self, fraction: float) -> None:
        if self.progress is not None:
            self.progress.stage("generate", fraction)

    def level0(
        self,
        clips: Sequence[npt.NDArray[np.float32]],
        numbers: Sequence[npt.NDArray[Any]],
        start: tuple[int, int],
        draw: _Draw,
    ) -> list[Tensor]:
        """Codes (2, T) of each clip."""
        engine, device, count = self.engine.level0, self.engine.device, len(clips)
        if draw.guided:
            silenced = [without_voice(clip, self.engine.weights.info.audio_input) for clip in clips]
            clips, numbers = [*clips, *silenced], [*numbers, *numbers]
        longest = max(len(clip) for clip in clips)
        audio = torch.from_numpy(_padded(clips, longest)).to(device)
        drawn = torch.from_numpy(_padded(numbers, longest - 1)).to(device)
        codes = torch.zeros(len(clips), 2, longest, dtype=torch.long, device=device)
        codes[:, :, 0] = torch.tensor(start, device=device)
        cycle = self._cycle(draw, len(clips))
        known, past = 1, 1
        while known < longest:
            new = min(CONTEXT + 1 - past, longest - known)
            first = known - past
            heard = engine.audio(audio[:, first + 1 : known + new])
            codes[:, :, known : known + new] = cycle(
                codes[:, :, first:known], heard, drawn[:, known - 1 : known - 1 + new]
            )
            known += new
            past = min(known, CONTEXT if self.engine.exact else SHIFT)
            self._report(LEVEL0_SHARE * known / longest)
        return [row[:, : len(clip)] for row, clip in zip(codes[:count], clips[:count], strict=True)]

    def _cycle(self, draw: Draw, batch: int) -> Cycle:
        def plain(past: Tensor, audio: Tensor, numbers: Tensor) -> Tensor:
            return grow(self.engine.level0, past, audio, numbers, draw, self._check)

        if self.engine.device.type != "cuda" or self.engine.exact:
            return plain

        def quiet(past: Tensor, audio: Tensor, numbers: Tensor) -> Tensor:
            return grow(self.engine.level0, past, audio, numbers, draw)

        key = (batch, draw)
        if key not in self.engine.graphs:
            self.engine.graphs.clear()
            self.engine.graphs[key] = Graphed(quiet, (SHIFT, CONTEXT + 1 - SHIFT))
        graphed = self.engine.graphs[key]

        def checked(past: Tensor, audio: Tensor, numbers: Tensor) -> Tensor:
            self._check()
            return graphed(past, audio, numbers)

        return checked

    def fine(self, clip: npt.NDArray[np.float32], level0: Tensor, index: int, clips: int) -> Codes:
        """All levels (2, levels, T) from level 0 (2, T)."""
        engines = self.engine.fine
        levels, length = 1 + len(engines), level0.shape[1]
        out = np.zeros((2, levels, length), dtype=np.int64)
        out[:, 0] = level0.cpu().numpy()
        audio = torch.from_numpy(clip)
        size = min(engines[0].config.window, length) if engines else length
        stride = 1 if self.engine.exact else STRIDE
        starts = window_starts(length, size, stride)
        # the first window gives all its tokens, each later one those that no window before it gave
        batches = [starts[:1], *torch.split(starts[1:], WINDOWS.get(self.engine.device.type, 32))]
        covered = 0
        for number, batch in enumerate(b for b in batches if len(b)):
            self._check()
            keep = size if number == 0 else min(stride, size)
            found = self._windows(audio, level0, batch, size, keep)
            for start, row in zip(batch.tolist(), found, strict=True):
                fresh = start + size - covered
                out[:, 1:, covered : start + size] = row[:, :, row.shape[2] - fresh :]
                covered = start + size
            self._report(LEVEL0_SHARE + (1 - LEVEL0_SHARE) * (index + covered / length) / clips)
        return out

    def _windows(self, audio: Tensor, level0: Tensor, starts: Tensor, size: int, keep: int) -> Codes:
        """Levels 1.. of the last `keep` tokens of windows: (N, 2, levels - 1, keep)."""
        device = self.engine.device
        first = int(starts[0])
        span = audio[first : int(starts[-1]) + size].to(device)
        rows = ((starts - first)[:, None] + torch.arange(size)).to(device)
        below = level0[:, first : first + len(span)][:, rows].permute(1, 0, 2)[:, :, None]
        for i, fine in enumerate(self.engine.fine):
            last = i == len(self.engine.fine) - 1
            # a level sees what the levels below it said about this very window, so they are needed whole
            found = fine(fine.audio(span)[rows], below, keep if last else size)
            below = torch.cat([below[:, :, :, size - keep :] if last else below, found[:, :, None]], dim=2)
        result: Codes = below[:, :, 1:].cpu().numpy()
        return result


def without_voice(rows: npt.NDArray[np.float32], audio_input: AudioInput) -> npt.NDArray[np.float32]:
    """Prepared rows (T, width) without the voice: of generators that hear prosody, posture and manner stay."""
    rows = rows.copy()
    rows[:, audio_input.voice] = 0.0
    return rows


def _padded(rows: Sequence[npt.NDArray[Any]], length: int) -> npt.NDArray[Any]:
    """Clips of different length (T, D) in one array (B, length, D), zeros after the end; a single one as it is."""
    if len(rows) == 1:
        return rows[0][None]
    out = np.zeros((len(rows), length, rows[0].shape[1]), dtype=rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
