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

from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.figure import FigureRenderer
from SG_dataset.notation import GestureSpec
from SG_dataset.sheet import sheet

CELL, CLIP, CLIP_FPS = 170, 180, 12


def write_gallery(
    gestures: Sequence[GestureSpec], folder: Path, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Write `index.html` with its pictures into a folder and return the page. Pictures are WebP."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for spec in gestures:
        progress(f"{spec.id} {spec.label}")
        for variant in spec.variants:
            compiled = compile_variant(spec, variant)
            name = f"{spec.id}-{variant.number}"
            if variant.number == 1:
                _save_image(
                    sheet(compiled.motion, phases=compiled.phases, cell=CELL), folder / f"{name}.webp", quality=72
                )
            save_clip(compiled, folder / f"{name}-clip.webp")
        records.append(_record(spec))
    page = folder / "index.html"
    _save(lambda p: p.write_text(_page(records), "utf-8"), page)
    return page


def save_clip(compiled: Compiled, path: Path) -> None:
    """A looping WebP of the whole clip from the front."""
    renderer = FigureRenderer(compiled.motion, (CLIP, CLIP), "front", full_body=False)
    step = round(compiled.motion.fps / CLIP_FPS)
    frames = [PillowImage.fromarray(renderer.frame(f)) for f in range(0, len(compiled.motion), step)]
    options = {"save_all": True, "append_images": frames[1:], "duration": round(1000 / CLIP_FPS), "loop": 0}
    _save(lambda p: frames[0].save(p, "WEBP", quality=45, method=5, **options), path)


def _save_image(image: NDArray[np.uint8], path: Path, **options: int) -> None:
    kind = path.suffix[1:].upper()
    _save(lambda p: PillowImage.fromarray(image).save(p, kind, **options), path)


def _save(write: Callable[[Path], object], path: Path) -> None:
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def blind_set(gestures: Sequence[GestureSpec], folder: Path, seed: int, cell: int = 250) -> None:
    """Sheets under shuffled numbers for naming blind, and `key.json` (number to id) that the reader must not see."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(gestures))
    key = {}
    for number, i in enumerate(order):
        spec = gestures[i]
        compiled = compile_variant(spec, spec.variants[0])
        name = f"{number:03d}.png"
        _save_image(sheet(compiled.motion, phases=compiled.phases, cell=cell), folder / name)
        key[name] = spec.id
    (folder / "key.json").write_text(json.dumps(key, indent=1), "utf-8")


def _page(records: Sequence[dict[str, object]]) -> str:
    data = json.dumps(records, ensure_ascii=False).replace("</", "<\\/")
    template = (Path(__file__).parent / "gallery.html").read_text("utf-8")
    return template.replace("{{title}}", html.escape("Gesture gallery")).replace("{{data}}", data)
