"""The lists of packages in `locks/`: what is pinned, and how many bytes a machine has to download."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from ..core.errors import UserError
from . import platforms

BACKEND, WITHOUT_TORCH, INSTALLER, UV = "backend", "backend-without-torch", "installer", "uv"
SMALL_TORCH_BYTES = 192_000_000
"""Of PyTorch's CPU build for Linux (2.13.0), which no lock knows."""
LARGE = 1_000_000_000
"""A torch that is larger brings CUDA with it."""
UNPACKED, UNPACKED_CUDA = 2.8, 1.9
"""Bytes on the disk for a byte of the wheels, without CUDA (2.75 on Linux, torch 2.13.0) and with it (1.82)."""


def path(root: Path, name: str) -> Path:
    """The lock of that name in the extension, or checkout, at `root`."""
    return root / "locks" / f"{name}.txt"


def requirements(root: Path, name: str) -> list[str]:
    """Its entries, each a line as pip reads it: `name==version ; marker --hash=...`. UserError when it is missing."""
    try:
        text = path(root, name).read_text("utf-8")
    except OSError as error:
        raise _broken() from error
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [re.sub(r"\s+", " ", line.split(" #")[0]).strip() for line in lines if line and not line.startswith("#")]


def pin(root: Path, package: str) -> str:
    """`package==version`, from the backend's lock."""
    for line in requirements(root, BACKEND):
        if match := re.match(rf"({re.escape(package)}==[^\s;]+)", line):
            return match[1]
    raise _broken()


def fingerprint(root: Path) -> str:
    """Changes when the packages that the backend needs change. Cheap: panels ask for it at every redraw."""
    files = (path(root, BACKEND), path(root, WITHOUT_TORCH))
    return _fingerprint(files, tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files))


@lru_cache(maxsize=8)
def _fingerprint(files: tuple[Path, ...], _changed: tuple[int, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def download_bytes(root: Path, small: bool, key: str | None = None) -> int | None:
    """What a machine has to download, None where nobody knows (a system for which there is no torch).

    small: with PyTorch's CPU build where the usual one brings CUDA.
    """
    sizes = _sizes(root / "locks" / "sizes.json")
    key = key or platforms.key()
    whole, rest = sizes.get(BACKEND, {}).get(key), sizes.get(WITHOUT_TORCH, {}).get(key)
    return rest + SMALL_TORCH_BYTES if small and rest is not None and brings_cuda(root, key) else whole


def unpacked_bytes(root: Path, small: bool) -> int | None:
    """About what the environment takes on the disk; None where nobody knows."""
    size = download_bytes(root, small)
    return None if size is None else round(size * (UNPACKED_CUDA if brings_cuda(root) and not small else UNPACKED))


def brings_cuda(root: Path, key: str | None = None) -> bool:
    """True where the usual torch comes with gigabytes of CUDA."""
    sizes = _sizes(root / "locks" / "sizes.json")
    key = key or platforms.key()
    return sizes.get(BACKEND, {}).get(key, 0) - sizes.get(WITHOUT_TORCH, {}).get(key, 0) > LARGE


@lru_cache(maxsize=4)
def _sizes(file: Path) -> dict[str, dict[str, int]]:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def size_text(size: int) -> str:
    """Bytes as people say them: "520 MB", "3.2 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= LARGE else f"{size / 1e6:.0f} MB"


def _broken() -> UserError:
    return UserError(
        "The list of the backend's packages is missing from the extension.",
        "Install the extension again.",
        "extension_broken",
    )
