"""The gesture library that the rest of the product uses: texts, phases and motions of every gesture and variant.

A built library is one zip file, `library.zip`: `index.json` with all the texts, one small blob per variant
(`motion/...`) and one picture per gesture (`previews/ID.png`). Motions are read when asked for, so loading costs only
the index.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.compile import Phases
from SG_dataset.notation.read import Example

Floats = NDArray[np.floating[Any]]

FORMAT = 1
BUILT = Path(__file__).parent / "built"
FILE = "library.zip"
OVER_OURS = "+starter"  # behind a library's place: lay it over ours
LOCK_PATIENCE = 600.0  # seconds to wait for another process that is building
_TURN_STEP = 2.0**-13  # half-log units: 0.014 degrees
_PLACE_STEP = 2.0**-7  # cm


# ---------------------------------------------------------------- records


@dataclass(frozen=True)
class Variant:
    """One way of making a gesture. `digest` names its motion's content, for caches."""

    gesture_id: str
    number: int
    phases: Phases
    hand: str
    seconds: float
    digest: str
    source: Path = field(repr=False)

    def motion(self) -> Motion:
        """The motion: 60 frames per second, canonical skeleton, from the shared rest pose and back to it."""
        with zipfile.ZipFile(self.source) as archive:
            return decode_motion(archive.read(f"motion/{self.gesture_id}-{self.number}"))


@dataclass(frozen=True)
class Gesture:
    """A gesture with its texts and variants; ids keep their leading zeros.

    `picture` names what its picture shows: another picture, another name. Empty if there is nothing to show."""

    id: str
    label: str
    description: str
    meanings: tuple[str, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, Any]
    variants: tuple[Variant, ...]
    picture: str = ""

    def to_json(self) -> dict[str, Any]:
        """The gesture as the command line's --json prints it."""
        return {
            "id": self.id,
            "label": self.label,
            "description": self.description,
            "meanings": list(self.meanings),
            "examples": [{"text": e.text, "word": e.word} for e in self.examples],
            "tags": dict(self.tags),
            "picture": self.picture,
            "variants": [
                {
                    "number": v.number,
                    "hand": v.hand,
                    "seconds": round(v.seconds, 3),
                    "phases": {k: round(x, 3) for k, x in vars(v.phases).items()},
                    "digest": v.digest,
                }
                for v in self.variants
            ],
        }


class Library:
    """Gestures by id. Use `Library.load`."""

    def __init__(self, path: Path, gestures: dict[str, Gesture], info: dict[str, Any]) -> None:
        self.path, self.gestures, self.info = path, gestures, info

    @classmethod
    def load(cls, where: str | Path | Sequence[str | Path] = "starter") -> Library:
        """Load "starter" (ours; built once if this checkout has no built file) or the library in a folder or file.

        Several, as a sequence or as "DIR+starter", are laid over each other, gesture by gesture: what the first has, it
        has alone. UserError if one is absent or broken."""
        layers = _layers(where)
        if len(layers) > 1:
            return cls._overlay([cls.load(layer) for layer in layers])
        where = layers[0]
        return cls._read(ensure_built() if str(where) == "starter" else _file_at(Path(where)))

    @classmethod
    def _overlay(cls, layers: Sequence[Library]) -> Library:
        gestures: dict[str, Gesture] = {}
        for layer in layers:
            gestures |= {gesture_id: g for gesture_id, g in layer.gestures.items() if gesture_id not in gestures}
        info = {"name": "+".join(str(layer.info.get("name", layer.path)) for layer in layers)}
        return cls(layers[0].path, dict(sorted(gestures.items())), info | {"layers": [layer.info for layer in layers]})

    @classmethod
    def _read(cls, path: Path) -> Library:
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
                return archive.read(_picture_name(gesture.id))
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
    def _search(self) -> Any:
        from SG_dataset.search import SearchIndex

        return SearchIndex(list(self.gestures.values()))

    def search(self, text: str, top: int = 10) -> list[tuple[Gesture, float]]:
        """Gestures ranked by how well their meanings, labels and examples fit a text, with scores above 0."""
        return [(self.gestures[i], score) for i, score in self._search.rank(text)[:top]]


