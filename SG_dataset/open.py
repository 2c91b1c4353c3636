"""The one door to a gesture library: ours by name (built once where it is missing), a folder, or layers of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sg_blender_addon.core.errors import UserError
from SG_dataset.build import ensure_built
from SG_dataset.library import FILE, Library

OVER_OURS = "+starter"  # behind a library's place: lay it over ours


def open_library(where: str | Path | Sequence[str | Path] = "starter") -> Library:
    """Open "starter" (ours; built once if this checkout has no built file) or the library in a folder or file.

    Several, as a sequence or as "DIR+starter", are laid over each other, gesture by gesture: what the first has, it
    has alone. UserError if one is absent or broken."""
    layers = _layers(where)
    if len(layers) > 1:
        return Library.overlay([open_library(layer) for layer in layers])
    return Library.read(ensure_built() if str(layers[0]) == "starter" else _file_at(Path(layers[0])))


def _layers(where: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """The libraries that a setting names, uppermost first."""
    if isinstance(where, str):
        return [where.removesuffix(OVER_OURS), "starter"] if where.endswith(OVER_OURS) else [where]
    return [where] if isinstance(where, Path) else list(where)


def _file_at(where: Path) -> Path:
    """The library's file at a place; UserError if there is none or the place cannot be looked into."""
    try:
        path = where / FILE if where.is_dir() else where
        if path.is_file():
            return path
        motions = where.is_dir() and any(p.suffix.lower() == ".bvh" for p in (*where.iterdir(), *where.glob("bvh/*")))
    except OSError as problem:
        raise UserError(
            f"The gesture library {where} cannot be read: {problem.strerror}.",
            "Check its permissions.",
            "library_broken",
        ) from problem
    raise UserError(
        f"There is no gesture library at {where}.",
        f"Its motions become one with: python -m SG_dataset import {where} -o LIBRARY."
        if motions
        else f"Give a folder that holds {FILE}, or leave the setting at 'starter'.",
        "library_missing",
    )
