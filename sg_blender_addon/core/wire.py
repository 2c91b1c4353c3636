"""The wire format: an npz with numeric arrays and one JSON text of metadata. No pickle, bounded size."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .motion import Motion
from .skeleton import Skeleton

MAX_BYTES = 4_000_000_000
_META = "meta"
_KINDS = "biuf"


def pack(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Bytes of an npz that holds `arrays` and, under "meta", the JSON of `meta`."""
    if _META in arrays:
        raise ValueError("an array cannot be called 'meta'")
    text = np.frombuffer(json.dumps(meta, allow_nan=False).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **{_META: text}, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(data: bytes, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Metadata and arrays of `pack`'s bytes.

    Raises UserError when the bytes are cut off, hold anything but numbers, or would unpack to more than max_bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > max_bytes:
                raise UserError("The motion data is larger than allowed.", "Generate a shorter range.", "too_large")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(bytes(arrays.pop(_META)))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            "The motion data is damaged or not in our format.", "Generate it again.", "bad_motion_data"
        ) from error
    if not isinstance(meta, dict) or any(a.dtype.kind not in _KINDS for a in arrays.values()):
        raise UserError("The motion data is not in our format.", "Generate it again.", "bad_motion_data")
    return meta, arrays


def motion_arrays(name: str, motion: Motion) -> dict[str, npt.NDArray[np.float32]]:
    """`{name}_root` (F, 3) cm and `{name}_rotations` (F, J, 4) w x y z, float32."""
    return {
        f"{name}_root": motion.root_positions.astype(np.float32),
        f"{name}_rotations": motion.rotations.astype(np.float32),
    }


def motion_from(name: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Motion:
    """The motion that `motion_arrays` wrote; meta holds "fps" and "skeleton". UserError when it does not fit."""
    try:
        skeleton = Skeleton.from_json(meta["skeleton"])
        root, rotations = arrays[f"{name}_root"], arrays[f"{name}_rotations"]
        if not (np.isfinite(root).all() and np.isfinite(rotations).all()):
            raise ValueError("not finite")
        return Motion(float(meta["fps"]), skeleton, root, rotations)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"The motion data has no usable {name} motion.", "Generate it again.", "bad_motion_data"
        ) from error
