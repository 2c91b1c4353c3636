"""What lies in a folder: BVH files, a list of gestures, and which file belongs to which gesture."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from sg_blender_addon.core.errors import UserError
from SG_dataset.importing.mapping import ImportMapping, Named, examples_of, meanings_of
from SG_dataset.inventory import SHEET, Row, read_inventory
from SG_dataset.notation.records import Example

MAX_FILES = 20_000
FIRST_OWN_ID = 9000  # the reference's ids use the digits 0 to 3 only
_NUMBER = re.compile(r"[-_ ](\d{1,4})$")
_ALIKE, _CLEARLY = 0.9, 0.04  # likeness of two names for one to be a misspelling of the other, and lead over the next


@dataclass
class Take:
    """A file, the number in its name (0 for none), and when its stroke is, if somebody said."""

    path: Path
    number: int
    stroke: float | None = None
    note: str = ""


@dataclass
class Planned:
    """A gesture with the files that will be its variants."""

    id: str
    label: str
    description: str = ""
    meanings: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    source: str = ""
    takes: list[Take] = field(default_factory=list)


@dataclass
class Plan:
    """Everything an import is going to do. unmatched: files left out, and why; without_files: listed, but no file."""

    gestures: list[Planned]
    unmatched: list[tuple[Path, str]]
    without_files: list[str]
    list_file: Path | None

    @property
    def files(self) -> int:
        return sum(len(g.takes) for g in self.gestures)


def normal(label: str) -> str:
    """A label as names are compared: letters and digits alone, footnote marks and accents gone, upper case."""
    bare = unicodedata.normalize("NFKD", re.sub(r"\[[^\]]*\]", "", label))
    return re.sub(r"[^A-Z0-9]", "", bare.upper())


@cache
def seg_labels() -> dict[str, str]:
    """Id -> label of the 208 gestures that the SeG list and ours share."""
    return dict(json.loads((Path(__file__).parent / "seg_labels.json").read_text("utf-8")))


def split_number(stem: str) -> tuple[str, int | None]:
    """ "THUMB_UP-2" to ("THUMB_UP", 2); a name without a number has None."""
    match = _NUMBER.search(stem)
    return (stem[: match.start()], int(match[1])) if match else (stem, None)


def plan(folder: Path, mapping: ImportMapping) -> Plan:
    """Find files and their gestures. UserError when the folder has no BVH file or its list is broken."""
    files, closed = _bvh_files(folder)
    if not files and closed:
        raise UserError(
            f"There is no folder {closed[0]} that can be read.",
            "Give the folder that holds the BVH files, and check its permissions.",
            "file_not_found",
        )
    if not files:
        raise UserError(
            f"There is no BVH file in {folder}.",
            "Export motions as BVH (from FBX: import and export in Blender).",
            "no_motion",
        )
    list_file = find_list(folder)
    listed = _listed(list_file) if list_file else []
    book = _Book(listed, mapping, folder)
    unmatched = [(path, "the folder cannot be read") for path in closed]
    for path in files:
        if _excluded(path, folder, mapping.exclude):
            unmatched.append((path, "left out by the mapping file"))
        else:
            book.add(path)
    gestures = book.close()
    without = [f"{g.id} {g.label}" for g in listed if not g.takes]
    return Plan(gestures, unmatched + book.unmatched, without, list_file)


def _bvh_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """BVH files at any depth, and the folders that could not be looked into."""
    files: list[Path] = []
    closed: list[Path] = []
    for place, _, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        found = (Path(place, name) for name in names if name.lower().endswith(".bvh") and not name.startswith("."))
        files += [path for path in found if path.is_file()]
    files.sort()
    if len(files) > MAX_FILES:
        raise UserError(f"{folder} holds {len(files)} BVH files.", f"Import at most {MAX_FILES} at once.", "too_large")
    return files, closed


def _excluded(path: Path, folder: Path, patterns: Sequence[str]) -> bool:
    return any(_matches(path, folder, pattern) for pattern in patterns)


def _matches(path: Path, folder: Path, pattern: str) -> bool:
    relative = path.relative_to(folder).as_posix()
    names = (relative, path.name, path.stem)
    return pattern in names or any(fnmatch.fnmatchcase(n.lower(), pattern.lower()) for n in names)


def find_list(folder: Path) -> Path | None:
    """The list of gestures: a workbook named so inside (or beside a folder "bvh"), else any that reads as one."""
    inside = [p for p in sorted(folder.rglob("*.xlsx")) if not p.name.startswith(("~", "."))]
    beside = sorted(folder.parent.glob("*.xlsx")) if folder.name.lower() == "bvh" else []
    for path in (*inside, *beside):
        if "list" in path.stem.lower():
            return path
    for path in inside:
        try:
            read_inventory(path)
        except UserError:
            continue
        return path
    return None


def _listed(path: Path) -> list[Planned]:
    rows: list[Row] = read_inventory(path)
    seen: set[str] = set()
    result = []
    for row in rows:
        if not re.fullmatch(r"\d{4}", row.id) or not row.label or row.id in seen:
            continue
        seen.add(row.id)
        result.append(
            Planned(
                row.id, row.label, row.description, meanings_of(row.meanings), examples_of(row.examples), row.source
            )
        )
    if not result:
        raise UserError(
            f"{path.name} lists no gesture.", f"Its sheet {SHEET} needs rows with an id and a label.", "bad_list"
        )
    return result


class _Book:
    """Gestures as files are put to them."""

    def __init__(self, listed: Sequence[Planned], mapping: ImportMapping, folder: Path) -> None:
        self.mapping, self.folder = mapping, folder
        self.unmatched: list[tuple[Path, str]] = []
        self.listed = {normal(g.label): g for g in listed}
        self.known = {normal(label): number for number, label in seg_labels().items()}
        self.all = dict(self.listed)
        self.waiting: list[Path] = []
        self.strict = bool(listed)
        for named in mapping.gestures:
            self._name(named)

    def _name(self, named: Named) -> None:
        """What the mapping says about a gesture goes before the list."""
        key = normal(named.label)
        g = self.all.setdefault(key, Planned(named.id, named.label))
        g.id = named.id or g.id or self.known.get(key, "")
        g.description = named.description or g.description
        g.meanings = tuple(dict.fromkeys(g.meanings + named.meanings))
        g.examples = tuple(dict.fromkeys(g.examples + named.examples))
        g.source = named.source or g.source

    def add(self, path: Path) -> None:
        """Put a file to its gesture, or let it wait for those that are sure."""
        for named in self.mapping.gestures:
            if any(_matches(path, self.folder, pattern) for pattern in named.files):
                self._take(self.all[normal(named.label)], path, named.stroke)
                return
        key = normal(split_number(path.stem)[0])
        whole = normal(path.stem)
        if whole in self.all or key in self.all:
            self._take(self.all[whole if whole in self.all else key], path)
        elif not self.strict and key:
            label = split_number(path.stem)[0].replace("_", " ").strip()
            self.all[key] = Planned(self.known.get(key, ""), seg_labels().get(self.known.get(key, ""), label))
            self._take(self.all[key], path)
        else:
            self.waiting.append(path)

    def _take(self, gesture: Planned, path: Path, stroke: float | None = None, note: str = "") -> None:
        gesture.takes.append(Take(path, split_number(path.stem)[1] or 0, stroke, note))

    def close(self) -> list[Planned]:
        """Put misspelt names to the gestures nobody else claimed, give new ids; gestures by id, files by number."""
        for path in self.waiting:
            self._guess(path)
        used = {g.id for g in self.all.values() if g.id}
        fresh = (f"{n:04d}" for n in range(FIRST_OWN_ID, 10_000) if f"{n:04d}" not in used)
        for g in sorted(self.all.values(), key=lambda g: g.label):
            if g.takes and not g.id:
                g.id = next(fresh, "")
                if not g.id:
                    raise UserError(
                        "There are more than 1000 new gestures.", "Give ids in the mapping file.", "too_large"
                    )
        gestures = sorted((g for g in self.all.values() if g.takes), key=lambda g: g.id)
        twice = next((b for a, b in pairwise(gestures) if a.id == b.id), None)
        if twice:
            raise UserError(
                f"Two gestures have the id {twice.id}.", "Correct the list or the mapping file.", "bad_list"
            )
        for g in gestures:
            g.takes.sort(key=lambda t: (t.number == 0, t.number, t.path.name))
        return gestures

    def _guess(self, path: Path) -> None:
        key = normal(split_number(path.stem)[0])
        free = [k for k, g in self.all.items() if not any(not t.note for t in g.takes)]
        ranked = sorted(((difflib.SequenceMatcher(None, key, k).ratio(), k) for k in free), reverse=True)[:2]
        if ranked and ranked[0][0] >= _ALIKE and (len(ranked) < 2 or ranked[0][0] - ranked[1][0] >= _CLEARLY):
            gesture = self.all[ranked[0][1]]
            self._take(gesture, path, note=f"its name was taken for {gesture.label}")
        else:
            self.unmatched.append((path, "no gesture of the list has this name"))


def licence_files(folder: Path) -> Iterable[Path]:
    """Texts beside the motions that say who made them and what one may do with them."""
    for place in (folder, folder.parent) if folder.name.lower() == "bvh" else (folder,):
        for path in sorted(place.glob("*")):
            named = re.match(r"(?i)(licen[cs]e|copying|notice|readme|citation)", path.name)
            if named and path.is_file() and path.stat().st_size < 1_000_000:
                yield path
