"""The job worker: order, progress, cancelling, failures."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import pytest

from backend.jobs import KEPT_RESULTS, MAX_QUEUED, Jobs
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Estimate, Progress


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    worker = Jobs()
    yield worker
    worker.close()


def test_a_job_runs_and_keeps_its_result(jobs: Jobs) -> None:
    snapshot = jobs.submit(lambda progress: b"done")
    assert snapshot.state == "queued"
    assert jobs.wait(snapshot.id, 5).state == "done"
    assert jobs.get(snapshot.id).result == b"done"


def test_progress_is_seen_from_outside(jobs: Jobs) -> None:
    reached, go = threading.Event(), threading.Event()

    def work(progress: Progress) -> bytes:
        progress.stage("half", 0.5)
        reached.set()
        go.wait(5)
        return b""

    job = jobs.submit(work)
    assert reached.wait(5)
    seen = jobs.get(job.id).snapshot.to_json()
    assert (seen["state"], seen["stage"], seen["fraction"]) == ("running", "half", 0.5)
    go.set()
    assert jobs.wait(job.id, 5).fraction == 1.0


def test_cancel_running_and_queued(jobs: Jobs) -> None:
    started = threading.Event()

    def endless(progress: Progress) -> bytes:
        started.set()
        while True:
            progress.check()

    running, queued = jobs.submit(endless), jobs.submit(endless)
    assert started.wait(5)
    assert jobs.cancel(queued.id).state == "cancelled"  # at once, although the worker is busy
    jobs.cancel(running.id)
    assert jobs.wait(running.id, 5).state == "cancelled"


def test_failures_are_told_and_the_worker_lives(jobs: Jobs) -> None:
    def refuse(progress: Progress) -> bytes:
        raise UserError("No.", "Try again.", "no")

    def bug(progress: Progress) -> bytes:
        raise ZeroDivisionError("oops")

    first, second, third = jobs.submit(refuse), jobs.submit(bug), jobs.submit(lambda progress: b"ok")
    assert jobs.wait(first.id, 5).to_json()["error"] == {"code": "no", "message": "No.", "hint": "Try again."}
    failed = jobs.wait(second.id, 5).error
    assert failed is not None and failed.code == "internal" and "oops" in failed.message
    assert jobs.wait(third.id, 5).state == "done"


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(errno.ENOSPC, "No space left on device"), "disk"), (FileNotFoundError(2, "gone"), "internal")],
)
def test_only_a_full_disk_is_the_disks_fault(jobs: Jobs, error: OSError, code: str) -> None:
    def work(progress: Progress) -> bytes:
        raise error

    failed = jobs.wait(jobs.submit(work).id, 5).error
    assert failed is not None
    assert failed.code == code


def test_old_results_are_forgotten_and_the_queue_is_bounded(jobs: Jobs) -> None:
    first = jobs.submit(lambda progress: b"")
    for _ in range(KEPT_RESULTS + 1):
        jobs.wait(jobs.submit(lambda progress: b"").id, 5)
    jobs.submit(lambda progress: b"")
    with pytest.raises(UserError, match="no such job"):
        jobs.get(first.id)
    go = threading.Event()
    with pytest.raises(UserError) as full:
        for _ in range(MAX_QUEUED + 2):
            jobs.submit(lambda progress: str(go.wait(5)).encode())
    go.set()
    assert full.value.code == "busy"


def test_spans_nest_and_never_run_backwards() -> None:
    seen: list[tuple[str, float]] = []
    progress = Progress(lambda name, fraction: seen.append((name, round(fraction, 3))))
    part = progress.span(0.2, 0.6, "words")
    part.stage("a", 0.5)
    part.span(0.5, 1.0).stage("b", 1.0)
    part.stage("c", 0.0)
    progress.stage("end", 1.0)
    assert seen == [("words", 0.4), ("words", 0.6), ("words", 0.6), ("end", 1.0)]
    progress.cancel()
    with pytest.raises(Cancelled):
        part.check()


def test_estimate_waits_until_it_knows() -> None:
    estimate = Estimate()
    assert estimate.update(0.0) is None
    estimate.started -= 10.0
    assert estimate.update(0.5) == pytest.approx(10.0, abs=0.2)
