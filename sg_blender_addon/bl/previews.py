"""The previews of gestures as Blender's icons, and the quiet job that brings them and the list of gestures up to date.

The job asks for nobody's patience: it has no progress bar, another job may begin beside it, and when it fails, what is
already on the disk stays in use. It begins beside no other job, and is cancelled before the backend is stopped.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterator
from pathlib import Path

import bpy
import bpy.utils.previews

from ..client.editing import GestureInfo
from ..client.job import Job
from ..client.previews import PreviewRequest, preview_file
from ..client.previews import refresh as fetch
from ..core.errors import UserError
from . import backend_settings, catalogue, job_runner

LAST_BREATH_S = 2.0
PUMP_S = 0.05
"""Between two looks: reading a preview takes Blender some milliseconds, and somebody may be watching the playback."""

_icons: bpy.utils.previews.ImagePreviewCollection | None = None
_awaited: dict[str, Path] = {}
"""Icons that were shown before their file was there."""
_ahead: Iterator[int] = iter(())
_job: Job[None] | None = None
_request: PreviewRequest | None = None


def icon(gesture: GestureInfo) -> int:
    """Blender's number for a gesture's preview; 0 where there is nothing to show. The preview may appear later."""
    path = preview_file(_folder(), gesture)
    if path is None or _icons is None:
        return 0
    if path.name not in _icons:
        if not path.exists():
            _awaited[path.name] = path
        _read(_icons.load(path.name, str(path), "IMAGE"))
    return _icons[path.name].icon_id


def refresh() -> None:
    """Start to bring the list and the previews of the preferences' library up to date."""
    global _job, _request, _ahead  # noqa: PLW0603 - one set of previews per Blender
    try:
        request = PreviewRequest(backend_settings.backend_choice(), backend_settings.library(), _folder())
    except UserError:  # offline, say: whatever is done with a gesture next will tell
        return
    if _job is not None and not _job.tick().finished and request == _request:
        return
    cancel()
    keep = functools.partial(catalogue.remember, catalogue.file_of(request.library))
    _request, _ahead = request, _read_ahead()
    _job = Job("previews", lambda control: fetch(job_runner.connection, request, keep, control)).start()
    bpy.app.timers.register(_pump, first_interval=PUMP_S, persistent=True)


def tick() -> bool:
    """Let arrived previews into their icons; when all are here, make the next icon. True while there is more to do."""
    running = _job is not None and not _job.tick().finished
    for name in [name for name, path in _awaited.items() if path.exists()]:
        del _awaited[name]
        if _icons is not None and name in _icons:
            _icons[name].reload()
            _read(_icons[name])
    return running or next(_ahead, None) is not None


def _read_ahead() -> Iterator[int]:
    """All icons, one at a time: a page of them at once would be felt when the dialog turns to it."""
    yield from (icon(gesture) for gesture in catalogue.gestures())


def _read(preview: bpy.types.ImagePreview) -> None:
    """Blender would read the file later, and show it in a dialog only after the next mouse movement over it."""
    preview.image_size[:]


def _pump() -> float | None:
    return PUMP_S if tick() else None


def _folder() -> Path:
    return backend_settings.user_folder("previews")


def cancel() -> None:
    """Let the job end. It starts no backend after this call."""
    global _request  # noqa: PLW0603 - see refresh()
    _request = None
    if _job is not None:
        _job.cancel()
    if bpy.app.timers.is_registered(_pump):
        bpy.app.timers.unregister(_pump)


def _stop() -> None:
    cancel()
    if _job is not None:
        _job.wait(LAST_BREATH_S)


def register() -> None:
    global _icons  # noqa: PLW0603 - Blender wants them handed back at the end
    _icons = bpy.utils.previews.new()
    atexit.register(_stop)


def unregister() -> None:
    global _icons  # noqa: PLW0603 - see register()
    atexit.unregister(_stop)
    _stop()
    _awaited.clear()
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
