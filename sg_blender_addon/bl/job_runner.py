"""The one job that may run, pumped by a timer: its handle here, what the panels show of it on the window manager.

A worker thread never touches bpy; a timer on Blender's main thread copies the handle's state and, at the end, lets the
result in, a little at each tick. No modal operator, because that would block autosave. Nothing here holds a pointer to
Blender's data.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import time
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import bpy

from ..client.connection import Connection
from ..client.job import TICK_S, Job, Snapshot
from ..core.errors import Cancelled, UserError
from . import baking, reports
from .rna import add_property, present
from .steps import BUILDING, Running, Steps

AREAS = ("VIEW_3D", "SEQUENCE_EDITOR", "NLA_EDITOR", "PREFERENCES")
BUDGET_S = 0.025
"""Work per tick; what Blender's window is held up by."""
PAUSE_S = 0.005
"""Between two ticks that work, for what Blender itself has to do."""

connection = Connection()
"""The add-on's way to its backend; one for all windows."""

_active: Running[str] | None = None
_drawn_at = 0.0


class GesticulatorJob(bpy.types.PropertyGroup):
    """What the panels show of the live job and of the last error; lives on the WindowManager, is never saved."""

    running: Annotated[bool, bpy.props.BoolProperty()]
    kind: Annotated[str, bpy.props.StringProperty()]
    stage: Annotated[str, bpy.props.StringProperty()]
    fraction: Annotated[float, bpy.props.FloatProperty(min=0.0, max=1.0)]
    eta: Annotated[str, bpy.props.StringProperty()]
    message: Annotated[str, bpy.props.StringProperty()]
    error: Annotated[str, bpy.props.StringProperty()]
    hint: Annotated[str, bpy.props.StringProperty()]
    code: Annotated[str, bpy.props.StringProperty()]
    details: Annotated[str, bpy.props.StringProperty()]


def state(context: bpy.types.Context | None = None) -> GesticulatorJob:
    window_manager = present((context or bpy.context).window_manager)
    return window_manager.gesticulator_job  # type: ignore[attr-defined]  # see register()


def busy(besides: str = "") -> bool:
    """True while a job runs, other than one of the kind `besides`."""
    return _active is not None and _active.kind != besides


def run(job: Job[Any], on_done: Callable[[Any], str | Steps[str]], *, wait: bool) -> str:
    """Start a job. `on_done(result)` lets the result in on the main thread, at once or in steps; its end is a line to
    report.

    With `wait` (scripts, background mode) the call returns that line when all is done, or raises UserError. Without,
    it returns an empty string at once and a timer does the rest.
    """
    global _active  # noqa: PLW0603 - one job per Blender is the point
    if busy():
        raise UserError("A job is already running.", "Wait for it, or press Cancel.", "busy")
    clear_error()
    shown = state()
    shown.running, shown.kind, shown.message = True, job.name, ""
    running = _active = Running(_whole(job, on_done), job.name)
    if wait:
        return _finish_here(running)
    _advance(running, 0.0)
    bpy.app.timers.register(_pump, first_interval=TICK_S, persistent=True)
    return ""


def _whole(job: Job[Any], on_done: Callable[[Any], str | Steps[str]]) -> Steps[str]:
    outcome = on_done((yield job))
    return outcome if isinstance(outcome, str) else (yield from outcome)


def cancel() -> None:
    """Ask the live job to stop; it ends at the next tick of its timer."""
    if _active is not None:
        _active.cancel()
        state().stage = "Cancelling"


def tick() -> bool:
    """Go on for a moment and show how the job stands. True while it runs."""
    if _active is None:
        return False
    shown = state()  # of a new window manager, if another file was opened
    shown.running, shown.kind = True, _active.kind
    with contextlib.suppress(UserError):  # it is in the error box
        if not _advance(_active, BUDGET_S):
            _show(_active)
            return True
    _redraw()
    return False


def _pump() -> float | None:
    if not tick():
        return None
    return TICK_S if _active is not None and _active.job is not None else PAUSE_S


def _finish_here(running: Running[str]) -> str:
    try:
        while not _advance(running, math.inf):
            present(running.job).wait()
    except BaseException:
        _drop()
        _forget()
        raise
    return state().message


def _advance(running: Running[str], budget_s: float) -> bool:
    """Go on with the live job; True when it has ended well. When not, the error box says why, and so does UserError."""
    try:
        if not running.advance(budget_s):
            return False
    except Cancelled:
        _forget()
        state().message = "Cancelled"
        raise UserError("Cancelled.", "Nothing was changed.", "cancelled") from None
    except UserError as refused:
        error = refused
    except Exception as broken:  # noqa: BLE001 - a timer has no caller; the error box carries it
        error = unexpected(broken)
        error.details = traceback.format_exc()
    else:
        message = running.result
        _forget()
        state().message = message
        return True
    _forget()
    show_error(error, error.details)
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


def _show(running: Running[str]) -> None:
    shown = state()
    snapshot = running.job.tick() if running.job else Snapshot(stage=BUILDING, fraction=running.fraction)
    shown.stage = "Cancelling" if running.cancelling else snapshot.stage
    shown.fraction = snapshot.fraction
    shown.eta = eta_text(snapshot.eta_s)
    if time.monotonic() - _drawn_at >= TICK_S:
        _redraw()


def _forget() -> None:
    global _active  # noqa: PLW0603 - see run()
    _active = None
    shown = state()
    shown.running, shown.fraction, shown.stage, shown.eta = False, 0.0, "", ""


def _redraw() -> None:
    """A property of the window manager that changes does not redraw the panels that show it."""
    global _drawn_at  # noqa: PLW0603 - of all windows
    _drawn_at = time.monotonic()
    for window in present(bpy.context.window_manager).windows:
        for area in window.screen.areas:
            if area.type in AREAS:
                area.tag_redraw()


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _time_has_moved(*_: Any) -> None:
    """Undo and redo take unfinished Actions away or bring them back; a file may have been autosaved with some."""
    if _active is not None:
        _active.interrupt()
    baking.sweep()


def shut_down() -> None:
    """Leave nothing behind: no timer (Blender may hang at exit with one), no thread at work, no backend."""
    if bpy.app.timers.is_registered(_pump):
        bpy.app.timers.unregister(_pump)
    _drop()
    connection.stop()


def _drop() -> None:
    """End the live job, whatever it is at, and take back what it had begun."""
    global _active
    running, _active = _active, None
    if running is not None:
        running.cancel()
        running.close()
        if running.job is not None:
            _await_end(running.job)


def _await_end(job: Job[Any], patience_s: float = 2.0) -> None:
    deadline = time.monotonic() + patience_s
    while not job.tick().finished and time.monotonic() < deadline:
        time.sleep(0.02)


def _handlers() -> tuple[list[Any], ...]:
    handlers = bpy.app.handlers
    return handlers.undo_post, handlers.redo_post, handlers.load_post


def register() -> None:
    add_property(bpy.types.WindowManager, "gesticulator_job", GesticulatorJob)
    for handlers in _handlers():
        handlers.append(_time_has_moved)
    atexit.register(shut_down)


def unregister() -> None:
    atexit.unregister(shut_down)
    shut_down()
    _forget()  # what the window manager says outlives its property, and is there again with the add-on
    for handlers in _handlers():
        if _time_has_moved in handlers:
            handlers.remove(_time_has_moved)
    delattr(bpy.types.WindowManager, "gesticulator_job")


CLASSES: tuple[type, ...] = (GesticulatorJob,)
