"""Building the library: every gesture file to motions and a picture, in one zip."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image as PillowImage

from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from SG_dataset.compiler.compile import compile_variant
from SG_dataset.drawing.sheet import preview
from SG_dataset.library import BUILT, FILE, write_library
from SG_dataset.notation.read import FOLDER, read_gestures
from SG_dataset.notation.records import GestureSpec
from SG_dataset.phases import Phases
from SG_dataset.records import NewGesture, NewVariant

INFO = {
    "name": "starter",
    "licence": "CC0-1.0",
    "source": "authored in SG_dataset/gestures",
    "frames_per_second": 60,
}
PREVIEW_SIZE = 192  # pixels
LOCK_PATIENCE = 600.0  # seconds to wait for another process that is building


def preview_png(motion: Motion, phases: Phases, size: int = PREVIEW_SIZE) -> bytes:
    """A small PNG of the stroke, with its path."""
    image = PillowImage.fromarray(preview(motion, phases, size))
    out = io.BytesIO()
    image.quantize(96).save(out, "PNG", optimize=True)
    return out.getvalue()


def new_gesture(spec: GestureSpec, with_preview: bool = True) -> NewGesture:
    """Compile a gesture file's variants."""
    compiled = [compile_variant(spec, v) for v in spec.variants]
    variants = tuple(
        NewVariant(v.number, c.motion, c.phases, v.hand) for v, c in zip(spec.variants, compiled, strict=True)
    )
    return NewGesture(
        spec.id,
        spec.label,
        spec.description,
        spec.meanings,
        spec.examples,
        spec.tags,
        variants,
        preview_png(compiled[0].motion, compiled[0].phases) if with_preview else b"",
    )


def build(folder: Path = BUILT, source: Path = FOLDER, progress: Progress | None = None) -> Path:
    """Build the library of `source` into `folder`; returns the file. UserError names the gesture file that is wrong."""

    progress = progress or Progress()

    def gestures() -> Iterator[NewGesture]:
        specs = list(read_gestures(source))
        for done, spec in enumerate(specs):
            progress.stage(f"{spec.id} {spec.label}", done / len(specs))
            yield new_gesture(spec)

    path = folder / FILE
    write_library(gestures(), path, INFO)
    return path


def size_report(path: Path) -> str:
    """One line about a built library."""
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB"


def ensure_built(folder: Path = BUILT) -> Path:
    """The built library's path; if it is absent, build it once, also when several processes ask at the same time."""
    path = folder / FILE
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".building"
    deadline = time.monotonic() + LOCK_PATIENCE
    while not path.is_file():
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            if time.monotonic() > deadline or _age(lock) > LOCK_PATIENCE:
                lock.unlink(missing_ok=True)  # whoever held it is gone
                deadline = time.monotonic() + LOCK_PATIENCE
            time.sleep(0.2)
            continue
        try:
            if not path.is_file():
                build(folder)
        finally:
            lock.unlink(missing_ok=True)
    return path


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
