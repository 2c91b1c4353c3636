"""Sound strips of the sequencer: which there are, and what part of which file plays at which frame.

A plain strip is sent as its file with in and out points, so that nothing has to be rendered and the backend may use
any decoder it has. A retimed strip cannot be described that way (Blender hides where a retiming key sits in the file):
it is mixed down by Blender to what it plays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.errors import UserError
from .compat import has_option, scene_fps
from .rna import present

SHORTEST_S = 0.05
MIXDOWN_RATE = 48000


@dataclass(frozen=True)
class Voice:
    """The part of a sound that a strip plays. Frames are the scene's, seconds without other word are the file's."""

    strip: str
    audio: Path | bytes
    start_frame: float
    """Scene frame at which the part of the file begins to play."""
    end_frame: float
    audio_start: float | None
    """In point, None: the file's beginning."""
    audio_end: float | None
    speed: float = 1.0
    mixed: bool = False
    """Blender mixed it down, because the strip is retimed: bytes that come from no file."""


def editing_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene that the sequencer edits: since 5.0 a workspace may show another scene's strips."""
    return getattr(context, "sequencer_scene", None) or present(context.scene)


def all_strips(scene: bpy.types.Scene) -> list[Any]:
    """Every strip of a scene, those inside meta strips too."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def sound_strips(scene: bpy.types.Scene) -> list[Any]:
    return [strip for strip in all_strips(scene) if strip.type == "SOUND"]


def find(scene: bpy.types.Scene, name: str) -> Any | None:
    """The sound strip of that name, or None."""
    return next((strip for strip in sound_strips(scene) if strip.name == name), None)


def chosen(scene: bpy.types.Scene, name: str) -> Any:
    """The strip to use: the one named, else the only one there is. UserError says what to do when that fails."""
    strips = sound_strips(scene)
    if not strips:
        raise UserError(
            "There is no voice yet: the scene has no sound strip.",
            "Add one in the Video Sequencer (Add > Sound), or press 'Add voice'.",
            "no_strip",
        )
    if not name:
        if len(strips) == 1:
            return strips[0]
        raise UserError("The scene has several sound strips.", "Choose the voice in the Gestures panel.", "no_strip")
    strip = find(scene, name)
    if strip is None:
        raise UserError(
            f"The sound strip '{name}' is gone.", "Choose the voice again in the Gestures panel.", "no_strip"
        )
    return strip


def content_start(strip: Any) -> float:
    """Frame where the strip's sound would begin if nothing were trimmed."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def handles(strip: Any) -> tuple[float, float]:
    """First frame of the strip and the frame after its last."""
    if hasattr(strip, "left_handle"):
        return float(strip.left_handle), float(strip.right_handle)
    return float(strip.frame_final_start), float(strip.frame_final_end)


def content_frames(strip: Any) -> float:
    return float(strip.content_duration if hasattr(strip, "content_duration") else strip.frame_duration)


def read_voice(scene: bpy.types.Scene, strip: Any) -> Voice:
    """What the strip plays; UserError when its sound is missing or nothing of it is left."""
    audio = audio_of(strip)
    return _mixed_down(scene, strip) if _retimed(scene, strip) else _part_of(audio, scene, strip)


def is_still(voice: Voice, scene: bpy.types.Scene, strip: Any) -> bool:
    """Whether the strip plays what it did when the voice was read, as far as can be told in no time.

    A mixdown takes as long as the first one and a packed sound is a copy of all its bytes: of the one only the place is
    compared, of the other the size.
    """
    if voice.mixed:
        return handles(strip) == (voice.start_frame, voice.end_frame)
    size = _packed_bytes(strip)
    if size != (len(voice.audio) if isinstance(voice.audio, bytes) else 0) or _retimed(scene, strip):
        return False
    return _part_of(voice.audio if size else audio_of(strip), scene, strip) == voice


def _part_of(audio: Path | bytes, scene: bpy.types.Scene, strip: Any) -> Voice:
    """The part of the sound that a strip plays, at the sound's own speed."""
    fps = scene_fps(scene)
    begin = content_start(strip)
    left, right = handles(strip)
    hard_trim = _hard_trim_frames(strip)
    first = max(left, begin - hard_trim)
    last = min(right, begin + content_frames(strip))
    if (last - first) / fps < SHORTEST_S:
        raise UserError(
            f"Nothing of the sound is left in the strip '{strip.name}'.", "Make the strip longer.", "strip_empty"
        )
    offset = float(getattr(strip, "sound_offset", 0.0))
    audio_start = max(0.0, (first - begin + hard_trim) / fps + offset)
    trimmed = right < begin + content_frames(strip)
    audio_end = audio_start + (last - first) / fps if trimmed else None
    return Voice(strip.name, audio, first, last, audio_start or None, audio_end)


