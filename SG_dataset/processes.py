"""Several processes for one piece of work: started afresh, ended with their parent, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

MOST_WORKERS = 61
"""What Windows can wait for."""


def process_pool(workers: int, start: Callable[[], object] | None = None) -> ProcessPoolExecutor:
    """A pool of at most MOST_WORKERS processes, each of which calls `start` first.

    Its processes are started afresh ("spawn", on every system: what works here works on Windows), so a script that
    asks for a pool needs a main guard. They leave Ctrl-C to their parent, and none outlives it, killed or not.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(min(workers, MOST_WORKERS), context, _begin, (start,))


def _begin(start: Callable[[], object] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()  # waits on a pipe (Windows: a handle) that the system closes with the parent
        os._exit(1)  # the work itself may be in the middle of a matrix product

    threading.Thread(target=watch, daemon=True).start()
    if start is not None:
        start()
