"""The small file that tells an import what names alone do not: joints, labels, texts, licence.

JSON or YAML, every field optional; `docs/own-library.md` describes them. A spreadsheet saved as CSV may hold the table
of gestures.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sg_blender_addon.core.errors import UserError
from SG_dataset.importing.clip import Options
from SG_dataset.notation.records import Example

MAX_BYTES = 10_000_000
RESTS = ("auto", "offsets", "first_frame")
_FIELDS = {"joints", "preset", "rest", "fps", "licence", "license", "source", "name", "gestures", "table", "exclude"}
_GESTURE_FIELDS = {"id", "label", "files", "file", "description", "meanings", "examples", "stroke", "source"}
_HINT = "docs/own-library.md describes the mapping file."


@dataclass(frozen=True)
class Named:
    """What somebody says about the files of one gesture. files: patterns relative to the folder; strokes: seconds."""

    id: str
    label: str
    files: tuple[str, ...] = ()
    description: str = ""
    meanings: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    source: str = ""
    stroke: float | None = None


@dataclass(frozen=True)
class ImportMapping:
    """A mapping file."""

    options: Options = field(default_factory=Options)
    gestures: tuple[Named, ...] = ()
    exclude: tuple[str, ...] = ()
    licence: str = ""
    source: str = ""
    name: str = ""


def read_mapping(path: Path) -> ImportMapping:
    """Read a mapping file; UserError names the first thing that is wrong."""
    data = _load(path)
    unknown = sorted(set(data) - _FIELDS)
    if unknown:
        raise _bad(f"there is no field {unknown[0]!r}")
    joints = data.get("joints") or {}
    if not isinstance(joints, dict) or not all(isinstance(v, str) for v in joints.values()):
        raise _bad("joints must be pairs of a joint and a name")
    rest, fps = str(data.get("rest", "auto")), data.get("fps", 0)
    if rest not in RESTS:
        raise _bad(f"rest must be one of {', '.join(RESTS)}")
    if not isinstance(fps, int | float) or not 0 <= fps <= 1000:
        raise _bad("fps must be a number of frames per second")
    gestures = [_named(record) for record in _list(data, "gestures")]
    if data.get("table"):
        gestures += _table(path.parent / str(data["table"]))
    return ImportMapping(
        Options(joints, rest, float(fps)),
        tuple(gestures),
        tuple(str(p) for p in _list(data, "exclude")),
        str(data.get("licence") or data.get("license") or ""),
        str(data.get("source") or ""),
        str(data.get("name") or ""),
    )


def _bad(what: str) -> UserError:
    return UserError(f"The mapping file cannot be used: {what}.", _HINT, "bad_mapping")


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _bad("it is larger than 10 MB")
        text = path.read_text("utf-8-sig")
        data = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"The mapping file {path} cannot be read.", "Check its path.", "file_not_found") from error
    except (ValueError, yaml.YAMLError) as error:
        where = str(error).splitlines()[0]
        raise _bad(f"it is neither JSON nor YAML ({where})") from error
    if not isinstance(data, dict):
        raise _bad("it must hold fields with names")
    return data


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list):
        raise _bad(f"{name} must be a list")
    return value


def _named(record: Any) -> Named:
    if not isinstance(record, dict) or not record.get("label"):
        raise _bad("every gesture needs a label")
    label = str(record["label"])
    unknown = sorted(set(record) - _GESTURE_FIELDS)
    if unknown:
        raise _bad(f"the gesture {label} has an unknown field {unknown[0]!r}")
    if not isinstance(record.get("id", ""), str):  # YAML reads 0031 as an octal number
        raise _bad(f"write the id of {label} in quotes, so that its zeros stay")
    files = record.get("files") or record.get("file") or []
    if not isinstance(files, str | list):
        raise _bad(f"the files of {label} must be a list of names")
    stroke = record.get("stroke")
    if stroke is not None and not isinstance(stroke, int | float):
        raise _bad(f"the stroke of {label} must be a number of seconds")
    return Named(
        checked_id(record.get("id", ""), label),
        label,
        tuple([files] if isinstance(files, str) else [str(f) for f in files]),
        str(record.get("description", "")),
        tuple(str(m) for m in _list(record, "meanings")),
        tuple(example(str(e)) for e in _list(record, "examples")),
        str(record.get("source", "")),
        None if stroke is None else float(stroke),
    )


def _table(path: Path) -> list[Named]:
    """Rows of a CSV table: label, and any of id, file, description, meanings, examples, source, stroke."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                {(k or "").strip().lower(): (v or "").strip() for k, v in r.items() if isinstance(v, str | None)}
                for r in csv.DictReader(file)
            ]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"The table {path.name} cannot be read.", "Save it as CSV with a header row.", "file_not_found"
        ) from error
    gestures = []
    for row in rows:
        label = row.get("label", "")
        if not label:
            raise _bad(f"a row of {path.name} has no label")
        try:
            stroke = float(row["stroke"]) if row.get("stroke") else None
        except ValueError as error:
            raise _bad(f"the stroke of {label} in {path.name} is no number") from error
        number = row.get("id", "").split(".")[0]
        gestures.append(
            Named(
                checked_id(number.zfill(4) if number else "", label),  # spreadsheets drop leading zeros
                label,
                tuple(f for f in [row.get("file", "")] if f),
                row.get("description", ""),
                meanings_of(row.get("meanings", "")),
                examples_of(row.get("examples", row.get("example", ""))),
                row.get("source", ""),
                stroke,
            )
        )
    return gestures


def checked_id(number: str, label: str) -> str:
    """A four-digit id or nothing; UserError for anything else."""
    if number and not re.fullmatch(r"\d{4}", number):
        raise _bad(f"the id of {label} must have four digits, not {number!r}")
    return number


def example(text: str) -> Example:
    """A sentence whose gestured word stands between asterisks; without asterisks no word is known."""
    marked = re.search(r"\*([^*]+)\*", text)
    return Example(re.sub(r"\s+", " ", text.replace("*", "")).strip(), marked[1].strip() if marked else "")


def examples_of(cell: str) -> tuple[Example, ...]:
    """Sentences of a spreadsheet's cell: one per line, numbers and bullets left out."""
    return tuple(example(line) for line in _lines(cell, r"\n+"))


def meanings_of(cell: str) -> tuple[str, ...]:
    """Meanings of a spreadsheet's cell: by lines, semicolons or commas."""
    return tuple(dict.fromkeys(_lines(cell, r"[\n;]+|,\s")))


def _lines(cell: str, split: str) -> Iterable[str]:
    parts = (re.sub(r"^\s*(?:\(?\d+[.)]|[-•*](?=\s))\s*", "", part).strip() for part in re.split(split, cell))
    return [p for p in parts if p]
