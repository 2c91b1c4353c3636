"""Motion from the files that can be measured: BVH, what `generate` writes as npz, and a motion folder's npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import wire
from sg_blender_addon.core.bvh import read_bvh
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton

SHORTEST = 30  # frames of a clip of a motion folder
FROZEN = 1e-3  # a clip whose rotations change less is no motion


@dataclass(frozen=True, eq=False)
class Measurable:
    """The clips of a file, and the joins (s) of its gestures where the file says so."""

    clips: tuple[Motion, ...]
    joins: tuple[float, ...] = ()
    passed_over: int = 0


def read(source: str | Path) -> Measurable:
    """A BVH, an npz of `generate`, or an npz of a motion folder, also one of its sets or clips: `FILE.npz:SET/CLIP`.

    Frozen clips of a folder and those under a second are passed over and counted. UserError for anything else.
    """
    path, _, wanted = str(source).partition(".npz:")
    if not str(source).lower().endswith(".npz") and not wanted:
        return Measurable((read_bvh(source),))
    file = Path(f"{path}.npz" if wanted else path)
    try:
        with zipfile.ZipFile(file) as archive:
            ours = "meta.npy" in archive.namelist()
        if ours:
            with file.open("rb") as opened:
                meta, arrays = wire.unpack(opened)
            return Measurable((wire.motion_from("merged", meta, arrays),), joins_of(meta.get("segments", [])))
        return _folder(file, wanted)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(
            f"{file.name} holds no motion that can be measured ({error}).",
            "Give a BVH or npz of `generate`, or the npz of a motion folder (docs/training.md).",
            "bad_motion_data",
        ) from error


def joins_of(segments: Any) -> tuple[float, ...]:
    """Where the segments of a REPORT.json begin and end, s."""
    try:
        return tuple(sorted(float(s[edge]) for s in segments for edge in ("start", "end")))
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            "The report's segments cannot be read.", "Give one that `generate` wrote.", "bad_manifest"
        ) from error


def _folder(file: Path, wanted: str) -> Measurable:
    with np.load(file, allow_pickle=False) as data:
        keys = [k for k in data if k.endswith("/q") and wanted in ("", k.split("/")[0], k[:-2])]
        shapes = {k: data[k] for k in keys}
        kept = [k for k, q in shapes.items() if len(q) >= SHORTEST and np.abs(q - q[:1]).max() >= FROZEN]
        clips = tuple(_clips(data, kept))
    if not clips:
        raise UserError(f"{file.name} holds no clip {wanted}".strip() + ".", "Its index.json lists them.", "no_motion")
    return Measurable(clips, passed_over=len(keys) - len(kept))


def _clips(data: Any, keys: list[str]) -> Iterator[Motion]:
    for key in keys:
        group = key.split("/")[0]
        skeleton = Skeleton(
            tuple(str(n) for n in data[f"{group}/names"]),
            tuple(int(p) for p in data[f"{group}/parents"]),
            data[f"{group}/offsets"].astype(float) * 100,
            (),
            np.zeros((0, 3)),
        )
        fps = float(data[f"{group}/fps"]) if f"{group}/fps" in data else 30.0
        root, q = data[key[:-1] + "root"].astype(float) * 100, data[key].astype(float)
        yield Motion(fps, skeleton, root, rot.continuous(rot.normalize(rot.from_xyzw(q))))
