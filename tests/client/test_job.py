from __future__ import annotations

import threading
import time

import pytest

from sg_blender_addon.client.job import CANCELLED, DONE, FAILED, Control, Job
from sg_blender_addon.core.errors import UserError


def test_result_and_progress_arrive() -> None:
    go = threading.Event()

    def work(control: Control) -> int:
        control.report("Counting", 0.5, 3.0)
        go.wait(5)
        return 42

    job = Job("count", work).start()
    while job.tick().stage != "Counting":
        time.sleep(0.005)
    assert (job.tick().fraction, job.tick().eta_s, job.tick().finished) == (0.5, 3.0, False)
    with pytest.raises(RuntimeError):
        _ = job.result
    go.set()
    assert job.wait(5).state == DONE
    assert job.result == 42
    assert job.tick().fraction == 1.0


def test_cancel_ends_the_work_at_its_next_report_or_sleep() -> None:
    job = Job("sleep", lambda control: control.sleep(60)).start()
    job.cancel()
    assert job.wait(5).state == CANCELLED


def test_a_user_error_is_handed_over() -> None:
    def work(control: Control) -> None:
        raise UserError("No.", "Try yes.", "no")

    snapshot = Job("no", work).start().wait(5)
    assert snapshot.state == FAILED
    assert snapshot.error is not None
    assert snapshot.error.code == "no"
    assert snapshot.error.details == ""


def test_an_unexpected_error_comes_with_its_traceback() -> None:
    snapshot = Job("bug", lambda control: 1 / 0).start().wait(5)
    assert snapshot.state == FAILED
    assert snapshot.error is not None
    assert snapshot.error.code == "internal"
    assert "ZeroDivisionError" in snapshot.error.details


def test_wait_gives_up_without_ending_the_job() -> None:
    job = Job("long", lambda control: control.sleep(60)).start()
    assert not job.wait(0.05).finished
    job.cancel()
    job.wait(5)
