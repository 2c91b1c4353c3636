"""The previews of a library's gestures: fetched once, kept in files that are named by what they show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.files import replacing
from .api import Api
from .connection import BackendChoice, Connection
from .editing import GestureInfo, catalogue
from .generation import LOST_CODES
from .job import Control

PNG = b"\x89PNG\r\n"


@dataclass(frozen=True)
class PreviewRequest:
    """Whose previews go where. The folder may be shared by all libraries: names tell previews apart."""

    backend: BackendChoice
    library: str
    folder: Path


def preview_file(folder: Path, gesture: GestureInfo) -> Path | None:
    """Where a gesture's preview is kept, there or not; None if it can have none."""
    if not gesture.preview:
        return None
    name = hashlib.sha256(f"{gesture.id} {gesture.preview}".encode()).hexdigest()[:24]
    return folder / f"{name}.png"


def refresh(
    connection: Connection, request: PreviewRequest, keep: Callable[[Sequence[GestureInfo]], None], control: Control
) -> None:
    """Ask which gestures there are, hand them to `keep`, then fetch the previews that are not here yet."""
    control.report("Listing the gestures", 0.0)
    api = connection.open(request.backend, control.check)
    try:
        gestures = catalogue(api, request.library)
        control.check()
        keep(gestures)
        _fetch(api, request, gestures, control)
    finally:
        api.close()


def _fetch(api: Api, request: PreviewRequest, gestures: Sequence[GestureInfo], control: Control) -> None:
    for done, gesture in enumerate(gestures):
        control.report("Fetching previews", done / len(gestures))
        path = preview_file(request.folder, gesture)
        if path is None or path.exists():
            continue
        try:
            data = api.preview(gesture.id, request.library)
        except UserError as error:
            if error.code in LOST_CODES:
                raise
            continue  # the other gestures may have theirs
        if data.startswith(PNG):
            with replacing(path) as temporary:
                temporary.write_bytes(data)
