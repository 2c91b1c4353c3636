"""The library as the HTTP server shows it: search, one variant's motion, its picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.wire import pack

from .stages.place import find_variant

if TYPE_CHECKING:
    from SG_dataset.library import Gesture, Library, Variant

MOST_FOUND = 50
LEAST_FIT = 0.03  # of a word's share or a meaning's probability: below it is noise
CELL = 256
PICTURES = 3


def listing(gesture: Gesture) -> dict[str, Any]:
    """A gesture as the list shows it."""
    return {
        "id": gesture.id,
        "label": gesture.label,
        "description": gesture.description,
        "meanings": list(gesture.meanings),
        "tags": list(gesture.tags),
        "variants": [_variant_info(v) for v in gesture.variants],
    }


def _variant_info(variant: Variant) -> dict[str, Any]:
    phases = variant.phases
    return {
        "number": variant.number,
        "hand": variant.hand,
        "seconds": round(variant.seconds, 4),
        "phases": {
            name: round(getattr(phases, name), 4) for name in ("stroke_start", "stroke", "stroke_end", "retraction")
        },
    }


def search(library: Library, query: str) -> list[dict[str, Any]]:
    """All gestures in the order of their labels; with a query those that fit it, best first."""
    query = query.strip()
    if not query:
        return [listing(g) for g in sorted(library.gestures.values(), key=lambda g: g.label)]
    return [listing(library.gestures[gesture_id]) for gesture_id in _ranked(library, query)[:MOST_FOUND]]


def _ranked(library: Library, query: str) -> list[str]:
    """Ids by how well labels and texts fit: exact id or label first, then by words found, then by meaning."""
    from .stages import scorer

    wanted = query.lower()
    words = wanted.split()

    def literal(gesture: Gesture) -> float:
        label = gesture.label.lower()
        texts = " ".join((label, gesture.description, *gesture.meanings, *gesture.tags)).lower()
        if wanted in (gesture.id, label):
            return 3.0
        if wanted in label:
            return 2.0
        return sum(word in texts for word in words) / len(words)

    scores = {g.id: literal(g) for g in library.gestures.values()}
    try:
        trained = scorer.scorer_for(library)
        meant = trained.score([words])[0][1].max(axis=0)
        meaning = dict(zip(trained.ids, meant.tolist(), strict=True))
    except UserError:  # the sentence model is an optional package: words alone find much
        meaning = {}
    total = {i: s + meaning.get(i, 0.0) for i, s in scores.items()}
    return sorted((i for i in total if total[i] > LEAST_FIT), key=lambda i: (-total[i], i))


def variant_wire(library: Library, gesture_id: str, number: int) -> bytes:
    """One variant's motion: meta with label and phases; `root` (F, 3) and `rotations` (F, J, 4) float32."""
    variant = find_variant(library, gesture_id, number)
    gesture = library.gestures[gesture_id]
    motion = variant.motion()
    meta = {
        "gesture_id": gesture_id,
        "label": gesture.label,
        "variant": number,
        **_variant_info(variant),
        "fps": motion.fps,
        "skeleton": motion.skeleton.to_json(),
    }
    arrays = {
        "root": motion.root_positions.astype(np.float32),
        "rotations": motion.rotations.astype(np.float32),
    }
    return pack(meta, arrays)


def preview(library: Library, gesture_id: str, number: int = 1) -> bytes:
    """A PNG: three moments from the preparation to the stroke, seen from three quarters."""
    from PIL import Image

    from SG_dataset.figure import FigureRenderer

    variant = find_variant(library, gesture_id, number)
    motion = variant.motion()
    phases = variant.phases
    times = np.linspace(phases.stroke_start * 0.6, max(phases.stroke, phases.stroke_end), PICTURES)
    frames = np.minimum(np.round(times * motion.fps).astype(int), len(motion) - 1)
    renderer = FigureRenderer(motion, (CELL, CELL), "three_quarter", full_body=False, supersample=2)
    picture = np.concatenate([renderer.frame(int(f)) for f in frames], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
