from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.client.connection import BackendChoice, Connection
from sg_blender_addon.client.generation import GenerateRequest, generate
from sg_blender_addon.client.job import CANCELLED, DONE, FAILED, Control, Job, Snapshot
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.protocol import GenerateSettings


def job_for(connection: Connection, choice: BackendChoice, script: str = "", **settings: float) -> Job[Performance]:
    wanted = GenerateRequest(choice, b"not really a sound", GenerateSettings(script=script, **settings))
    return Job("generate", lambda control: generate(connection, wanted, control))


def until(job: Job[Performance], stage: str) -> None:
    deadline = time.monotonic() + 10
    while job.tick().stage != stage and not job.tick().finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.tick().stage == stage


def test_a_take_arrives_with_its_motions_words_and_segments(connection: Connection, choice: BackendChoice) -> None:
    seen: list[Snapshot] = []
    job = job_for(connection, choice, fps=30.0).start()
    while not seen or not seen[-1].finished:
        seen.append(job.wait(0.01))
    assert seen[-1].state == DONE
    take = job.result
    assert take.rhythm.fps == 30.0
    assert len(take.rhythm) == len(take.merged) == 91
    assert np.abs(take.merged.rotations - take.rhythm.rotations).max() > 0.1
    assert [w.text for w in take.words] == ["Hello,", "this", "is", "good."]
    assert take.segments[0].alternatives[0].label == "HAND RING"
    assert [s.fraction for s in seen] == sorted(s.fraction for s in seen)


def test_the_backend_stays_for_the_next_job(connection: Connection, choice: BackendChoice) -> None:
    assert job_for(connection, choice).start().wait(20).state == DONE
    pid = connection.pid
    assert job_for(connection, choice).start().wait(20).state == DONE
    assert connection.pid == pid


def test_cancel_reaches_the_backend(connection: Connection, choice: BackendChoice) -> None:
    job = job_for(connection, choice, "slow").start()
    until(job, "Generating")
    job.cancel()
    assert job.wait(5).state == CANCELLED
    api = connection.open(choice)
    assert api.status("job0").state == "cancelled"


def test_a_failed_job_brings_its_error(connection: Connection, choice: BackendChoice) -> None:
    snapshot = job_for(connection, choice, "fail").start().wait(20)
    assert snapshot.state == FAILED
    assert snapshot.error is not None
    assert (snapshot.error.code, snapshot.error.message) == ("too_quiet", "The voice is silent.")


def test_a_backend_killed_in_mid_job_is_started_again_once(connection: Connection, choice: BackendChoice) -> None:
    job = job_for(connection, choice, "slow").start()
    until(job, "Generating")
    first = connection.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(job, "The backend stopped; starting it again")
    until(job, "Generating")
    assert connection.pid != first
    job.cancel()
    job.wait(5)


def test_a_backend_that_dies_every_time_is_one_error(connection: Connection, choice: BackendChoice) -> None:
    snapshot = job_for(connection, choice, "crash").start().wait(30)
    assert snapshot.state == FAILED
    assert snapshot.error is not None
    assert snapshot.error.code == "backend_crashed"
    assert "POST /v1/jobs" in snapshot.error.details
    assert connection.died(choice)


def test_a_remote_backend_that_dies_is_not_ours_to_restart(connection: Connection, choice: BackendChoice) -> None:
    api = connection.open(choice)
    remote = BackendChoice(url=api.url, token=api._session.headers["Authorization"].removeprefix("Bearer "))
    snapshot = job_for(Connection(), remote, "crash").start().wait(30)
    assert snapshot.error is not None
    assert snapshot.error.code == "backend_unreachable"


@pytest.mark.parametrize(("script", "code"), [("nonsense", "not_a_backend"), ("garbage", "bad_motion_data")])
def test_answers_that_make_no_sense(connection: Connection, choice: BackendChoice, script: str, code: str) -> None:
    snapshot = job_for(connection, choice, script).start().wait(20)
    assert snapshot.error is not None
    assert snapshot.error.code == code


def test_a_wrong_token(connection: Connection, choice: BackendChoice) -> None:
    api = connection.open(choice)
    snapshot = job_for(Connection(), BackendChoice(url=api.url, token="wrong")).start().wait(20)
    assert snapshot.error is not None
    assert snapshot.error.code == "unauthorized"


def test_no_backend_at_all(connection: Connection) -> None:
    with pytest.raises(UserError, match="no gesture backend"):
        connection.open(BackendChoice())


def test_another_interpreter_in_the_preferences_starts_another_process(
    connection: Connection, choice: BackendChoice
) -> None:
    connection.open(choice)
    first = connection.pid
    assert choice.serve is not None
    connection.open(BackendChoice(serve=replace(choice.serve, arguments=("--again",))))
    assert connection.pid != first


def test_a_backend_that_is_starting_is_stopped_at_once(
    connection: Connection, choice: BackendChoice, tmp_path: Path
) -> None:
    assert choice.serve is not None
    (tmp_path / "root" / "backend").mkdir(parents=True)
    (tmp_path / "root" / "backend" / "__main__.py").write_text("import time; time.sleep(600)")
    never_ready = BackendChoice(serve=replace(choice.serve, root=tmp_path / "root"))
    job = Job("start", lambda control: connection.open(never_ready, control.check)).start()
    while connection.pid is None:
        time.sleep(0.01)
    pid = connection.pid
    connection.stop()
    assert connection.pid is None
    assert not Path(f"/proc/{pid}").exists()
    assert job.wait(10).state == FAILED


def test_work_that_was_cancelled_starts_no_backend(connection: Connection, choice: BackendChoice) -> None:
    control = Control()
    control.cancelled.set()
    with pytest.raises(Cancelled):
        connection.open(choice, control.check)
    assert connection.pid is None
