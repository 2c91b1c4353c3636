"""The wire format: an npz with numeric arrays and one JSON text of metadata. No pickle, bounded size."""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from .errors import UserError
from .motion import Motion
from .skeleton import Skeleton
from .storage import PIECE, blocks, empty

MAX_BYTES = 4_000_000_000
_META = "meta"
_KINDS = "biuf"


def pack(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Bytes of an npz that holds `arrays` and, under "meta", the JSON of `meta`."""
    buffer = io.BytesIO()
    write(buffer, meta, arrays)
    return buffer.getvalue()


def write(file: IO[bytes], meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """`pack` into an open file, a block at a time."""
    if _META in arrays:
        raise ValueError("an array cannot be called 'meta'")
    text = np.frombuffer(json.dumps(meta, allow_nan=False).encode(), dtype=np.uint8)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {_META: text, **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)


def _write_array(member: IO[bytes], array: npt.NDArray[Any]) -> None:
    description = {**npy.header_data_from_array_1_0(array), "fortran_order": False}
    npy.write_array_header_1_0(member, description)
    for part in blocks(len(array), array):
        member.write(array[part].tobytes())


def unpack(data: bytes | IO[bytes], max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Metadata and arrays of `pack`'s bytes, or of a file (open for reading) that holds them.

    Raises UserError when the bytes are cut off, hold anything but numbers, or would unpack to more than max_bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data) as archive:
            members = archive.infolist()
            if sum(info.file_size for info in members) > max_bytes:
                raise UserError("The motion data is larger than allowed.", "Generate a shorter range.", "too_large")
            arrays = {info.filename.removesuffix(".npy"): _read_array(archive, info) for info in members}
        meta = json.loads(bytes(arrays.pop(_META)))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError,
            RuntimeError, TypeError, OverflowError, tokenize.TokenError) as error:  # fmt: skip
        raise UserError(
            "The motion data is damaged or not in our format.", "Generate it again.", "bad_motion_data"
        ) from error
    if not isinstance(meta, dict):
        raise UserError("The motion data is not in our format.", "Generate it again.", "bad_motion_data")
    return meta, arrays


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """One array, straight to its place. ValueError for what is no plain array of numbers."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("compressed in a way that we do not use")
    with archive.open(info) as member:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(member)]
        shape, fortran, dtype = read_header(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in _KINDS or not 0 <= size <= info.file_size or max(shape, default=0) > info.file_size:
            raise ValueError("not an array of numbers")
        array = empty(shape[::-1] if fortran else shape, dtype)
        target = array.reshape(-1).view(np.uint8)
        for part in blocks(size, target, size=PIECE):
            if member.readinto(target[part]) != part.stop - part.start:  # type: ignore[attr-defined]
                raise EOFError("cut off")
    return array.T if fortran else array


def motion_arrays(name: str, motion: Motion) -> dict[str, npt.NDArray[np.float32]]:
    """`{name}_root` (F, 3) cm and `{name}_rotations` (F, J, 4) w x y z, float32."""
    return {
        f"{name}_root": motion.root_positions.astype(np.float32, copy=False),
        f"{name}_rotations": motion.rotations.astype(np.float32, copy=False),
    }


def motion_from(name: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Motion:
    """The motion that `motion_arrays` wrote; meta holds "fps" and "skeleton". UserError when it does not fit."""
    try:
        skeleton = Skeleton.from_json(meta["skeleton"])
        root, rotations = arrays[f"{name}_root"], arrays[f"{name}_rotations"]
        for array in (root, rotations):
            if not all(np.isfinite(array[part]).all() for part in blocks(len(array), array)):
                raise ValueError("not finite")
        return Motion(float(meta["fps"]), skeleton, root, rotations)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"The motion data has no usable {name} motion.", "Generate it again.", "bad_motion_data"
        ) from error