def audio_of(strip: Any) -> Path | bytes:
    """The strip's file, or the bytes of a packed sound. UserError when neither is there."""
    sound = strip.sound
    if sound is None:
        raise UserError(f"The strip '{strip.name}' has no sound.", "Choose another strip.", "audio_not_found")
    if _packed_bytes(strip):
        return bytes(sound.packed_file.data)
    path = Path(bpy.path.abspath(sound.filepath, library=sound.library))
    if not path.is_file():
        raise UserError(
            f"The sound file of the strip '{strip.name}' is missing: {path.name}",
            "Put it back, or use File > External Data > Find Missing Files.",
            "audio_not_found",
        )
    return path


def _packed_bytes(strip: Any) -> int:
    packed = strip.sound.packed_file if strip.sound is not None else None
    return packed.size if packed is not None else 0


def _hard_trim_frames(strip: Any) -> float:
    """Frames cut off for good at the content's beginning (a property of old files; gone in newer versions)."""
    return float(getattr(strip, "animation_offset_start", 0) or 0)


def _retimed(scene: bpy.types.Scene, strip: Any) -> bool:
    keys = getattr(strip, "retiming_keys", None)
    if keys is not None:
        return len(keys) > 0
    # 4.2 and 4.3 have retiming but do not show its keys to Python: the content's length gives it away
    seconds = _sound_seconds(strip.sound)
    return seconds is not None and abs(content_frames(strip) / scene_fps(scene) - seconds) > 2 / scene_fps(scene)


def _sound_seconds(sound: bpy.types.Sound) -> float | None:
    """Length of a sound, None where this Blender has no sound module."""
    try:
        handle = sound.factory
        return handle.length / handle.specs[0]
    except (AttributeError, ImportError, SystemError, ZeroDivisionError, RuntimeError):
        return None


def _mixed_down(scene: bpy.types.Scene, strip: Any) -> Voice:
    """The strip alone, mixed down by Blender over its range."""
    left, right = handles(strip)
    with tempfile.TemporaryDirectory(prefix="gesticulator-") as folder:
        path = Path(folder) / "voice.wav"
        with _solo(scene, strip, int(left), int(right) - 1):
            _mixdown(scene, path)
        data = path.read_bytes() if path.is_file() else b""
    if not data:
        raise UserError(
            f"The strip '{strip.name}' is retimed, and this Blender cannot mix sound down.",
            "Remove the retiming keys (Strip > Retiming > Reset), or use the sound in its final speed.",
            "no_mixdown",
        )
    return Voice(strip.name, data, left, right, None, None, mixed=True)


def _mixdown(scene: bpy.types.Scene, path: Path) -> None:
    try:
        with bpy.context.temp_override(scene=scene):
            options: dict[str, Any] = {"container": "WAV", "codec": "PCM", "format": "S16"}
            if has_option(bpy.ops.sound.mixdown, "mixrate"):  # before 4.3 it is the scene's
                options["mixrate"] = MIXDOWN_RATE
            bpy.ops.sound.mixdown(filepath=str(path), check_existing=False, **options)
    except (RuntimeError, AttributeError, TypeError):
        return  # built without sound; the missing file tells the caller


@contextmanager
def _solo(scene: bpy.types.Scene, strip: Any, first: int, last: int) -> Iterator[None]:
    """Only this strip sounds and only its range plays; everything is put back afterwards."""
    mutes = [(other, other.mute) for other in all_strips(scene) if other.type in ("SOUND", "SCENE")]
    volume, frames = (strip.volume, strip.pan), (scene.frame_start, scene.frame_end)
    try:
        for other, _mute in mutes:
            other.mute = other != strip
        scene.frame_start, scene.frame_end = first, max(first, last)
        yield
    finally:
        scene.frame_start, scene.frame_end = frames
        strip.volume, strip.pan = volume
        for other, mute in mutes:
            other.mute = mute


def active(context: bpy.types.Context) -> Any | None:
    """The sequencer's active strip."""
    editor = editing_scene(context).sequence_editor
    return editor.active_strip if editor else None


def add(scene: bpy.types.Scene, path: Path, frame: int) -> Any:
    """A new sound strip in the lowest channel that is free there; UserError when Blender cannot read the file."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    channel = _free_channel(scene, frame)
    try:
        return strips.new_sound(name=path.stem, filepath=str(path), channel=channel, frame_start=frame)
    except (RuntimeError, AttributeError) as error:
        raise UserError(
            f"Blender cannot read {path.name} as sound.", "Convert it to a WAV file first.", "audio_unreadable"
        ) from error


def _free_channel(scene: bpy.types.Scene, frame: int) -> int:
    taken = {strip.channel for strip in all_strips(scene) if handles(strip)[1] > frame}
    return next(channel for channel in range(1, 129) if channel not in taken)
