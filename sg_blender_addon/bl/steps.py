"""Changes to Blender's data in small steps, so that its window is never held up.

A change is written as a generator. It yields how much is done (0 to 1) wherever Blender may have a turn, or a job to be
waited for elsewhere, and gets that job's result. Anything may happen to the file meanwhile: nothing of Blender's may be
kept over a yield, it is looked up again by its session uid.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

from ..client.job import CANCELLED, DONE, Control, Job
from ..core.errors import Cancelled, UserError

T = TypeVar("T")
Steps = Generator[Job[Any] | float, Any, T]

BUILDING = "Building strips"


class Interrupted(Exception):  # noqa: N818 - not an error: whoever builds begins again
    """What had been built is not there any more, or not as it was left."""


class Running(Generic[T]):
    """Steps on their way; nobody but Blender's main thread may touch this."""

    def __init__(self, steps: Steps[T], kind: str = "") -> None:
        self.kind = kind
        self.job: Job[Any] | None = None
        """What is waited for now."""
        self.fraction = 0.0
        self.result: T
        self._steps = steps
        self._thrown: Exception | None = None

    def advance(self, budget_s: float) -> bool:
        """Go on as long as a step like the longest so far fits in; True when all is done.

        False: there is more to do, or a job to be waited for. Raises whatever the steps raise.
        """
        began = time.perf_counter()
        longest = 0.0
        while self.job is None or self.job.tick().finished:
            before = time.perf_counter()
            try:
                yielded = self._resume()
            except StopIteration as end:
                self.result = end.value
                return True
            if isinstance(yielded, Job):
                self.job = yielded.start()
            else:
                self.fraction = yielded
            now = time.perf_counter()
            longest = max(longest, now - before)
            if now + longest - began > budget_s:
                break
        return False

    def cancel(self) -> None:
        """Have `advance` raise Cancelled, as soon as the job that is waited for has noticed."""
        self._thrown = Cancelled()
        if self.job is not None:
            self.job.cancel()

    @property
    def cancelling(self) -> bool:
        return isinstance(self._thrown, Cancelled)

    def interrupt(self) -> None:
        """Undo, redo or another file. While a job is waited for nothing has been built that could be lost."""
        if self.job is None and self._thrown is None:
            self._thrown = Interrupted()

    def close(self) -> None:
        """Drop it all; what the steps had begun they take back."""
        self._steps.close()

    def _resume(self) -> Job[Any] | float:
        job, thrown = self.job, self._thrown
        self.job = self._thrown = None
        if thrown is not None:
            return self._steps.throw(thrown)
        if job is None:
            return next(self._steps)
        snapshot = job.tick()
        if snapshot.state == DONE:
            return self._steps.send(job.result)
        if snapshot.state == CANCELLED:
            return self._steps.throw(Cancelled())
        assert snapshot.error is not None, "a job that failed says why"
        return self._steps.throw(snapshot.error)


def persistent(begin: Callable[[], Steps[T]]) -> Steps[T]:
    """Steps that begin again after every interruption, with whatever the scene is then."""
    while True:
        with contextlib.suppress(Interrupted):
            return (yield from begin())


def finish(steps: Steps[T]) -> T:
    """All of it in one go: for scripts, which have no window to keep alive."""
    running = Running(steps)
    while not running.advance(math.inf):
        assert running.job is not None, "nothing else takes longer than for ever"
        running.job.wait()
    return running.result


def in_thread(work: Callable[[], T]) -> Job[T]:
    """Numbers and files, in a thread of their own: to be yielded."""

    def reporting(control: Control) -> T:
        control.report(BUILDING, 0.0)
        return work()

    return Job("building", reporting)


def find_by_uid(collection: Iterable[Any], uid: int, what: str) -> Any:
    """The thing of that session uid; UserError when it is gone."""
    found = next((item for item in collection if item.session_uid == uid), None)
    if found is None:
        raise gone(what)
    return found


def gone(what: str) -> UserError:
    return UserError(f"{what} was removed while gestures were being made.", "Nothing was changed.", "target_gone")
