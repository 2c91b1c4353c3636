"""The work of a generation job: reach a backend, send the voice, wait, fetch and decode the result.

Runs in a job's worker thread. Nothing of Blender is touched: the caller applies the `Performance` to its scene.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..core.errors import Cancelled, UserError
from ..core.performance import Performance
from ..core.protocol import GenerateSettings
from .api import Api, JobStatus
from .connection import BackendChoice, Connection
from .job import TICK_S, Control

T = TypeVar("T")

LOST_CODES = ("backend_unreachable", "backend_timeout")
POLL_ATTEMPTS = 3
TRUSTED_FRACTION = 0.1
"""Before that much is done an estimate is mostly about how long the imports took."""
STAGE_TEXTS = {"queued": "Waiting for the backend"}


@dataclass(frozen=True)
class GenerateRequest:
    """Everything a generation needs, read from Blender once, when the button was pressed."""

    backend: BackendChoice
    audio: Path | bytes
    settings: GenerateSettings


def generate(connection: Connection, request: GenerateRequest, control: Control) -> Performance:
    """Run one job to its end. A crashed backend of our own is restarted once; a remote one is not ours to restart."""
    return with_restart(connection, request.backend, control, lambda api: _run(api, request, control))


def with_restart(connection: Connection, choice: BackendChoice, control: Control, call: Callable[[Api], T]) -> T:
    """`call(api)`, repeated once if our own backend died under it."""
    for attempt in (1, 2):
        control.report("Starting the backend" if attempt == 1 else "The backend stopped; starting it again", 0.0)
        api = connection.open(choice, control.check)
        try:
            return call(api)
        except UserError as error:
            if error.code not in LOST_CODES or not connection.died(choice):
                raise
            if attempt == 2:
                raise _crashed(connection) from error
        finally:
            api.close()
    raise AssertionError("unreachable")


def _run(api: Api, request: GenerateRequest, control: Control) -> Performance:
    control.report("Sending the voice", 0.01)
    audio = api.upload_audio(request.audio)
    control.check()
    status = api.submit(audio, request.settings.to_json())
    try:
        _wait(api, status, control)
    except Cancelled:
        _cancel_quietly(api, status.id)
        raise
    control.report("Fetching the motion", 0.97)
    return Performance.from_wire(*api.result(status.id))


def _wait(api: Api, status: JobStatus, control: Control) -> None:
    """Poll until the job is done; UserError when it failed, Cancelled when either side cancelled it."""
    lost = 0
    while status.state in ("queued", "running"):
        stage = STAGE_TEXTS.get(status.state) or status.stage or "Working"
        eta_s = status.eta_s if status.fraction >= TRUSTED_FRACTION else None
        control.report(stage[:1].upper() + stage[1:], 0.02 + 0.94 * status.fraction, eta_s)
        control.sleep(TICK_S)
        try:
            status = api.status(status.id)
            lost = 0
        except UserError as error:
            lost += 1
            if error.code not in LOST_CODES or lost >= POLL_ATTEMPTS:
                raise
    if status.state == "cancelled":
        raise Cancelled()
    if status.state != "done":
        raise status.error or UserError("The backend could not generate this.", "Its log says more.", "backend_failed")


def _cancel_quietly(api: Api, job: str) -> None:
    """Best effort: the user has already turned away."""
    with contextlib.suppress(UserError):
        api.cancel(job)


def _crashed(connection: Connection) -> UserError:
    error = UserError(
        "The gesture backend stopped twice while working.",
        "It may have run out of memory: try a shorter strip; 'Copy details' has the end of its log.",
        "backend_crashed",
    )
    error.details = connection.log_tail()
    return error
