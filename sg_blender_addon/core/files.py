"""Writing so that a file is either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sg_blender_addon.core.errors import UserError


def cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written: {error.strerror or error}.",
        "Choose a folder that exists, that you may write to and that has room.",
        "cannot_write",
    )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, moved over it when the block ends well and removed when not.

    Makes missing folders. Raises UserError where the disk refuses.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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
