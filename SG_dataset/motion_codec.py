"""A canonical motion as a compact blob, and back: second differences of half-log rotations, compressed."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

FORMAT = 1
_TURN_STEP = 2.0**-13  # half-log units: 0.014 degrees
_PLACE_STEP = 2.0**-7  # cm


def _planes(values: NDArray[np.int64]) -> bytes:
    """Second differences along time, low bytes before high ones: smooth curves become runs of small numbers."""
    wide = np.diff(values, n=2, axis=0, prepend=np.zeros((2, values.shape[1]), np.int64))
    zigzag = np.where(wide < 0, -2 * wide - 1, 2 * wide).astype("<u4").T
    return np.ascontiguousarray(zigzag).view(np.uint8).reshape(-1, 4).T.tobytes()


def _unplanes(data: bytes, frames: int, columns: int) -> NDArray[np.int64]:
    zigzag = (
        np.frombuffer(data, np.uint8).reshape(4, -1).T.copy().view("<u4").reshape(columns, frames).T.astype(np.int64)
    )
    wide = np.where(zigzag % 2 == 1, -(zigzag + 1) // 2, zigzag // 2)
    return np.asarray(np.cumsum(np.cumsum(wide, axis=0), axis=0))


def encode_motion(motion: Motion) -> bytes:
    """A canonical motion as a compact blob: rotations to 0.03 degrees, places to 0.1 mm."""
    turns = np.round(rot.to_half_log(rot.continuous(_near_identity(motion.rotations))) / _TURN_STEP).astype(np.int64)
    places = np.round(motion.root_positions / _PLACE_STEP).astype(np.int64)
    table = np.concatenate([turns.reshape(len(motion), -1), places], axis=1)
    head = np.array([FORMAT, len(motion), table.shape[1], round(motion.fps * 1000)], "<i4").tobytes()
    return head + zlib.compress(_planes(table), 9)


def _near_identity(q: Floats) -> Floats:
    """Quaternions on the hemisphere where the first frame's w is positive, so that logarithms stay small."""
    return np.asarray(q * np.where(q[:1, :, :1] < 0, -1.0, 1.0))


def decode_motion(data: bytes) -> Motion:
    """The motion of a blob; UserError if it is not one."""
    try:
        version, frames, columns, millifps = (int(x) for x in np.frombuffer(data[:16], "<i4"))
        sk = canonical()
        if version != FORMAT or columns != 3 * len(sk) + 3 or not 0 < frames < 100_000:
            raise ValueError("wrong header")
        table = _unplanes(zlib.decompress(data[16:], bufsize=4 * frames * columns), frames, columns)
    except (ValueError, zlib.error) as problem:
        raise UserError(
            f"A motion of the library is broken: {problem}.", "Build the library again.", "library_broken"
        ) from problem
    turns = rot.from_half_log(table[:, :-3].reshape(frames, len(sk), 3) * _TURN_STEP)
    return Motion(millifps / 1000.0, sk, table[:, -3:] * _PLACE_STEP, turns)
