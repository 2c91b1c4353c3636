"""Arrays that may be too large for memory: an hour of rotations takes 200 MB, and several are needed at once.

`empty` puts arrays beyond LARGE bytes into a temporary file that is mapped into memory and vanishes with the array.
`blocks` walks along arrays and hands the memory of what it has passed back to the system. Stages that walk so need as
much memory for two hours as for two minutes; code that takes such an array as a whole works too, and pays for it.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from .arrays import Floats

LARGE = 32 * 2**20
BLOCK = 4096  # frames: 8 MB of rotations in double precision
PIECE = 2**20  # bytes
Bytes = bytes | mmap.mmap


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """A new array of any content, in memory or, where it is large and the disk has room, in a file."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="gesticulator-") as file:
            # Written, not just made long: a full disk must show here as an error, not later as a crash.
            for start in range(0, size, PIECE):
                file.write(bytes(min(PIECE, size - start)))
            file.flush()
            return np.ndarray(shape, dtype, buffer=mmap.mmap(file.fileno(), size))
    except OSError:
        return np.empty(shape, dtype)


def copy(array: Floats) -> Floats:
    """A copy of the same type that may be large."""
    result = empty(array.shape, array.dtype)
    for part in blocks(len(array), array, result):
        result[part] = array[part]
    return result


def blocks(length: int, *arrays: npt.NDArray[Any], size: int | None = None) -> Iterator[slice]:
    """Slices of 0..length; after each the memory that `arrays` have come to take is free for others again."""
    for start in range(0, length, size or BLOCK):
        yield slice(start, min(start + (size or BLOCK), length))
        for array in arrays:
            release(array)


def release(array: npt.NDArray[Any] | Bytes | None) -> None:
    """Let the system have the memory of a mapped array; what is in it stays. Does nothing for others."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)


def mapped(file: IO[bytes]) -> Bytes:
    """What is in an open file, readable in slices, also after the file has been closed and removed."""
    file.flush()
    size = file.seek(0, 2)
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""


def pieces(data: Bytes) -> Iterator[bytes]:
    """`data` in order, a piece at a time."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
        release(data)


class Growing:
    """Values that come piece by piece, and nobody knows how many there will be."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._file = tempfile.SpooledTemporaryFile(LARGE)  # noqa: SIM115 - open until `finish` or the end

    def add(self, values: npt.NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, self.dtype).tobytes())

    def __del__(self) -> None:
        self._file.close()  # of values that nobody finished: what they were read from turned out to be useless

    def finish(self, length: int) -> npt.NDArray[Any]:
        """The first `length` values; zeros where fewer came."""
        result = empty((length,), self.dtype)
        target = result.view(np.uint8)
        with self._file as file:
            file.seek(0)
            for part in blocks(len(target), target, size=PIECE):
                target[part][file.readinto(target[part].data) :] = 0
        return result
