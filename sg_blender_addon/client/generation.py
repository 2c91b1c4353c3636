"""The work of a generation job: reach a backend, send the voice, wait, fetch and decode the result.

Runs in a job's worker thread. Nothing of Blender is touched: the caller applies the finished `Take` to its scene.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..core import wire
from ..core.errors import Cancelled, UserError
from ..core.motion import Motion
from ..core.protocol import GenerateSettings
from ..core.timeline import Segment, Word
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


@dataclass(frozen=True)
class Take:
    """One finished performance. Times are seconds from the start of the voice as heard."""

    rhythm: Motion
    merged: Motion
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    report: Mapping[str, Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(str(text) for text in self.report.get("warnings", ()))

    @classmethod
    def from_wire(cls, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> Take:
        """Raises UserError when the answer is not a performance."""
        try:
            words = tuple(Word.from_json(item) for item in meta.get("words", ()))
            segments = tuple(Segment.from_json(item) for item in meta.get("segments", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                "The backend's answer cannot be read.",
                "Add-on and backend must have the same version.",
                "bad_motion_data",
            ) from error
        rhythm = wire.motion_from("rhythm", meta, arrays)
        merged = wire.motion_from("merged", meta, arrays)
        return cls(rhythm, merged, words, segments, dict(meta))


def generate(connection: Connection, request: GenerateRequest, control: Control) -> Take:
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


def _run(api: Api, request: GenerateRequest, control: Control) -> Take:
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
    return Take.from_wire(*api.result(status.id))


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
