"""Whole sequences through the tokenizer, a piece at a time, so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter
from torch import Tensor

from backend.models.config import FRAMES_PER_TOKEN
from backend.models.layout import JOINT_COLUMNS, WIDTH, to_vectors
from backend.models.threads import one_thread
from backend.models.tokenizer import MARGIN, Tokenizer, VectorQuantizedPart
from backend.models.weights import Weights
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.storage import blocks, empty

Smoothing = Literal["none", "latent", "frames"]
Inserts = Sequence[tuple[int, int]]
Codes = npt.NDArray[np.int64]

PIECE = 256  # tokens decoded at once, beside the margins
SIGMA = 5.0  # frames
FAST_STRIDE = 5


def pieces(length: int, piece: int = PIECE) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, from, to): tokens start..end are wanted, from..to are needed to know them."""
    for start in range(0, length, piece):
        end = min(start + piece, length)
        yield start, end, max(0, start - MARGIN), min(length, end + MARGIN)


def _part_latents(
    part: VectorQuantizedPart, codes: Tensor, smoothing: Smoothing, inserts: Inserts, stride: int
) -> Tensor:
    """Codes (levels, L) to what the convolutional decoder sees (L, width)."""
    latents = part.bottleneck.decode(codes)
    window, length = part.config.window, len(latents)
    if smoothing == "latent" and length >= 5:
        filtered = savgol_filter(latents.cpu().numpy(), 5, 2, axis=0)
        latents = torch.from_numpy(filtered).to(latents)
    out = part.decoder_transformer.sequence(latents, stride)
    if length > window:
        # a gesture is shown to the transformer as it was seen in training: whole, at the end of one window
        for _, end in inserts:
            first = max(end - window, 0)
            if first + window <= length:
                out[first : first + window] = part.decoder_transformer(latents[None, first : first + window])[0]
    return out


def decode_standardised(
    tokenizer: Tokenizer,
    codes: npt.ArrayLike,
    *,
    smoothing: Smoothing = "none",
    inserts: Inserts = (),
    stride: int = 1,
    piece: int = PIECE,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Codes (2, levels, T) to standardised motion vectors (8 T, 219).

    smoothing: "latent" is the reference's Savitzky-Golay filter (5, order 2) over the summed code vectors, "frames" its
    Gaussian (sigma 5 frames) over the motion. inserts: token spans [start, end) of inserted gestures. stride: see
    `LatentTransformer.sequence`. Pieces give the same result as the whole at once.
    """
    codes = np.asarray(codes, dtype=np.int64)
    length = codes.shape[-1]
    motion = np.zeros((length * FRAMES_PER_TOKEN, WIDTH), dtype=np.float32)
    device = tokenizer.body_columns.device
    with torch.inference_mode():
        for start, end, low, high in pieces(length, piece):
            if progress is not None:
                progress.stage("decode", start / length)
            # an insert that ends in this piece or near it; the rest lies outside of what the piece can see
            near = [(s - low, e - low) for s, e in inserts if low < e <= high and (e - low >= 15 or low == 0)]
            parts = []
            for part, part_codes in zip(tokenizer.parts, codes, strict=True):
                if progress is not None:
                    progress.check()
                piece_codes = torch.from_numpy(part_codes[:, low:high].copy()).to(device)
                latents = _part_latents(part, piece_codes, smoothing, near, stride)
                parts.append(part.deconvolve(latents[None])[0])
            frames = tokenizer.join(*parts).float().cpu().numpy()
            if smoothing == "frames":
                frames = gaussian_filter1d(frames, SIGMA, axis=0)
            first = (start - low) * FRAMES_PER_TOKEN
            span = (end - start) * FRAMES_PER_TOKEN
            motion[start * FRAMES_PER_TOKEN : end * FRAMES_PER_TOKEN] = frames[first : first + span]
    return motion


def encode_standardised(tokenizer: Tokenizer, vectors: npt.ArrayLike, *, stride: int = 1, piece: int = PIECE) -> Codes:
    """Standardised motion vectors (F, 219) to codes (2, levels, F // 8); frames beyond a full token are not used."""
    vectors = np.asarray(vectors, dtype=np.float32)
    length = len(vectors) // FRAMES_PER_TOKEN
    levels = tokenizer.config.body.levels
    codes = np.zeros((2, levels, length), dtype=np.int64)
    with torch.inference_mode():
        for start, end, low, high in pieces(length, piece):
            frames = torch.from_numpy(vectors[low * FRAMES_PER_TOKEN : high * FRAMES_PER_TOKEN].copy())
            for i, (part, x) in enumerate(
                zip(tokenizer.parts, tokenizer.split(frames.to(tokenizer.body_columns.device)), strict=True)
            ):
                found = part.encode(x[None], stride)[:, 0]
                codes[i, :, start:end] = found[:, start - low : end - low].cpu().numpy()
    return codes


def decode_codes(
    weights: Weights,
    codes: npt.ArrayLike,
    *,
    inserts: Inserts = (),
    smoothing: Smoothing | None = None,
    exact: bool = False,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Codes (2, levels, T) to raw motion vectors (8 T, 219). exact: the reference's stride of one token.

    smoothing None: what the weights recommend, a Gaussian of their own over the frames, else the reference's "latent".
    """
    sigma = weights.info.frame_sigma if smoothing is None else 0.0
    if smoothing is None:
        smoothing = "none" if sigma else "latent"
    stride = 1 if exact else FAST_STRIDE
    with one_thread():
        standardised = decode_standardised(
            weights.tokenizer, codes, inserts=inserts, smoothing=smoothing, stride=stride, progress=progress
        )
    if sigma:
        gaussian_filter1d(standardised, sigma, axis=0, output=standardised, mode="nearest")
    return weights.body_scaler.restore(standardised)


def encode_motion(weights: Weights, motion: Motion) -> Codes:
    """Canonical motion at 60 fps (F frames) to codes (2, levels, F // 8)."""
    vectors = empty((len(motion), WIDTH))
    near: npt.NDArray[Any] = rot.IDENTITY
    for part in blocks(len(motion), motion.rotations, vectors):
        first = max(part.start - 1, 0)  # the frame before leads in: hemispheres and displacement follow it
        raw = to_vectors(motion.slice(first, part.stop), near)[part.start - first :]
        near = rot.from_half_log(raw[-1, JOINT_COLUMNS].reshape(-1, 3))
        vectors[part] = weights.body_scaler.standardise(raw)
    with one_thread():
        return encode_standardised(weights.tokenizer, vectors)
