"""Many recordings at once: one model load, features in other processes, several clips per forward pass.

    speech,name,script,seed
    lines/0001.wav,hello,lines/0001.txt,1

Only `speech` is needed; paths are relative to the table. Each line becomes NAME.bvh (or other formats) and NAME.json in
the output folder. What is finished is not done again, a line that fails does not stop the others, and a table of all
lines is printed and written (batch.csv) at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend import outputs
from backend.jobs import unexpected
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.files import check_writable, replacing
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import GenerateSettings
from SG_dataset.processes import MOST_WORKERS, process_pool
from SG_dataset.terminal import say

MAX_LINES = 100_000
# Clips in one forward pass: on a CPU more than this gains nothing and costs memory.
GROUP = {"cpu": 8, "cuda": 48}
MOST_AHEAD = 50_000_000  # bytes of recordings worked on ahead: an hour of mp3, ten minutes of wav
MOST_ROWS = 27_000  # of all clips in a pass together: an hour; long lines wait for nobody
COLUMNS = ("speech", "name", "script", "language", "seed", "density", "intensity", "manner")
_SETTINGS: Mapping[str, Callable[[str], Any]] = {
    "language": str, "seed": int, "density": float, "intensity": float, "manner": Manner.parse,
}  # fmt: skip
USUAL_WORKERS = 12  # more, where the machine has them, on request: each takes 0.4 GB
STATE = "batch.json"
TABLE = "batch.csv"


@dataclass(frozen=True)
class Line:
    """One line of the table: what to read, what to call the result, its settings."""

    name: str
    speech: Path
    settings: GenerateSettings
    script: Path | None = None


@dataclass
class Outcome:
    """How a line ended."""

    name: str
    state: str  # "done", "kept" (finished before), "failed", "left" (interrupted)
    seconds: float = 0.0
    took: float = 0.0
    gestures: int = 0
    message: str = ""
    key: str = ""


def read_manifest(path: Path, settings: GenerateSettings) -> list[Line]:
    """The lines of a table. Raises UserError where the table itself is unusable, not for what its lines name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"The table {path} could not be read: {reason}.", "Check its path.", "bad_manifest") from error
    try:
        dialect: Any = csv.Sniffer().sniff(text.splitlines()[0], ",;\t") if text.strip() else csv.excel
    except csv.Error:
        dialect = csv.excel
    rows: csv.DictReader[Any] = csv.DictReader(io.StringIO(text), dialect=dialect)
    columns = [c.strip().lower() for c in rows.fieldnames or []]
    unknown = sorted(set(columns) - set(COLUMNS))
    if "speech" not in columns or unknown:
        what = f"an unknown column {unknown[0]!r}" if unknown else "no column 'speech'"
        raise UserError(
            f"The table {path.name} has {what}.", f"Its first line names columns out of {', '.join(COLUMNS)}.",
            "bad_manifest",
        )  # fmt: skip
    rows.fieldnames = columns
    lines = [_line(row, path.parent, settings, number) for number, row in enumerate(rows, 2) if any(row.values())]
    if not 0 < len(lines) <= MAX_LINES:
        raise UserError(f"The table {path.name} has {len(lines)} lines.", f"Give 1 to {MAX_LINES}.", "bad_manifest")
    return _with_own_names(lines)


def _line(row: dict[str | None, Any], folder: Path, settings: GenerateSettings, number: int) -> Line:
    given = {k: (v or "").strip() for k, v in row.items() if k in COLUMNS and isinstance(v, str | None)}
    if any(cell.strip() for cell in row.get(None, ())):  # where the reader puts what is beyond the columns
        raise UserError(
            f"Line {number} of the table has more cells than there are columns.",
            'Put a text with a separator in it into quotes: "calm,width=1.2".',
            "bad_manifest",
        )
    try:
        values = {k: convert(given[k]) for k, convert in _SETTINGS.items() if given.get(k)}
        settings = replace(settings, **values)
    except ValueError as error:
        raise UserError(f"Line {number} of the table has a bad number.", "Correct it.", "bad_manifest") from error
    except UserError as error:
        raise UserError(f"Line {number} of the table: {error.message}", error.hint, "bad_manifest") from error
    speech = folder / given["speech"]
    name = given.get("name") or speech.stem
    if name != Path(name).name or name.startswith("."):
        raise UserError(f"Line {number} of the table has the name {name!r}.", "Use a plain file name.", "bad_manifest")
    script = folder / given["script"] if given.get("script") else None
    return Line(name, speech, settings, script)


