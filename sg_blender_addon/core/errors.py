"""Errors that are meant to be read by a person."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can understand and act on.

    `message` is one sentence that says what is wrong, `hint` one that says what to do next, `code` a short
    machine-readable name that the HTTP protocol and scripts may rely on, one of `error_codes.CODES`. `details` is for
    bug reports: a traceback, the end of a log.
    """

    def __init__(self, message: str, hint: str = "", code: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.details = ""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "hint": self.hint}


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """Long work noticed that the user cancelled it."""
