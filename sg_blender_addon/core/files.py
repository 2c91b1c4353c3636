"""Writing so that a file is either whole or not there: the one place that does it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError

_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Seconds between attempts to move a file over one that a reader has open, which Windows refuses until it is closed."""
_STEM = 40
"""Characters of a file's name that its temporary neighbour takes over: names may not be longer than 255 bytes."""


def cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written: {error.strerror or error}.",
        "Choose a folder that exists, that you may write to and that has room.",
        "cannot_write",
    )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, moved over it when the block ends well and removed when not.

    Makes missing folders. Raises UserError where the disk refuses, inside the block too.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem[:_STEM]}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)  # as any other file: mkstemp and some writers make them for their owner alone
        move(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # what went wrong before is the better thing to say
                temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file or folder to a place on the same disk, over the file there. OSError where that stays impossible."""
    for wait in _WAITS:
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    os.replace(source, target)


def check_writable(path: str | Path) -> None:
    """Raise UserError now for what would fail after minutes of work: a folder in the place, no permission."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder.", "Give the name of a file in it.", "cannot_write")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{path} cannot be written there.", "Choose a folder that you may write to.", "cannot_write")
