"""A gesture bank in codes: what the reference inserts for a gesture. `bank_library` makes a gesture library of it.

Keys of the reference's file are `rebuild_<ID>-<n>_chr00`, values int (2 parts, 4 levels, 1, T). Ids keep their zeros.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sg_blender_addon.core.errors import UserError

FILE = "bank.npz"
Bank = dict[tuple[str, int], npt.NDArray[np.int64]]  # (gesture id, variant) -> codes (2, levels, T)

_REFERENCE_KEY = re.compile(r"rebuild_(\d+)-(\d+)_chr\d+")
_KEY = re.compile(r"(\d+)-(\d+)")
_LIMIT = 64 * 2**20


def _arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > _LIMIT:
                raise _broken(path, "it is far too large for a gesture bank")
        with np.load(path, allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as error:
        raise _broken(path, f"it cannot be read as a gesture bank ({error})") from error


def _broken(path: Path, what: str) -> UserError:
    return UserError(f"{path.name}: {what}.", "Give the npz file of the reference's release.", "bad_reference_file")


def read_reference_bank(path: Path, levels: int, codes: int) -> Bank:
    """The reference's file. UserError where keys, shapes or codes are not what such a file holds."""
    bank: Bank = {}
    for key, values in _arrays(path).items():
        match = _REFERENCE_KEY.fullmatch(key)
        if match is None:
            raise _broken(path, f"it has an entry {key!r} that names no gesture")
        if values.ndim != 4 or values.shape[:3] != (2, levels, 1) or not np.issubdtype(values.dtype, np.integer):
            raise _broken(path, f"the entry {key!r} has shape {values.shape} instead of (2, {levels}, 1, tokens)")
        entry = values[:, :, 0].astype(np.int64)
        if entry.shape[2] == 0 or entry.min() < 0 or entry.max() >= codes:
            raise _broken(path, f"the entry {key!r} holds no codes from 0 to {codes - 1}")
        bank[match[1], int(match[2])] = entry
    if not bank:
        raise _broken(path, "it is empty")
    return bank


def to_bytes(bank: Bank) -> bytes:
    """As an npz without pickles."""
    file = io.BytesIO()
    arrays = {f"{gesture}-{number}": values.astype(np.int16) for (gesture, number), values in bank.items()}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def load_bank(folder: Path) -> Bank:
    """The bank of a weights folder; empty if it has none."""
    path = folder / FILE
    if not path.exists():
        return {}
    bank: Bank = {}
    for key, values in _arrays(path).items():
        match = _KEY.fullmatch(key)
        if match is None or values.ndim != 3:
            raise _broken(path, f"it has an entry {key!r} that is no gesture")
        bank[match[1], int(match[2])] = values.astype(np.int64)
    return bank
