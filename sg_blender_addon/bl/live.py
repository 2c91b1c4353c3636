"""The one job that may run, pumped by a timer: its handle here, what the panels show of it on the window manager.

A worker thread never touches bpy; a timer on Blender's main thread copies the handle's state and, at the end, lets the
result in. No modal operator, because that would block autosave. Nothing here holds a pointer to Blender's data.
"""

from __future__ import annotations

import atexit
import contextlib
import time
import traceback
from collections.abc import Callable
from typing import Any

import bpy

from ..client.connection import Connection
from ..client.job import CANCELLED, DONE, FAILED, TICK_S, Job, Snapshot
from ..core.errors import UserError
from . import reports

AREAS = ("VIEW_3D", "SEQUENCE_EDITOR", "NLA_EDITOR", "PREFERENCES")

connection = Connection()
"""The add-on's way to its backend; one for all windows."""

_active: tuple[Job[Any], Callable[[Any], str]] | None = None


class GesticulatorJob(bpy.types.PropertyGroup):
    """What the panels show of the live job and of the last error; lives on the WindowManager, is never saved."""

    running: bpy.props.BoolProperty()
    kind: bpy.props.StringProperty()
    stage: bpy.props.StringProperty()
    fraction: bpy.props.FloatProperty(min=0.0, max=1.0)
    eta: bpy.props.StringProperty()
    message: bpy.props.StringProperty()
    error: bpy.props.StringProperty()
    hint: bpy.props.StringProperty()
    code: bpy.props.StringProperty()
    details: bpy.props.StringProperty()


def state(context: bpy.types.Context | None = None) -> GesticulatorJob:
    return (context or bpy.context).window_manager.gesticulator_job


def busy() -> bool:
    return _active is not None


def run(job: Job[Any], on_done: Callable[[Any], str], *, wait: bool) -> str:
    """Start a job. `on_done(result)` lets the result in on the main thread and returns a line to report.

    With `wait` (scripts, background mode) the call returns that line when all is done, or raises UserError. Without,
    it returns an empty string at once and a timer does the rest.
    """
    global _active  # noqa: PLW0603 - one job per Blender is the point
    if busy():
        raise UserError("A job is already running.", "Wait for it, or press Cancel.", "busy")
    clear_error()
    shown = state()
    shown.running, shown.kind, shown.message = True, job.name, ""
    _active = (job, on_done)
    job.start()
    if wait:
        return _finish_here(job)
    bpy.app.timers.register(_pump, first_interval=TICK_S, persistent=True)
    return ""


def cancel() -> None:
    """Ask the live job to stop; it ends at the next tick of its timer."""
    if _active is not None:
        _active[0].cancel()
        state().stage = "Cancelling"


def tick() -> bool:
    """Show how the job stands and, when it has finished, let its result in. True while it runs."""
    if _active is None:
        return False
    job = _active[0]
    snapshot = job.tick()
    if not snapshot.finished:
        _show(snapshot, cancelling=job.cancelling)
        return True
    with contextlib.suppress(UserError):  # it is in the error box
        _let_in(snapshot)
    _redraw()
    return False


def _pump() -> float | None:
    return TICK_S if tick() else None


def _finish_here(job: Job[Any]) -> str:
    try:
        snapshot = job.wait()
    except BaseException:
        job.cancel()
        _forget()
        raise
    return _let_in(snapshot)


def _let_in(snapshot: Snapshot) -> str:
    """The end of a job, on the main thread: apply, or fill the error box and raise."""
    assert _active is not None, "only called while there is a job"
    job, on_done = _active
    _forget()
    if snapshot.state == CANCELLED:
        state().message = "Cancelled"
        raise UserError("Cancelled.", "Nothing was changed.", "cancelled")
    error, more = snapshot.error, snapshot.details
    if snapshot.state == DONE:
        try:
            state().message = on_done(job.result)
            return state().message
        except UserError as refused:
            error = refused
        except Exception as broken:  # noqa: BLE001 - a timer has no caller; the error box carries it
            error, more = unexpected(broken), traceback.format_exc()
    assert error is not None and (snapshot.state in (DONE, FAILED))
    show_error(error, more)
    raise error


def unexpected(error: Exception) -> UserError:
    """What to say of an exception that nobody foresaw."""
    return UserError(
        f"Something went wrong inside the add-on: {error}",
        "Use 'Copy details' and send the text with a bug report.",
        "internal",
    )


def show_error(error: UserError, more: str = "") -> None:
    """Fill the panels' error box."""
    shown = state()
    shown.error, shown.hint, shown.code = error.message, error.hint, error.code
    shown.details = reports.details(error, more)
    _redraw()


def clear_error() -> None:
    shown = state()
    shown.error = shown.hint = shown.code = shown.details = ""


def eta_text(seconds: float | None) -> str:
    """A rough time left, as people say it."""
    if seconds is None:
        return ""
    if seconds < 1.5:
        return "about 1 s left"
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left"


def draw_progress(layout: bpy.types.UILayout, job: GesticulatorJob) -> None:
    """Bar, stage, estimate and Cancel."""
    column = layout.column(align=True)
    column.progress(factor=job.fraction, text=f"{job.fraction * 100:.0f} %")
    column.label(text=f"{job.stage} …")
    row = layout.row()
    row.label(text=job.eta)
    row.operator("gesticulator.cancel", icon="X")


def draw_error(layout: bpy.types.UILayout, job: GesticulatorJob, width: int, only: str = "") -> None:
    """The error box; with `only`, just for errors of jobs of that kind."""
    if not job.error or (only and job.kind != only):
        return
    box = layout.box()
    row = box.row()
    row.alert = True
    reports.draw_text(row, job.error, width - 6, icon="ERROR")
    row.operator("gesticulator.dismiss_error", text="", icon="X", emboss=False)
    if job.hint:
        reports.draw_text(box, job.hint, width - 4)
    box.operator("gesticulator.copy_details", icon="COPYDOWN")


def _show(snapshot: Snapshot, *, cancelling: bool) -> None:
    shown = state()
    shown.stage = "Cancelling" if cancelling else snapshot.stage
    shown.fraction = snapshot.fraction
    shown.eta = eta_text(snapshot.eta_s)
    _redraw()


def _forget() -> None:
    global _active  # noqa: PLW0603 - see run()
    _active = None
    shown = state()
    shown.running, shown.fraction, shown.stage, shown.eta = False, 0.0, "", ""


def _redraw() -> None:
    """A property of the window manager that changes does not redraw the panels that show it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in AREAS:
                area.tag_redraw()


def shut_down() -> None:
    """Leave nothing behind: no timer (Blender may hang at exit with one), no thread at work, no backend."""
    global _active  # noqa: PLW0603 - see run()
    if bpy.app.timers.is_registered(_pump):
        bpy.app.timers.unregister(_pump)
    if _active is not None:
        job, _ = _active
        job.cancel()
        _active = None
        _await_end(job)
    connection.stop()


def _await_end(job: Job[Any], patience_s: float = 2.0) -> None:
    deadline = time.monotonic() + patience_s
    while not job.tick().finished and time.monotonic() < deadline:
        time.sleep(0.02)


def register() -> None:
    bpy.types.WindowManager.gesticulator_job = bpy.props.PointerProperty(type=GesticulatorJob)
    atexit.register(shut_down)


def unregister() -> None:
    atexit.unregister(shut_down)
    shut_down()
    del bpy.types.WindowManager.gesticulator_job


CLASSES = (GesticulatorJob,)
