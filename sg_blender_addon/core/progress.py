"""How a long computation says where it is, and how it is told to stop.

A `Progress` is handed down through the stages. Each stage reports a name and a fraction of itself; `span` maps the
fraction of a part onto a range of the whole, so that the listener sees one number that only grows. Cancelling is an
event that `stage` and `check` look at: the computation ends with `Cancelled` at the next token, window or frame block.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .errors import Cancelled

Listener = Callable[[str, float], None]


class Progress:
    """Reports stage and fraction to a listener; raises `Cancelled` once `cancelled` is set. Usable without either."""

    def __init__(self, listener: Listener | None = None, cancel: threading.Event | None = None) -> None:
        self._listener = listener
        self.cancelled = cancel if cancel is not None else threading.Event()
        self._reached = 0.0

    def stage(self, name: str, fraction: float = 0.0) -> None:
        """Say that stage `name` has done `fraction` (0..1) of its range. Never moves the reported number backwards."""
        self.check()
        self._reached = max(self._reached, min(max(fraction, 0.0), 1.0))
        if self._listener is not None:
            self._listener(name, self._reached)

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked to stop."""
        if self.cancelled.is_set():
            raise Cancelled()

    def cancel(self) -> None:
        self.cancelled.set()

    def span(self, begin: float, end: float, name: str = "") -> Progress:
        """A part of this progress: its 0..1 becomes `begin`..`end` of ours, under `name` where one is given."""

        def report(stage: str, fraction: float) -> None:
            self.stage(name or stage, begin + (end - begin) * fraction)

        return Progress(report, self.cancelled)


class Estimate:
    """Seconds left, from the fraction done so far: None until there is enough to go by."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._left: float | None = None

    def update(self, fraction: float) -> float | None:
        elapsed = time.monotonic() - self.started
        if fraction <= 0.02 or elapsed < 0.3:
            return self._left
        left = elapsed * (1.0 - fraction) / fraction
        # Stages differ in speed, so the raw number jumps; half of the old value calms it without lagging behind.
        self._left = left if self._left is None else 0.5 * self._left + 0.5 * left
        return self._left
