"""Gestures in the domain of codes: encode, lay over the rhythm's codes, mix at the borders, decode.

This is how Semantic Gesticulator blends (arXiv 2405.09814): the gesture's codes replace the rhythm's, and at the
borders the summed latents of both are mixed and quantised again, so that the decoder makes the transition. Other than
in the released code, each part (body, hands) mixes with its own side of the gesture at every border token, weights
follow half a cosine, gestures may begin anywhere, and their stroke is exact: the clip is encoded as it lies on the
token grid.

Codes lose detail, fingers above all. `choose` therefore measures for every variant what encoding and decoding does to
the hands and takes this way only where it does no harm; else the gesture is blended as motion (`blend`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from backend.cache import CodeCache
from backend.gestures.phases import Placement
from backend.gestures.place import find_variant
from backend.models.codec import encode_motion
from backend.models.config import FRAMES_PER_TOKEN
from backend.models.weights import Weights
from backend.motion.blend import gesturing_joints, placement
from backend.motion.postprocess import fit_length, resample
from backend.motion.rhythm import decode
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Segment
from SG_dataset.library import Library
from SG_dataset.records import Variant

Codes = npt.NDArray[np.int64]

PADDING = 8  # tokens of held pose around a clip, so that the encoder's window never sees a hard edge
BORDER = 3  # tokens mixed at each side, as the reference does
# Mean error of the gesturing arm's joints in the hold that nobody sees, degrees: above it fingers look different.
GOOD_ENOUGH = 4.0


def _key(weights: Weights, motion: Motion, what: str) -> str:
    """Of everything that the codes of a motion depend on."""
    digest = hashlib.sha256(f"{what} {weights.info.content_hash} {len(motion)}".encode())
    digest.update(np.round(motion.rotations, 5).astype(np.float32).tobytes())
    digest.update(np.round(motion.root_positions, 3).astype(np.float32).tobytes())
    return digest.hexdigest()[:40]


def token_span(placed: Placement, tokens: int) -> tuple[int, int]:
    """First and last (excluded) token that a placed gesture covers."""
    rate = 60.0 / FRAMES_PER_TOKEN
    first = max(0, int(np.floor(placed.start * rate)))
    return first, min(tokens, max(first + 1, int(np.ceil(placed.end * rate))))


def encode_clip(
    weights: Weights, variant: Variant, placed: Placement, span: tuple[int, int], cache: CodeCache
) -> Codes:
    """Codes (2, levels, n) of a variant as it is placed, on the token grid of the timeline."""
    first, last = span
    frames = np.arange((first - PADDING) * FRAMES_PER_TOKEN, (last + PADDING) * FRAMES_PER_TOKEN)
    clip = variant.motion().at(placed.source_times(frames / 60.0))
    key = _key(weights, clip, "codes")
    known = cache.get(key)
    if known is None:
        known = encode_motion(weights, clip)[:, :, PADDING : PADDING + last - first].astype(float)
        cache.put(key, known)
    return known.astype(np.int64)


def reconstruction_error(weights: Weights, variant: Variant, cache: CodeCache) -> float:
    """What encoding and decoding does to a variant: mean angle (degrees) of the gesturing arms' joints in the hold."""
    clip = variant.motion()
    key = _key(weights, clip, "error")
    known = cache.get(key)
    if known is None:
        placed = Placement.of(variant.phases, variant.seconds, 0.0, variant.phases.stroke, variant.seconds)
        tokens = int(np.ceil(len(clip) / FRAMES_PER_TOKEN)) + 2 * PADDING
        shift = PADDING * FRAMES_PER_TOKEN
        times = (np.arange(tokens * FRAMES_PER_TOKEN) - shift) / 60.0
        shown = clip.at(np.clip(times, 0.0, variant.seconds))
        again = decode(weights, encode_motion(weights, shown))
        stroke, rest = (shift + int(t * 60) for t in (placed.stroke_start, max(placed.retraction, placed.stroke)))
        window = slice(min(stroke, rest), max(stroke, rest) + 1)
        joints = gesturing_joints(clip.skeleton, variant.hand)
        turned = rot.mul(rot.inverse(shown.rotations[window][:, joints]), again.rotations[window][:, joints])
        known = np.array([float(np.degrees(rot.angle(turned)).mean())])
        cache.put(key, known)
    return float(known[0])