def _with_own_names(lines: list[Line]) -> list[Line]:
    """Names made unique, so that no line overwrites another."""
    taken = {line.name for line in lines}
    seen: set[str] = set()
    result = []
    for line in lines:
        name, count = line.name, 1
        while name in seen or (count > 1 and name in taken):
            count += 1
            name = f"{line.name}-{count}"
        seen.add(name)
        result.append(replace(line, name=name))
    return result


def key_of(line: Line, weights: str, library: str) -> str:
    """Changes with anything that changes the result: files, settings, and what weights and gesture library hold."""
    parts = [weights, library]
    settings = dataclasses.replace(line.settings, llm_key="")
    parts.append(json.dumps(settings.to_json(), sort_keys=True))
    for path in (line.speech, line.script):
        try:
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest() if path else "")
        except OSError:
            parts.append("unreadable")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


# ------------------------------------------------------------------------------------------ in the other processes


def _start_worker() -> None:
    """One thread each, because there is a process for every core."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"


def _prepare(line: Line, progress: Progress | None = None) -> Any:
    """`pipeline.prepare` for a line, with its script read. UserErrors travel as values: exceptions with two
    arguments do not survive pickling."""
    from backend.analysis import prepare
    from backend.resources import Resources
    from backend.speech.script import read_script_file

    try:
        settings = line.settings
        if line.script is not None:
            script, kind = read_script_file(line.script)
            settings = replace(settings, script=script, script_kind=kind)
        return prepare(line.speech, settings, Resources("cpu"), progress or Progress())
    except UserError as error:
        return error.to_json()


# ---------------------------------------------------------------------------------------------------- in this process


class Batch:
    """One run over a table."""

    def __init__(
        self, lines: Sequence[Line], folder: Path, formats: Sequence[str], device: str, workers: int,
        progress: Progress,
    ) -> None:  # fmt: skip
        from backend.resources import Resources

        self.lines, self.folder, self.formats, self.progress = lines, folder, formats, progress
        self.quiet = Progress(cancel=progress.cancelled)  # of a line's own steps: the bar counts lines
        self.resources = Resources(device)
        self.workers = min(workers or min(os.cpu_count() or 1, USUAL_WORKERS), MOST_WORKERS)
        self.outcomes: dict[str, Outcome] = {}
        self._state = self._read_state()

    def run(self, again: bool = False) -> list[Outcome]:
        """All lines; the outcomes in their order. Finished lines are kept unless `again`."""
        weights = {line.settings.weights for line in self.lines}
        hashes = {where: self.resources.weights(where).info.content_hash for where in weights}
        libraries = {where: self._library(where) for where in {line.settings.library for line in self.lines}}
        keys = {
            line.name: key_of(line, hashes[line.settings.weights], libraries[line.settings.library])
            for line in self.lines
        }
        todo = []
        for line in self.lines:
            if not again and self._finished(line, keys[line.name]):
                self.outcomes[line.name] = Outcome(line.name, "kept")
            else:
                todo.append(line)
        with contextlib.suppress(Cancelled):
            self._report()
            for line, outcome in self._work(todo):
                outcome.key = keys[line.name] if outcome.state == "done" else ""
                self.outcomes[line.name] = outcome
                self._write_state()
                if outcome.state == "failed":
                    say(f"failed: {line.name}: {outcome.message}")
                self._report()
        return [self.outcomes.get(line.name, Outcome(line.name, "left")) for line in self.lines]

    def _report(self) -> None:
        done, of = len(self.outcomes), len(self.lines)
        self.progress.stage(f"Generating {done} of {of}", done / of)

    def _library(self, where: str) -> str:
        """What names a library's content; a library that cannot be read is each line's own trouble."""
        try:
            return self.resources.library(where).content_hash
        except UserError:
            return ""

    def _paths(self, line: Line) -> list[Path]:
        return [self.folder / f"{line.name}.{kind}" for kind in self.formats]

    def _finished(self, line: Line, key: str) -> bool:
        return self._state.get(line.name) == key and all(path.is_file() for path in self._paths(line))

    def _work(self, todo: Sequence[Line]) -> Iterator[tuple[Line, Outcome]]:
        group = GROUP.get(self.resources.device, 8)
        waiting: list[tuple[Line, Any]] = []
        for line, prepared in self._prepared(todo):
            if isinstance(prepared, UserError):
                yield line, Outcome(line.name, "failed", message=str(prepared))
                continue
            waiting.append((line, prepared))
            if len(waiting) >= group or sum(len(p.features) for _, p in waiting) >= MOST_ROWS:
                yield from self._perform(waiting)
                waiting = []
        yield from self._perform(waiting)

    def _prepared(self, todo: Sequence[Line]) -> Iterator[tuple[Line, Any]]:
        """Lines with their features as they get ready, or the error; not many more than are needed at a time."""
        if self.workers == 1:
            for line in todo:
                self.quiet.check()
                yield line, _opened(_prepare(line, self.quiet))
            return
        queue = deque(todo)
        count = min(self.workers, max(1, len(todo)))
        ahead = 2 * count + GROUP.get(self.resources.device, 8)  # workers go on while a group goes through the models
        with process_pool(count, _start_worker) as pool:
            running: dict[Future[Any], Line] = {}
            try:
                while queue or running:
                    while queue and len(running) < (ahead if _size(running.values()) < MOST_AHEAD else 2 * count):
                        line = queue.popleft()
                        running[pool.submit(_prepare, line)] = line
                    done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                    self.quiet.check()
                    for future in done:
                        yield running.pop(future), _result(future)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _perform(self, waiting: Sequence[tuple[Line, Any]]) -> Iterator[tuple[Line, Outcome]]:
        """Codes for several clips side by side, then each clip to its files."""
        for same in _alike(waiting):
            began = time.perf_counter()
            try:
                codes = self._codes(same, self.quiet)
            except UserError as error:
                yield from ((line, Outcome(line.name, "failed", message=str(error))) for line, _ in same)
                continue
            share = (time.perf_counter() - began) / len(same)
            for (line, prepared), own in zip(same, codes, strict=True):
                yield line, self._finish(line, prepared, own, share, self.quiet)

    def _codes(self, same: Sequence[tuple[Line, Any]], progress: Progress) -> list[Any]:
        from backend.motion.rhythm import sample_many

        settings = same[0][0].settings
        weights = self.resources.weights(settings.weights)
        return sample_many(weights, [(p.features, _sampling(line, p)) for line, p in same], progress)

    def _finish(self, line: Line, prepared: Any, codes: Any, share: float, progress: Progress) -> Outcome:
        from backend.pipeline import finish

        began = time.perf_counter()
        try:
            performance, watch = finish(prepared, codes, line.settings, self.resources, progress)
            took = share + time.perf_counter() - began + sum(prepared.timing.values())
            timing = {**prepared.timing, "generate": share, **watch.seconds, "total_s": took,
                      "real_time_factor": took / max(prepared.audio.seconds, 1e-3)}  # fmt: skip
            performance = replace(performance, timing=timing)
            for path in self._paths(line):
                outputs.write(path, performance, prepared.audio, progress)
            outputs.write_report(self.folder / f"{line.name}.json", performance)
        except UserError as error:
            return Outcome(line.name, "failed", message=str(error))
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - one line's bug must not cost the other lines
            return Outcome(line.name, "failed", message=str(unexpected(error)))
        return Outcome(line.name, "done", prepared.audio.seconds, took, len(performance.segments))

    def _read_state(self) -> dict[str, str]:
        try:
            data = json.loads((self.folder / STATE).read_text("utf-8"))
            return {str(k): str(v) for k, v in data.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _write_state(self) -> None:
        self._state |= {o.name: o.key for o in self.outcomes.values() if o.key}
        with replacing(self.folder / STATE) as temporary:
            temporary.write_text(json.dumps(self._state, indent=0), encoding="utf-8")


def _size(lines: Iterable[Line]) -> int:
    """Bytes of recordings; what cannot be read counts nothing."""
    total = 0
    for line in lines:
        with contextlib.suppress(OSError):
            total += line.speech.stat().st_size
    return total


def _sampling(line: Line, prepared: Any) -> Any:
    from backend.pipeline import sampling_of

    return sampling_of(line.settings, prepared.manner)


def _result(future: Future[Any]) -> Any:
    """What a worker made, or a UserError."""
    try:
        found = future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that computes features died.", "There may be too little memory: use fewer --workers.", "memory"
        ) from error
    except Exception as error:  # noqa: BLE001 - one line's bug must not cost the other lines
        return unexpected(error)
    return _opened(found)


def _opened(found: Any) -> Any:
    return UserError(found["message"], found["hint"], found["code"]) if isinstance(found, dict) else found


def _alike(waiting: Sequence[tuple[Line, Any]]) -> list[list[tuple[Line, Any]]]:
    """Lines that can share a forward pass: same weights and sampling, any seed; of similar length side by side."""
    groups: dict[Any, list[tuple[Line, Any]]] = {}
    for line, prepared in sorted(waiting, key=lambda item: len(item[1].features)):
        s = line.settings
        groups.setdefault((s.weights, s.exact, s.temperature, s.top_k, s.top_p), []).append((line, prepared))
    return list(groups.values())


def write_table(folder: Path, outcomes: Sequence[Outcome]) -> None:
    with replacing(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "state", "seconds", "took_s", "gestures", "message"))
        for o in outcomes:
            writer.writerow((o.name, o.state, f"{o.seconds:.2f}", f"{o.took:.2f}", o.gestures, o.message))


def print_table(outcomes: Sequence[Outcome], took: float) -> None:
    """The summary at the end: failures in full, the rest counted."""
    width = max((len(o.name) for o in outcomes), default=4)
    shown = outcomes if len(outcomes) <= 30 else [o for o in outcomes if o.state == "failed"]
    print(f"{'name':<{width}}  state   seconds   took  gestures")
    for o in shown:
        print(f"{o.name:<{width}}  {o.state:<6} {o.seconds:8.1f} {o.took:6.1f} {o.gestures:9d}  {o.message}".rstrip())
    counts = {state: sum(o.state == state for o in outcomes) for state in ("done", "kept", "failed", "left")}
    speech = sum(o.seconds for o in outcomes)
    print(", ".join(f"{n} {state}" for state, n in counts.items() if n) + f"; {speech:.0f} s of speech in {took:.1f} s")


def run_batch(arguments: argparse.Namespace, settings: GenerateSettings, progress: Progress) -> int:
    """`batch` of the command line. 0: all lines are done; 1: some failed; 130: interrupted."""
    began = time.perf_counter()
    folder, formats = Path(arguments.output), arguments.format or ["bvh"]
    lines = read_manifest(Path(arguments.manifest), settings)
    check_writable(folder / TABLE)
    batch = Batch(lines, folder, formats, arguments.device, arguments.workers, progress)
    outcomes = batch.run(arguments.again)
    write_table(folder, outcomes)
    print_table(outcomes, time.perf_counter() - began)
    if progress.cancelled.is_set():
        return 130
    return 1 if any(o.state == "failed" for o in outcomes) else 0