def _layers(where: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """The libraries that a setting names, uppermost first."""
    if isinstance(where, str):
        return [where.removesuffix(OVER_OURS), "starter"] if where.endswith(OVER_OURS) else [where]
    return [where] if isinstance(where, Path) else list(where)


def _picture_name(gesture_id: str) -> str:
    return f"previews/{gesture_id}.png"


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
        checksums.get(_picture_name(record["id"]), drawn),
    )


# ---------------------------------------------------------------- motions as bytes


def _planes(values: NDArray[np.int64]) -> bytes:
    """Second differences along time, low bytes before high ones: smooth curves become runs of small numbers."""
    wide = np.diff(values, n=2, axis=0, prepend=np.zeros((2, values.shape[1]), np.int64))
    zigzag = np.where(wide < 0, -2 * wide - 1, 2 * wide).astype("<u4").T
    return np.ascontiguousarray(zigzag).view(np.uint8).reshape(-1, 4).T.tobytes()


def _unplanes(data: bytes, frames: int, columns: int) -> NDArray[np.int64]:
    zigzag = (
        np.frombuffer(data, np.uint8).reshape(4, -1).T.copy().view("<u4").reshape(columns, frames).T.astype(np.int64)
    )
    wide = np.where(zigzag % 2 == 1, -(zigzag + 1) // 2, zigzag // 2)
    return np.asarray(np.cumsum(np.cumsum(wide, axis=0), axis=0))


def encode_motion(motion: Motion) -> bytes:
    """A canonical motion as a compact blob: rotations to 0.03 degrees, places to 0.1 mm."""
    turns = np.round(rot.to_half_log(rot.continuous(_near_identity(motion.rotations))) / _TURN_STEP).astype(np.int64)
    places = np.round(motion.root_positions / _PLACE_STEP).astype(np.int64)
    table = np.concatenate([turns.reshape(len(motion), -1), places], axis=1)
    head = np.array([FORMAT, len(motion), table.shape[1], round(motion.fps * 1000)], "<i4").tobytes()
    return head + zlib.compress(_planes(table), 9)


def _near_identity(q: Floats) -> Floats:
    """Quaternions on the hemisphere where the first frame's w is positive, so that logarithms stay small."""
    return np.asarray(q * np.where(q[:1, :, :1] < 0, -1.0, 1.0))


def decode_motion(data: bytes) -> Motion:
    """The motion of a blob; UserError if it is not one."""
    try:
        version, frames, columns, millifps = (int(x) for x in np.frombuffer(data[:16], "<i4"))
        sk = canonical()
        if version != FORMAT or columns != 3 * len(sk) + 3 or not 0 < frames < 100_000:
            raise ValueError("wrong header")
        table = _unplanes(zlib.decompress(data[16:], bufsize=4 * frames * columns), frames, columns)
    except (ValueError, zlib.error) as problem:
        raise UserError(
            f"A motion of the library is broken: {problem}.", "Build the library again.", "library_broken"
        ) from problem
    turns = rot.from_half_log(table[:, :-3].reshape(frames, len(sk), 3) * _TURN_STEP)
    return Motion(millifps / 1000.0, sk, table[:, -3:] * _PLACE_STEP, turns)


# ---------------------------------------------------------------- writing


@dataclass(frozen=True)
class NewVariant:
    """A variant to be written into a library."""

    number: int
    motion: Motion
    phases: Phases
    hand: str


@dataclass(frozen=True)
class NewGesture:
    """A gesture to be written: texts, variants and a PNG picture (may be empty)."""

    id: str
    label: str
    description: str
    meanings: tuple[str, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, Any]
    variants: tuple[NewVariant, ...]
    picture: bytes = b""


def write_library(gestures: Iterable[NewGesture], path: Path, info: Mapping[str, Any]) -> None:
    """Write a library file at once or not at all. info: name, licence, source, whatever a reader should know."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    records = []
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
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
                    _store(archive, _picture_name(g.id), g.picture)
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
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _store(archive: zipfile.ZipFile, name: str, data: bytes, how: int = zipfile.ZIP_STORED) -> None:
    """Add an entry without a time stamp, so that the same content gives the same file."""
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, how)


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
                from SG_dataset.build import build

                build(folder)
        finally:
            lock.unlink(missing_ok=True)
    return path


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
