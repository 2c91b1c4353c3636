"""From what is heard of a voice to codes to motion that talks along with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.models import layout
from backend.models.codec import decode_codes, pieces
from backend.models.config import FPS, FRAMES_PER_TOKEN, TOKENS_PER_SECOND
from backend.models.weights import Weights
from backend.motion import postprocess, posture_plan
from backend.speech import prosody
from sg_blender_addon.core.manner import ORDINARY, Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.runs import runs
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.storage import empty, release

BLOCK = 512  # tokens turned into rotations at once
_POSTURE = 1  # the posture's own stream of random numbers


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn, and who moves; None leaves a value to the weights' recommendation."""

    seed: int = 0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    exact: bool = False
    manner: Manner = ORDINARY
    guidance: tuple[float, float] | None = None


def conditions(
    weights: Weights, features: npt.NDArray[np.float32], manner: Manner, seed: int
) -> npt.NDArray[np.float32]:
    """Features (T, n) of a recording, raw, as these weights are to be told them: those that hear prosody are also told
    a posture, planned for this voice, and the manner."""
    if weights.info.audio_input.features != "prosody":
        return features
    speaking = features[:, prosody.ON] > 0.5
    phrases = [(start / TOKENS_PER_SECOND, end / TOKENS_PER_SECOND) for start, end in runs(speaking)]
    rng = np.random.default_rng((seed, _POSTURE))
    planned = posture_plan.plan_rows(phrases, len(features), manner, weights.info.rests, rng)
    return np.concatenate([features, planned], axis=1, dtype=np.float32)


def sample_codes(
    weights: Weights, features: npt.NDArray[np.float32], sampling: Sampling, progress: Progress
) -> npt.NDArray[np.int64]:
    """Features (T, n), raw, to codes (2, 4, T): body and hands, four levels each."""
    return sample_many(weights, [(features, sampling)], progress)[0]


def sample_many(
    weights: Weights, clips: Sequence[tuple[npt.NDArray[np.float32], Sampling]], progress: Progress
) -> list[npt.NDArray[np.int64]]:
    """Several clips in one go. They may differ in length and seed; how they are sampled is the first clip's."""
    from backend.models import sampling as draws
    from backend.models.generate import generate_many

    wanted = clips[0][1]
    info = weights.info
    chosen = draws.Sampling(
        info.temperature if wanted.temperature is None else wanted.temperature,
        info.top_k if wanted.top_k is None else wanted.top_k,
        info.top_p if wanted.top_p is None else wanted.top_p,
        (info.guidance_body, info.guidance_hands) if wanted.guidance is None else wanted.guidance,
    )
    return generate_many(
        weights,
        [conditions(weights, features, sampling.manner, sampling.seed) for features, sampling in clips],
        [sampling.seed for _, sampling in clips],
        sampling=chosen,
        exact=wanted.exact,
        progress=progress,
    )


def decode(
    weights: Weights,
    codes: npt.NDArray[np.int64],
    *,
    exact: bool = False,
    inserts: tuple[tuple[int, int], ...] = (),
    progress: Progress | None = None,
) -> Motion:
    """Codes (2, 4, T) to canonical motion of 8 T frames at 60 fps, float32, as decoded: nothing corrected yet.

    Done in blocks, so that nothing but the result grows with the length.
    """
    length = codes.shape[2]
    skeleton = canonical()
    root = np.empty((length * FRAMES_PER_TOKEN, 3))
    rotations = empty((length * FRAMES_PER_TOKEN, len(skeleton), 4))
    place: npt.NDArray[np.floating] = skeleton.offsets[0]
    for start, end, low, high in pieces(length, BLOCK):
        part = progress.span(start / length, end / length) if progress is not None else None
        near = [(a - low, b - low) for a, b in inserts if a >= low and b <= high]
        vectors = decode_codes(weights, codes[:, :, low:high], inserts=near, exact=exact, progress=part)
        if part is not None:
            part.check()
        # The frame before the block leads in: its displacement to the first frame is the block's own.
        lead = 1 if start > low else 0
        first, last = (start - low) * FRAMES_PER_TOKEN - lead, (end - low) * FRAMES_PER_TOKEN
        block = layout.to_motion(vectors[first:last], place)
        root[start * FRAMES_PER_TOKEN : end * FRAMES_PER_TOKEN] = block.root_positions[lead:]
        rotations[start * FRAMES_PER_TOKEN : end * FRAMES_PER_TOKEN] = block.rotations[lead:]
        place = block.root_positions[-1]
        release(rotations)
    return Motion(FPS, skeleton, root, rotations)


def synthesise(
    weights: Weights,
    codes: npt.NDArray[np.int64],
    seconds: float,
    activity: npt.NDArray[np.floating],
    *,
    intensity: float = 1.0,
    exact: bool = False,
    progress: Progress | None = None,
) -> Motion:
    """Codes to the finished rhythmic motion of `seconds`, 60 fps; `activity` (T,) calms it in long silence that
    the generators cannot tell, and where nobody speaks at all the motion can be repeated: an idle for listeners."""
    progress = progress or Progress()
    motion = decode(weights, codes, exact=exact, progress=progress.span(0.0, 0.5))
    # generators of prosody know silence, and how people stand in it
    tells_silence = weights.info.audio_input.features == "prosody"
    return postprocess.finish(
        motion,
        seconds,
        own=weights.info.gains,
        loop=tells_silence and not exact and not np.any(activity),
        root=weights.info.root,
        intensity=intensity,
        activity=None if tells_silence else activity,
        progress=progress.span(0.5, 1.0),
    )
