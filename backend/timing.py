"""Where a job's time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def total(self, stages: dict[str, float], audio_seconds: float) -> dict[str, float]:
        """The timing of REPORT.json: `stages`, and everything since this stopwatch began."""
        total = time.perf_counter() - self._began
        return {**stages, "total_s": total, "real_time_factor": total / max(audio_seconds, 1e-3)}