def choose(
    weights: Weights,
    segments: Sequence[Segment],
    library: Library,
    how: str,
    cache: CodeCache,
    progress: Progress | None = None,
) -> list[Segment]:
    """Segments with their `blend` set: "motion" or "codes" for all, or for each what "auto" measures. Locked ones keep
    theirs, which may be "auto" too."""
    progress, result = progress or Progress(), []
    for done, segment in enumerate(segments):
        progress.stage("blend", done / len(segments))
        wanted = segment if segment.locked else replace(segment, blend=how)
        result.append(measured(weights, wanted, library, cache))
    return result


def measured(weights: Weights, segment: Segment, library: Library, cache: CodeCache) -> Segment:
    """The segment with "auto" turned into what does its gesture no harm; any other choice stands."""
    if segment.blend != "auto":
        return segment
    variant = find_variant(library, segment.gesture_id, segment.variant)
    harmless = reconstruction_error(weights, variant, cache) < GOOD_ENOUGH
    return replace(segment, blend="codes" if harmless else "motion")


def lay_over(
    weights: Weights, codes: Codes, segments: Sequence[Segment], library: Library, seconds: float, cache: CodeCache
) -> tuple[Codes, tuple[tuple[int, int], ...]]:
    """The rhythm's codes (2, levels, T) with the "codes" segments laid over them, and the gestures' token spans."""
    merged, spans = codes.copy(), []
    for segment in sorted(segments, key=lambda s: s.start):
        if segment.blend != "codes":
            continue
        variant = find_variant(library, segment.gesture_id, segment.variant)
        placed = placement(segment, variant, seconds)
        span = token_span(placed, codes.shape[2])
        clip = encode_clip(weights, variant, placed, span, cache)
        _mix_borders(weights, merged, clip, span)
        merged[:, :, span[0] : span[1]] = clip
        spans.append(span)
    return merged, tuple(spans)


def _mix_borders(weights: Weights, merged: Codes, clip: Codes, span: tuple[int, int]) -> None:
    """Mix the tokens beside `span` towards the clip's first and last token, in latents, and quantise them again."""
    first, last = span
    # Weight of the gesture: 0.3 to 0.7 along half a cosine, rising towards the gesture on both sides.
    weight = 0.5 - 0.2 * np.cos(np.pi * np.arange(BORDER) / max(BORDER - 1, 1))
    with torch.inference_mode():
        for part, (model, codes, own) in enumerate(zip(weights.tokenizer.parts, merged, clip, strict=True)):
            for edge, places, shares in (
                (own[:, :1], np.arange(first - BORDER, first), weight),
                (own[:, -1:], np.arange(last, last + BORDER), weight[::-1]),
            ):
                inside = (places >= 0) & (places < merged.shape[2])
                if not inside.any():
                    continue
                here = model.bottleneck.decode(_tensor(weights, codes[:, places[inside]]))
                there = model.bottleneck.decode(_tensor(weights, edge))
                share = torch.from_numpy(shares[inside].copy()).to(here)[:, None]
                mixed = model.bottleneck.encode(here * (1 - share) + there * share)
                merged[part][:, places[inside]] = mixed.cpu().numpy()


def _tensor(weights: Weights, codes: Codes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(codes)).to(weights.tokenizer.body_columns.device)


def decoded_motion(
    weights: Weights,
    codes: Codes,
    segments: Sequence[Segment],
    library: Library,
    seconds: float,
    cache: CodeCache,
    *,
    exact: bool = False,
    progress: Progress | None = None,
) -> Motion | None:
    """The motion of the merged codes, frame by frame beside the rhythm at 60 fps; None where no segment wants it."""
    if not any(s.blend == "codes" for s in segments):
        return None
    merged, spans = lay_over(weights, codes, segments, library, seconds, cache)
    return fit_length(decode(weights, merged, exact=exact, inserts=spans, progress=progress), seconds)


def codes_of(weights: Weights, rhythm: Motion) -> Codes:
    """Codes of a rhythm that only its motion is known of; held at its end to whole tokens."""
    motion = resample(rhythm, 60.0)
    tokens = int(np.ceil(len(motion) / FRAMES_PER_TOKEN))
    return encode_motion(weights, fit_length(motion, tokens * FRAMES_PER_TOKEN / 60.0))
