"""The gallery page: every gesture with its sheet, a moving clip and its texts, searchable, from one folder on disk."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.progress import Progress
from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.drawing.figure import FigureRenderer
from SG_dataset.drawing.sheet import sheet
from SG_dataset.notation.records import GestureSpec
from SG_dataset.processes import process_pool

CELL, CLIP, CLIP_FPS, BLIND_CELL = 140, 150, 7.5, 250
SHEET_QUALITY = {"quality": 55, "method": 4}


def write_gallery(gestures: Sequence[GestureSpec], folder: Path, progress: Progress | None = None) -> Path:
    """Write `index.html` with its pictures into a folder and return the page. Pictures are WebP, of first variants."""
    folder.mkdir(parents=True, exist_ok=True)
    _in_parallel(_draw, [(spec, folder) for spec in gestures], progress or Progress())
    page = folder / "index.html"
    _save(lambda p: p.write_text(_page([_record(spec) for spec in gestures]), "utf-8"), page)
    return page


def _in_parallel(
    draw: Callable[[tuple[GestureSpec, Path]], None],
    tasks: Sequence[tuple[GestureSpec, Path]],
    progress: Progress,
) -> None:
    """Draw every gesture's pictures into its place, on all processors."""
    with process_pool(max(1, min(len(tasks), os.cpu_count() or 1))) as pool:
        for done, ((spec, _), _) in enumerate(zip(tasks, pool.map(draw, tasks), strict=True), 1):
            progress.stage(f"{spec.id} {spec.label}", done / len(tasks))


def _draw(task: tuple[GestureSpec, Path]) -> None:
    """A gesture's sheet and clip, into a folder."""
    spec, folder = task
    compiled = compile_variant(spec, spec.variants[0])
    _save_image(sheet(compiled.motion, phases=compiled.phases, cell=CELL), folder / f"{spec.id}.webp", **SHEET_QUALITY)
    save_clip(compiled, folder / f"{spec.id}-clip.webp")


def _draw_blind(task: tuple[GestureSpec, Path]) -> None:
    """A gesture's sheet under a name that does not tell it."""
    spec, path = task
    compiled = compile_variant(spec, spec.variants[0])
    _save_image(sheet(compiled.motion, phases=compiled.phases, cell=BLIND_CELL), path)


def save_clip(compiled: Compiled, path: Path) -> None:
    """A looping WebP of the whole clip from the front."""
    renderer = FigureRenderer(compiled.motion, (CLIP, CLIP), "front", full_body=False)
    step = round(compiled.motion.fps / CLIP_FPS)
    frames = [PillowImage.fromarray(renderer.frame(f)) for f in range(0, len(compiled.motion), step)]
    options = {
        "save_all": True,
        "append_images": frames[1:],
        "duration": round(1000 * step / compiled.motion.fps),
        "loop": 0,
    }
    _save(lambda p: frames[0].save(p, "WEBP", quality=35, method=4, **options), path)


def _save_image(image: NDArray[np.uint8], path: Path, **options: int) -> None:
    kind = path.suffix[1:].upper()
    _save(lambda p: PillowImage.fromarray(image).save(p, kind, **options), path)


def _save(write: Callable[[Path], object], path: Path) -> None:
    with replacing(path) as temporary:
        write(temporary)


def _record(spec: GestureSpec) -> dict[str, object]:
    return {
        "id": spec.id,
        "label": spec.label,
        "description": spec.description,
        "meanings": list(spec.meanings),
        "tags": [str(v) for v in spec.tags.values()],
        "examples": [[e.text, e.word] for e in spec.examples],
        "variants": [{"number": v.number, "hand": v.hand} for v in spec.variants],
    }


def blind_set(gestures: Sequence[GestureSpec], folder: Path, seed: int) -> None:
    """Sheets under shuffled numbers for naming blind, and `key.json` (number to id) that the reader must not see."""
    folder.mkdir(parents=True, exist_ok=True)
    shuffled = [gestures[i] for i in np.random.default_rng(seed).permutation(len(gestures))]
    names = [f"{number:03d}.png" for number in range(len(shuffled))]
    key = {name: spec.id for name, spec in zip(names, shuffled, strict=True)}
    (folder / "key.json").write_text(json.dumps(key, indent=1), "utf-8")
    _in_parallel(_draw_blind, [(spec, folder / name) for name, spec in zip(names, shuffled, strict=True)], Progress())


def _page(records: Sequence[dict[str, object]]) -> str:
    data = json.dumps(records, ensure_ascii=False).replace("</", "<\\/")
    template = (Path(__file__).parent / "gallery.html").read_text("utf-8")
    return template.replace("{{title}}", html.escape("Gesture gallery")).replace("{{data}}", data)
