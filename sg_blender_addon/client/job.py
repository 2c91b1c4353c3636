"""A handle on one piece of background work: the same object for a window, for scripts and for tests.

The work runs in one worker thread and never touches bpy. It reports through its `Control`; whoever owns the handle
calls `tick()` from a timer, or `wait()` where nothing else has to happen meanwhile (scripts, background mode).
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ..core.errors import Cancelled, UserError
from ..core.progress import Progress

T = TypeVar("T")

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
TICK_S = 0.2


@dataclass(frozen=True)
class Snapshot:
    """What is known about a job at one moment."""

    state: str = RUNNING
    stage: str = "Starting"
    fraction: float = 0.0
    """0 to 1, over the whole job."""
    eta_s: float | None = None
    """Estimated seconds left, None while nobody knows."""
    error: UserError | None = None

    @property
    def finished(self) -> bool:
        return self.state != RUNNING


class Control(Progress):
    """What the work sees of its handle: where to report, and whether to stop. Stages of the core are told to it too."""

    def __init__(self) -> None:
        super().__init__(self.report)
        self._lock = threading.Lock()
        self._snapshot = Snapshot()

    def report(self, stage: str, fraction: float, eta_s: float | None = None) -> None:
        """Say what is being done; also raises Cancelled when the user has had enough."""
        self.check()
        with self._lock:
            self._snapshot = replace(self._snapshot, stage=stage, fraction=min(1.0, max(0.0, fraction)), eta_s=eta_s)

    def sleep(self, seconds: float) -> None:
        """Wait, but not after a cancel."""
        self.cancelled.wait(seconds)
        self.check()

    def snapshot(self) -> Snapshot:
        with self._lock:
            return self._snapshot

    def finish(self, state: str, error: UserError | None = None) -> None:
        with self._lock:
            fraction = 1.0 if state == DONE else self._snapshot.fraction
            self._snapshot = replace(self._snapshot, state=state, fraction=fraction, eta_s=None, error=error)


class Job(Generic[T]):
    """Runs `work(control)` in a thread; `result` is what it returned once the state is `done`."""

    def __init__(self, name: str, work: Callable[[Control], T]) -> None:
        self.name = name
        self._control = Control()
        self._work = work
        self._result: T | None = None
        self._thread = threading.Thread(target=self._run, name=f"gesticulator-{name}", daemon=True)

    def start(self) -> Job[T]:
        self._thread.start()
        return self

    def tick(self) -> Snapshot:
        """The current state; never blocks."""
        return self._control.snapshot()

    def wait(self, timeout_s: float | None = None) -> Snapshot:
        """Block until the job has finished (or the time is up). Ctrl+C cancels."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while not self.tick().finished and (deadline is None or time.monotonic() < deadline):
                self._thread.join(TICK_S)
        except KeyboardInterrupt:
            self.cancel()
            self._thread.join()
        return self.tick()

    def cancel(self) -> None:
        """Ask the work to stop; it ends in the state `cancelled`, or `done` if it was faster."""
        self._control.cancel()

    @property
    def result(self) -> T:
        """What the work returned; RuntimeError unless the state is `done`."""
        if self.tick().state != DONE:
            raise RuntimeError(f"job {self.name} has no result: {self.tick().state}")
        return self._result  # type: ignore[return-value]  # set before the state became DONE

    def _run(self) -> None:
        try:
            self._result = self._work(self._control)
        except Cancelled:
            self._control.finish(CANCELLED)
        except UserError as error:
            self._control.finish(FAILED, error)
        except Exception as error:  # noqa: BLE001 - a thread has no caller; the handle carries it
            unexpected = UserError(
                f"Something went wrong inside the add-on: {error}",
                "Use 'Copy details' and send the text with a bug report.",
                "internal",
            )
            unexpected.details = traceback.format_exc()
            self._control.finish(FAILED, unexpected)
        else:
            self._control.finish(DONE)
