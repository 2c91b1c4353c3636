"""Jobs: one worker thread, a queue, snapshots that any thread may read.

The worker runs one job after the other, because one job already uses all cores (or the GPU). Handlers read immutable
snapshots; nobody but the worker changes a job. Results are kept until a few newer jobs have finished.
"""

from __future__ import annotations

import errno
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Estimate, Progress
from sg_blender_addon.core.storage import Bytes

logger = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]
Work = Callable[[Progress], Bytes]
MAX_QUEUED = 64
KEPT_RESULTS = 8
FULL_DISK = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}
OUT_OF_MEMORY = UserError("The computer ran out of memory.", "Use a shorter recording.", "memory")


@dataclass(frozen=True)
class Snapshot:
    """What a job looks like from outside at one moment."""

    id: str
    state: State = "queued"
    stage: str = ""
    fraction: float = 0.0
    eta_s: float | None = None
    error: UserError | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": self.state,
            "stage": self.stage,
            "fraction": round(self.fraction, 4),
            "eta_s": None if self.eta_s is None else round(self.eta_s, 1),
            "error": None if self.error is None else self.error.to_json(),
        }

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Job:
    """One piece of work and where it stands."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.snapshot = Snapshot(secrets.token_urlsafe(9))
        self.cancelled = threading.Event()
        self.ended = threading.Event()
        self.result: Bytes | None = None
        self._estimate = Estimate()
        self._lock = threading.Lock()

    def report(self, stage: str, fraction: float) -> None:
        self.snapshot = replace(self.snapshot, stage=stage, fraction=fraction, eta_s=self._estimate.update(fraction))

    def run(self) -> None:
        """Do the work; every way it can end becomes a snapshot."""
        with self._lock:
            if self.snapshot.finished:
                return
            self.snapshot = replace(self.snapshot, state="running")
        self._estimate = Estimate()
        try:
            self.result = self.work(Progress(self.report, self.cancelled))
            self._end("done", fraction=1.0)
        except Cancelled:
            self._end("cancelled")
        except UserError as error:
            self._end("failed", error=error)
        except MemoryError:
            self._end("failed", error=OUT_OF_MEMORY)
        except Exception as error:  # the job fails, the server lives
            logger.exception("job %s failed", self.snapshot.id)
            self._end("failed", error=unexpected(error))
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """Cancelled at once while it waits, at the next token while it runs."""
        self.cancelled.set()
        with self._lock:
            if self.snapshot.state == "queued":
                self._end("cancelled")
                self.ended.set()

    def _end(self, state: State, **changes: Any) -> None:
        self.snapshot = replace(self.snapshot, state=state, eta_s=None, **changes)


def unexpected(error: BaseException) -> UserError:
    """What a person is told about what nobody planned: the disk is full, or it is a bug."""
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return UserError(f"The disk refused: {error.strerror}.", "Make room for temporary files.", "disk")
    return UserError(
        f"Something went wrong inside the backend ({type(error).__name__}: {error}).",
        "Please report it with the backend's log.",
        "internal",
    )


class Jobs:
    """The queue and its worker thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._worker.start()

    def submit(self, work: Work) -> Snapshot:
        """Queue a job; UserError when too many wait."""
        job = Job(work)
        with self._lock:
            waiting = sum(1 for j in self._jobs.values() if not j.snapshot.finished)
            if waiting >= MAX_QUEUED:
                raise UserError(f"{waiting} jobs are waiting already.", "Wait for one to finish.", "busy")
            self._jobs[job.snapshot.id] = job
            self._forget_old()
        self._queue.put(job)
        return job.snapshot

    def get(self, job_id: str) -> Job:
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise UserError("There is no such job.", "It may have been too long ago: generate again.", "unknown_job")
        return job

    def cancel(self, job_id: str) -> Snapshot:
        """Ask a job to stop."""
        job = self.get(job_id)
        job.cancel()
        return job.snapshot

    def wait(self, job_id: str, timeout: float | None = None) -> Snapshot:
        """Block until the job has ended (or the time is over) and say how it stands."""
        job = self.get(job_id)
        job.ended.wait(timeout)
        return job.snapshot

    def close(self, timeout: float = 5.0) -> None:
        """Cancel everything and stop the worker."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        self._queue.put(None)
        self._worker.join(timeout)

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.snapshot.finished]
        for job in finished[:-KEPT_RESULTS]:
            del self._jobs[job.snapshot.id]

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            started = time.monotonic()
            job.run()
            logger.info("job %s %s in %.2f s", job.snapshot.id, job.snapshot.state, time.monotonic() - started)
