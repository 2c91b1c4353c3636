"""An import from beginning to end: a folder of BVH files becomes a library folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import move
from sg_blender_addon.core.progress import Progress
from SG_dataset import library as libraries
from SG_dataset.build import preview_png
from SG_dataset.importing.clip import Clip
from SG_dataset.importing.mapping import ImportMapping, read_mapping
from SG_dataset.importing.pool import Job, convert_all, workers_for
from SG_dataset.importing.report import FILE as REPORT
from SG_dataset.importing.report import ImportReport
from SG_dataset.importing.sources import Plan, Planned, Take, licence_files, plan
from SG_dataset.library import write_library
from SG_dataset.open import open_library
from SG_dataset.records import NewGesture, NewVariant

SEG_LICENCE = "SeG data set: non-commercial research only, no redistribution (the terms that came with it decide)"
UNKNOWN_LICENCE = "unknown: ask whoever made the motions before you pass them on"
_HANDS = {"both": "two", "none": "none"}


def import_folder(
    source: Path,
    target: Path,
    mapping: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> ImportReport:
    """Import `source` into the folder `target`; returns what became of each file.

    workers: how many processes convert files, 0 for as many as are worth it; see `pool.convert_all`.

    A file that cannot be used is reported and left out. UserError when nothing can be used or the target is taken by
    something else; then, as after an interruption, nothing has been written.
    """
    wishes = read_mapping(mapping) if mapping else ImportMapping()
    try:
        _check_target(target, source)
    except OSError as error:
        raise _unwritable(target) from error
    work = plan(source, wishes)
    report = ImportReport(source, target, files=work.files + len(work.unmatched))
    report.licence = _licence(wishes, work)
    report.left_out = [(_name(p, source), why) for p, why in work.unmatched]
    started = time.monotonic()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.importing-"))
    except OSError as error:
        raise _unwritable(target) from error
    try:
        _Import(source, wishes, work, report, progress or Progress(), workers or workers_for(work.files)).write(
            temporary
        )
        report.seconds = time.monotonic() - started
        _write_report(report, temporary)
        _copy_licences(source, temporary)
        temporary.chmod(0o755)
        _swap(temporary, target)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error}.", "Check the disk's free space.", "cannot_write"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


def _unwritable(target: Path) -> UserError:
    return UserError(f"{target} cannot be written.", "Choose another place, or check its permissions.", "cannot_write")


def _check_target(target: Path, source: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file.", "Give a folder for the library.", "cannot_write")
    if target.resolve() == source.resolve():
        raise UserError(
            "The library cannot be written into the folder it is made from.", "Give another -o.", "cannot_write"
        )
    if target.is_dir() and any(target.iterdir()) and not (target / REPORT).is_file():
        raise UserError(
            f"{target} holds something else than an imported library.", "Give a new or an empty folder.", "cannot_write"
        )


def _licence(wishes: ImportMapping, work: Plan) -> str:
    if wishes.licence:
        return wishes.licence
    sources = {g.source for g in work.gestures}
    if sources and all("CC0" in s for s in sources):
        return "CC0-1.0"
    return SEG_LICENCE if work.list_file is not None else UNKNOWN_LICENCE


class _Import:
    """Turns a plan into a library file, gesture by gesture, so that memory holds one gesture at a time."""

    def __init__(
        self, source: Path, wishes: ImportMapping, work: Plan, report: ImportReport, progress: Progress, workers: int
    ) -> None:
        self.source, self.wishes, self.work, self.report, self.progress = source, wishes, work, report, progress
        self.workers, self.ours = workers, _starter()
        self.done = 0

    def write(self, folder: Path) -> None:
        info = {
            "name": self.wishes.name or self.report.target.name,
            "kind": "imported",
            "licence": self.report.licence,
            "source": self.wishes.source or str(self.source),
            "frames_per_second": 60,
        }
        write_library(self._gestures(), folder / libraries.FILE, info)
        self.report.without_files = self.work.without_files + [
            f"{g.id} {g.label}" for g in self.work.gestures if g.id not in {u["id"] for u in self.report.used}
        ]
        if not self.report.used:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.report.left_out[:3])
            raise UserError(
                f"None of the {self.report.files} files could be used ({reasons}).",
                "docs/own-library.md tells what an import needs.",
                "nothing_usable",
            )

    def _gestures(self) -> Iterator[NewGesture]:
        jobs = [Job(take.path, self.wishes.options, take.stroke) for g in self.work.gestures for take in g.takes]
        with closing(convert_all(jobs, self.workers)) as results:
            for planned in self.work.gestures:
                made: list[tuple[Take, Clip]] = []
                for take in planned.takes:
                    clip = self._clip(take, results)
                    if clip is not None:
                        made.append((take, clip))
                        self._keep(planned, len(made), take, clip)
                if made:
                    yield self._gesture(planned, made)
        self.progress.stage("", 1.0)

    def _clip(self, take: Take, results: Iterator[Clip | UserError]) -> Clip | None:
        name = _name(take.path, self.source)
        self.progress.stage(name, self.done / self.work.files)
        self.done += 1
        clip = next(results)
        if isinstance(clip, UserError):
            self.report.leave_out(name, clip)
            return None
        return clip

    def _keep(self, planned: Planned, number: int, take: Take, clip: Clip) -> None:
        name, notes = _name(take.path, self.source), [n for n in (take.note, *clip.notes) if n]
        self.report.remarks += [(name, note) for note in notes]
        self.report.used.append(_record(name, planned, number, clip, notes))

    def _gesture(self, planned: Planned, made: list[tuple[Take, Clip]]) -> NewGesture:
        mine = self.ours.get(planned.id)
        meanings = planned.meanings + (mine.meanings if mine else ())
        examples = planned.examples + (mine.examples if mine else ())
        hands = {clip.hand for _, clip in made}
        tags: dict[str, Any] = {"kind": mine.tags.get("kind", "") if mine else ""}
        tags["hands"] = _HANDS.get(next(iter(hands)), "one") if len(hands) == 1 else "one"
        tags |= {"source": planned.source, "files": [take.path.name for take, _ in made]}
        variants = tuple(NewVariant(n, c.motion, c.phases, c.hand) for n, (_, c) in enumerate(made, start=1))
        first = made[0][1]
        return NewGesture(
            planned.id,
            planned.label,
            planned.description or (mine.description if mine else planned.label.capitalize()),
            tuple(dict.fromkeys(meanings)) or (planned.label.lower(),),
            tuple(dict.fromkeys(examples)),
            tags,
            variants,
            preview_png(first.motion, first.phases),
        )


def _record(name: str, planned: Planned, number: int, clip: Clip, notes: list[str]) -> dict[str, Any]:
    return {
        "file": name,
        "id": planned.id,
        "label": planned.label,
        "variant": number,
        "hand": clip.hand,
        "seconds": round(clip.motion.seconds, 3),
        "cut_from": round(clip.start, 3),
        "stroke_in_file": round(clip.start + clip.phases.stroke, 3),
        "phases": {k: round(v, 3) for k, v in vars(clip.phases).items()},
        "notes": notes,
    }


def _starter() -> dict[str, Any]:
    """Our own gestures, whose texts help to find words for an imported gesture of the same id."""
    try:
        return dict(open_library("starter").gestures)
    except UserError:
        return {}


def _write_report(report: ImportReport, folder: Path) -> None:
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
    (folder / REPORT).write_text(text + "\n", "utf-8")


def _copy_licences(source: Path, folder: Path) -> None:
    for path in licence_files(source):
        shutil.copyfile(path, folder / f"source-{path.name}")


def _swap(temporary: Path, target: Path) -> None:
    """Put the finished folder in the place of the old one; the old one comes back if that fails."""
    if not target.exists():
        move(temporary, target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old-"))
    move(target, old / "library")
    try:
        move(temporary, target)
    except OSError:
        move(old / "library", target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
