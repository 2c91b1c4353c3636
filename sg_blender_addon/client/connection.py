"""Where the backend is: somebody's URL, or a process of our own that is started when first needed.

One `Connection` lives as long as the add-on is enabled. Its methods block and are called from worker threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import UserError
from .api import Api, checked_url
from .process import BackendProcess, ServeCommand

LAST_BREATH_S = 1.0
LOCK_PATIENCE_S = 0.05


@dataclass(frozen=True)
class BackendChoice:
    """The preferences' answer to "which backend?": a URL with its token, or a command to start our own."""

    url: str = ""
    token: str = ""
    serve: ServeCommand | None = None


class Connection:
    """Hands out an `Api` for the chosen backend, keeps at most one own process, and knows when that one died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BackendProcess | None = None

    def open(self, choice: BackendChoice, check: Callable[[], None] = lambda: None) -> Api:
        """An Api that answers; starts the own backend if it does not run. UserError when there is none.

        check: raises when nobody wants the backend any more. It is asked last of all, so that work that was cancelled
        before `stop()` starts none after it.
        """
        if choice.url:
            return Api(checked_url(choice.url), choice.token)
        if choice.serve is None:
            raise UserError(
                "There is no gesture backend yet.",
                "Press 'Set up backend' in the add-on's preferences, or enter the address of a running one.",
                "backend_missing",
            )
        with self._lock:
            process = self._process
            if process is None or not process.alive or process.command != choice.serve:
                check()
                self._stop()
                process = self._process = BackendProcess(choice.serve)
                process.start()
            return Api(process.url, process.token)

    def died(self, choice: BackendChoice) -> bool:
        """True when the backend of `choice` was started by us and has ended by itself.

        A call to a dying process fails a moment before the process is gone, so this waits for that moment.
        """
        process = self._process
        return not choice.url and process is not None and process.ended(LAST_BREATH_S)

    def log_tail(self) -> str:
        process = self._process
        return process.log_tail() if process else ""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End our own backend, if any, also one that is just starting. Returns when it is gone."""
        while not self._lock.acquire(timeout=LOCK_PATIENCE_S):
            starting = self._process  # whoever holds the lock waits for it, for minutes if need be
            if starting is not None:
                starting.stop()
        try:
            self._stop()
        finally:
            self._lock.release()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop()
