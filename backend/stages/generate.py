"""The rhythm: audio features to codes to motion that talks along with the speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.models import layout
from backend.models.coding import decode_codes
from backend.models.config import FRAMES_PER_TOKEN
from backend.models.weights import Weights
from backend.progress import Progress
from sg_blender_addon.core.motion import Motion

from . import decode

BLOCK = 4096 * FRAMES_PER_TOKEN  # frames turned from vectors into rotations at once


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn; None leaves a value to the weights' recommendation."""

    seed: int = 0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    exact: bool = False


def codes(
    weights: Weights, features: npt.NDArray[np.float32], sampling: Sampling, progress: Progress
) -> npt.NDArray[np.int64]:
    """Features (T, 437), raw, to codes (2, 4, T): body and hands, four levels each."""
    return many_codes(weights, [(features, sampling)], progress)[0]


def many_codes(
    weights: Weights, clips: Sequence[tuple[npt.NDArray[np.float32], Sampling]], progress: Progress
) -> list[npt.NDArray[np.int64]]:
    """Several clips in one go. They may differ in length and seed; how they are sampled is the first clip's."""
    from backend.models import sampling as draws
    from backend.models.schedule import generate_many

    wanted = clips[0][1]
    values = {"temperature": wanted.temperature, "top_k": wanted.top_k, "top_p": wanted.top_p}
    chosen = draws.Sampling(**{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
    return generate_many(
        weights,
        [features for features, _ in clips],
        [sampling.seed for _, sampling in clips],
        sampling=chosen,
        exact=wanted.exact,
        progress=progress,
    )


def motion_of(
    weights: Weights,
    tokens: npt.NDArray[np.int64],
    *,
    exact: bool = False,
    inserts: tuple[tuple[int, int], ...] = (),
    progress: Progress | None = None,
) -> Motion:
    """Codes (2, 4, T) to canonical motion of 8 T frames at 60 fps, float32, as decoded: nothing corrected yet."""
    vectors = decode_codes(weights, tokens, inserts=inserts, exact=exact, progress=progress)
    roots, rotations = [], []
    start: npt.NDArray[np.floating] | None = None
    for first in range(0, len(vectors), BLOCK):
        # One frame of overlap: its displacement leads from the block before into this one.
        part = layout.to_motion(vectors[max(first - 1, 0) : first + BLOCK], start)
        skip = 1 if first else 0
        roots.append(part.root_positions[skip:])
        rotations.append(part.rotations[skip:].astype(np.float32))
        start = part.root_positions[-1]
    whole = layout.to_motion(vectors[:0])
    return Motion(whole.fps, whole.skeleton, np.concatenate(roots), np.concatenate(rotations))


def rhythm(
    weights: Weights,
    tokens: npt.NDArray[np.int64],
    seconds: float,
    activity: npt.NDArray[np.floating],
    *,
    intensity: float = 1.0,
    exact: bool = False,
    progress: Progress | None = None,
) -> Motion:
    """Codes to the finished rhythmic motion of `seconds`, 60 fps; `activity` (T,) calms it in long silence."""
    motion = motion_of(weights, tokens, exact=exact, progress=progress)
    return decode.finish(motion, seconds, intensity=intensity, activity=activity)
