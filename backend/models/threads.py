"""How many threads to compute with: as many as there are idle processors, asked again as the work goes on.

Small matrices are shared out among threads many thousand times a second, and each time all wait for the slowest. With a
thread more than there are free processors a token takes several times longer than with one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

_STAT = Path("/proc/stat")
INTERVAL = 1.0  # seconds between two looks
FIRST_LOOK = 0.03
STALE = 3.0  # seconds after which what was seen says nothing about now


def processors() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _busy_seconds() -> float | None:
    """Processor seconds spent by the whole machine since it started; None where it does not say."""
    try:
        fields = _STAT.read_text("ascii").split("\n", 1)[0].split()[1:]
        ticks = [int(f) for f in fields]
    except (OSError, ValueError, IndexError):
        return None
    idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
    # guest time is counted in user time already
    return (sum(ticks[:8]) - idle) / float(os.sysconf("SC_CLK_TCK"))


def choose(others: float, available: int) -> int:
    """Threads for `available` processors of which others keep `others` busy (a fraction counts once it is a third)."""
    return max(1, min(available, int(available - others + 0.66)))


class FreeThreads:
    """Keeps `torch.set_num_threads` at what is free. Setting OMP_NUM_THREADS overrules it."""

    def __init__(self) -> None:
        self.available = processors()
        self.fixed = "OMP_NUM_THREADS" in os.environ
        self.threads = torch.get_num_threads()
        self._last = self._look()
        self._known = False

    def _look(self) -> tuple[float, float, float] | None:
        busy = _busy_seconds()
        return None if busy is None else (time.monotonic(), busy, time.process_time())

    def begin(self) -> None:
        """Set what is known to be free; where that is old, look for a moment first."""
        if self.fixed or self.available == 1 or self._last is None:
            return
        if not self._known or time.monotonic() - self._last[0] > STALE:
            self._last = self._look()
            time.sleep(FIRST_LOOK)
            self.update(0.0)
        torch.set_num_threads(self.threads)

    def update(self, wait: float = INTERVAL) -> None:
        """Look again if `wait` seconds have passed since the last look."""
        if self.fixed or self.available == 1 or self._last is None or time.monotonic() - self._last[0] < wait:
            return
        now = self._look()
        if now is None:
            return
        elapsed, busy, own = (b - a for a, b in zip(self._last, now, strict=True))
        self._last, self._known = now, True
        self.threads = choose(max(0.0, busy - own) / elapsed, self.available)
        if self.threads != torch.get_num_threads():
            torch.set_num_threads(self.threads)


@lru_cache(maxsize=1)
def _shared() -> FreeThreads:
    """One for the process: hundreds of short pieces of work need not look each for itself."""
    return FreeThreads()


@contextmanager
def one_thread() -> Iterator[None]:
    """For work that gains little from more: sums come out the same to the last digit however busy the machine is, so
    the same seed gives the same file."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def free_threads() -> Iterator[FreeThreads]:
    """Compute with as many threads as are free; puts the number back afterwards."""
    before = torch.get_num_threads()
    free = _shared()
    free.begin()
    try:
        yield free
    finally:
        torch.set_num_threads(before)
