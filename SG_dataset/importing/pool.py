"""Many files at once: several processes convert, and what they made comes back in order, little of it waiting."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from sg_blender_addon.core.errors import UserError
from SG_dataset.importing.clip import Clip, Options, import_clip
from SG_dataset.processes import process_pool

USUAL_WORKERS = 8  # each takes about 170 MB
FEW_FILES = 12  # per worker: for fewer, starting it takes longer than it saves
AHEAD = 4  # files per worker that may be finished before they are asked for


@dataclass(frozen=True)
class Job:
    """What `import_clip` is to be called with."""

    path: Path
    options: Options
    stroke: float | None = None


def workers_for(files: int) -> int:
    """How many processes are worth starting on this machine."""
    return max(1, min(USUAL_WORKERS, os.cpu_count() or 1, files // FEW_FILES))


def convert(job: Job) -> Clip | UserError:
    """The clip of a file, or what says why it cannot be used."""
    try:
        return import_clip(job.path, job.options, job.stroke)
    except UserError as error:
        return error
    except (ArithmeticError, ValueError, IndexError, MemoryError, np.linalg.LinAlgError) as error:
        # a file nobody thought of must not cost the other five hundred
        return UserError(f"It could not be converted ({type(error).__name__}: {error}).", "", "not_converted")


def convert_all(jobs: Iterable[Job], workers: int) -> Generator[Clip | UserError, None, None]:
    """What `convert` gives for each job, in order; close the iterator when the rest is not wanted.

    A script that asks for more than one worker needs a main guard: see `process_pool`.
    """
    if workers < 2:
        yield from map(convert, jobs)
        return
    pool = process_pool(workers)
    waiting: deque[Future[Clip | UserError]] = deque()
    rest = iter(jobs)
    try:
        while True:
            waiting.extend(pool.submit(convert, job) for job in islice(rest, AHEAD * workers - len(waiting)))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that converted files was ended from outside.",
            "Free some memory, or import with --jobs 1.",
            "worker_lost",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
