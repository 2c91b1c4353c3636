"""The library as the HTTP server shows it: search, one variant's motion, its picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from backend.gestures import classifier
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.wire import pack
from SG_dataset.drawing.figure import FigureRenderer
from SG_dataset.library import Library
from SG_dataset.records import Variant

MOST_FOUND = 50
LEAST_MEANING = 0.02  # probability below which the sentence model only guesses
CELL = 256
PICTURES = 3


def search(library: Library, query: str) -> list[dict[str, Any]]:
    """All gestures in the order of their labels; with a query those that fit it, best first."""
    query = query.strip()
    if not query:
        return [g.to_json() for g in sorted(library.gestures.values(), key=lambda g: g.label)]
    return [library.gestures[i].to_json() for i in _ranked(library, query)[:MOST_FOUND]]


def _ranked(library: Library, query: str) -> list[str]:
    """Ids by how well they fit: the id or label itself first, then words of the texts and the query's meaning."""
    scores = dict.fromkeys(library.gestures, 0.0)
    found = library.search(query, len(library.gestures))
    for gesture, score in found:
        scores[gesture.id] += score / found[0][1]
    try:
        trained = classifier.classifier_for(library, learn=False)
        meant = trained.score([query.split()])[0][1].max(axis=0)
        for gesture_id, probability in zip(trained.ids, meant.tolist(), strict=True):
            scores[gesture_id] += probability if probability > LEAST_MEANING else 0.0
    except UserError:  # no sentence model, or a library that no performance has learned yet: words alone find much
        pass
    for gesture in library.gestures.values():
        if query.lower() in (gesture.id, gesture.label.lower()):
            scores[gesture.id] += 10.0
        elif query.lower() in gesture.label.lower():
            scores[gesture.id] += 1.0
    return sorted((i for i, score in scores.items() if score > 0.0), key=lambda i: (-scores[i], i))


def find(library: Library, gesture_id: str, number: int) -> Variant:
    """UserError if the library has no such gesture or variant."""
    for variant in library.gesture(gesture_id).variants:
        if variant.number == number:
            return variant
    raise UserError(
        f"{library.gesture(gesture_id).label} has no variant {number}.", "Variants count from 1.", "unknown_gesture"
    )


def variant_wire(library: Library, gesture_id: str, number: int) -> bytes:
    """One variant's motion: meta with label and phases; `root` (F, 3) and `rotations` (F, J, 4) float32."""
    variant = find(library, gesture_id, number)
    motion = variant.motion()
    meta = {
        "gesture_id": gesture_id,
        "label": library.gesture(gesture_id).label,
        "variant": number,
        "hand": variant.hand,
        "seconds": variant.seconds,
        "phases": vars(variant.phases),
        "fps": motion.fps,
        "skeleton": motion.skeleton.to_json(),
    }
    arrays = {"root": motion.root_positions.astype(np.float32), "rotations": motion.rotations.astype(np.float32)}
    return pack(meta, arrays)


def preview(library: Library, gesture_id: str, number: int | None = None) -> bytes:
    """A PNG: the gesture's picture, drawn if the library has none; with a number, moments of that variant in a row."""
    if number is not None:
        return _moments(find(library, gesture_id, number))
    try:
        return library.preview(gesture_id)
    except UserError as error:
        variants = library.gesture(gesture_id).variants
        if error.code != "no_preview" or not variants:
            raise
        from SG_dataset.build import preview_png

        return preview_png(variants[0].motion(), variants[0].phases)


def _moments(variant: Variant) -> bytes:
    """Three moments from the end of the preparation to the end of the stroke, seen from three quarters."""
    motion, phases = variant.motion(), variant.phases
    times = np.linspace(phases.stroke_start * 0.6, max(phases.stroke, phases.stroke_end), PICTURES)
    frames = np.minimum(np.round(times * motion.fps).astype(int), len(motion) - 1)
    renderer = FigureRenderer(motion, (CELL, CELL), "three_quarter", full_body=False, supersample=2)
    picture = np.concatenate([renderer.frame(int(f)) for f in frames], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
