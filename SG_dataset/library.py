"""The gesture library that the rest of the product uses: texts, phases and motions of every gesture and variant.

A built library is one zip file, `library.zip`: `index.json` with all the texts, one small blob per variant
(`motion/...`) and one picture per gesture (`previews/ID.png`). Motions are read when asked for, so loading costs only
the index.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from SG_dataset.motion_codec import FORMAT, encode_motion
from SG_dataset.notation.records import Example
from SG_dataset.phases import Phases
from SG_dataset.records import Gesture, NewGesture, Variant
from SG_dataset.search import SearchIndex

BUILT = Path(__file__).parent / "built"
FILE = "library.zip"


class Library:
    """Gestures by id. `open_library` finds and opens one."""

    def __init__(self, path: Path, gestures: dict[str, Gesture], info: dict[str, Any]) -> None:
        self.path, self.gestures, self.info = path, gestures, info

    @classmethod
    def overlay(cls, layers: Sequence[Library]) -> Library:
        """Libraries over each other, uppermost first, gesture by gesture: what the first has, it has alone."""
        gestures: dict[str, Gesture] = {}
        for layer in layers:
            gestures |= {gesture_id: g for gesture_id, g in layer.gestures.items() if gesture_id not in gestures}
        info = {"name": "+".join(str(layer.info.get("name", layer.path)) for layer in layers)}
        return cls(layers[0].path, dict(sorted(gestures.items())), info | {"layers": [layer.info for layer in layers]})

    @classmethod
    def read(cls, path: Path) -> Library:
        """The library in a file; UserError if it is broken or of another version."""
        try:
            with zipfile.ZipFile(path) as archive:
                index = json.loads(archive.read("index.json"))
                checksums = {entry.filename: f"{entry.CRC:08x}" for entry in archive.infolist()}
            if index["format"] != FORMAT:
                raise UserError(
                    f"{path} was built by another version.",
                    "Build it again: python -m SG_dataset build.",
                    "library_version",
                )
            gestures = [_gesture_from(record, path, checksums) for record in index["gestures"]]
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as problem:
            raise UserError(
                f"The gesture library {path} is broken: {problem}.",
                "Build it again: python -m SG_dataset build.",
                "library_broken",
            ) from problem
        return cls(path, {g.id: g for g in gestures}, index.get("info", {}))

    def __len__(self) -> int:
        return len(self.gestures)

    def gesture(self, gesture_id: str) -> Gesture:
        """A gesture by id; UserError if there is none."""
        if gesture_id not in self.gestures:
            raise UserError(
                f"There is no gesture {gesture_id!r} in this library.",
                "python -m SG_dataset list shows all of them.",
                "unknown_gesture",
            )
        return self.gestures[gesture_id]

    def preview(self, gesture_id: str) -> bytes:
        """A small PNG picture of a gesture; UserError if the library has none."""
        gesture = self.gesture(gesture_id)
        try:
            with zipfile.ZipFile(gesture.variants[0].source if gesture.variants else self.path) as archive:
                return archive.read(_preview_name(gesture.id))
        except (KeyError, OSError, zipfile.BadZipFile) as problem:
            raise UserError(
                f"The library has no picture of {gesture_id}.", "Build it again.", "no_preview"
            ) from problem

    @cached_property
    def content_hash(self) -> str:
        """Names texts and motions: other content, other name."""
        texts = json.dumps([gesture.to_json() for gesture in self.gestures.values()], sort_keys=True)
        return hashlib.sha256(texts.encode()).hexdigest()[:20]

    @cached_property
    def _search(self) -> SearchIndex:
        return SearchIndex(list(self.gestures.values()))

    def search(self, text: str, top: int = 10) -> list[tuple[Gesture, float]]:
        """Gestures ranked by how well their meanings, labels and examples fit a text, with scores above 0."""
        return [(self.gestures[i], score) for i, score in self._search.rank(text)[:top]]


def _preview_name(gesture_id: str) -> str:
    return f"previews/{gesture_id}.png"


def _gesture_from(record: dict[str, Any], path: Path, checksums: Mapping[str, str]) -> Gesture:
    variants = tuple(
        Variant(
            record["id"], int(v["number"]), Phases(**v["phases"]), v["hand"], float(v["seconds"]), v["digest"], path
        )
        for v in record["variants"]
    )
    examples = tuple(Example(e["text"], e["word"]) for e in record["examples"])
    drawn = variants[0].digest if variants else ""  # a picture that is not in the file is drawn of the first variant
    return Gesture(
        record["id"],
        record["label"],
        record["description"],
        tuple(record["meanings"]),
        examples,
        record["tags"],
        variants,
        checksums.get(_preview_name(record["id"]), drawn),
    )


def write_library(gestures: Iterable[NewGesture], path: Path, info: Mapping[str, Any]) -> None:
    """Write a library file at once or not at all. info: name, licence, source, whatever a reader should know."""
    records = []
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for g in gestures:
            variants = []
            for v in g.variants:
                blob = encode_motion(v.motion)
                _store(archive, f"motion/{g.id}-{v.number}", blob)
                variants.append(
                    {
                        "number": v.number,
                        "phases": vars(v.phases),
                        "hand": v.hand,
                        "seconds": v.motion.seconds,
                        "digest": hashlib.sha256(blob).hexdigest()[:20],
                    }
                )
            if g.picture:
                _store(archive, _preview_name(g.id), g.picture)
            records.append(
                {
                    "id": g.id,
                    "label": g.label,
                    "description": g.description,
                    "meanings": list(g.meanings),
                    "examples": [vars(e) for e in g.examples],
                    "tags": dict(g.tags),
                    "variants": variants,
                }
            )
        index = json.dumps({"format": FORMAT, "info": dict(info), "gestures": records}, ensure_ascii=False).encode()
        _store(archive, "index.json", index, zipfile.ZIP_DEFLATED)


def _store(archive: zipfile.ZipFile, name: str, data: bytes, how: int = zipfile.ZIP_STORED) -> None:
    """Add an entry without a time stamp, so that the same content gives the same file."""
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, how)
