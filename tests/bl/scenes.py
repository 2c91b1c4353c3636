"""Scenes with a speaker and a voice, and fingerprints that show whether anything in a file changed."""

from __future__ import annotations

import hashlib
import math
import struct
import sys
import wave
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy

from tests.bl import rig_scenes
from tests.core.rig_models import Shape

STRIP_FIXTURE = Path(__file__).parents[1] / "data" / "voice_strip.blend"
"""A scene with one sound strip "voice", saved by 4.5: Blender's 4.2 wheel has no sound module to make one."""


def module(addon: ModuleType, name: str) -> ModuleType:
    """A module of the add-on's `bl`, as Blender loaded it (not as pytest would import it)."""
    return sys.modules[f"{addon.__name__}.bl.{name}"]


def write_tone(path: Path, seconds: float = 3.0, rate: int = 16000) -> Path:
    """A hum that swells and fades: enough for tests in which nobody listens."""
    samples = (int(9000 * math.sin(i * 0.1) * (0.5 + 0.5 * math.sin(i * 0.001))) for i in range(round(seconds * rate)))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def empty(fps: int = 24, seconds: float = 3.0) -> bpy.types.Scene:
    """An empty scene; in 4.2 with the fixture's strip, which is 3 s long."""
    if makes_strips():
        return rig_scenes.fresh(fps)
    bpy.ops.wm.open_mainfile(filepath=str(STRIP_FIXTURE), load_ui=False)
    return bpy.context.scene


def makes_strips() -> bool:
    try:
        import aud  # noqa: F401
    except ImportError:
        return False
    return True


def add_voice(scene: bpy.types.Scene, path: Path, frame: int = 1) -> Any:
    """A sound strip called "voice" that plays the file from that frame on."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    if makes_strips():
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences
        strip = strips.new_sound(name="voice", filepath=str(path), channel=1, frame_start=frame)
        strip.name = "voice"
        return strip
    strip = editor.sequences_all["voice"]
    strip.sound.filepath = str(path)
    strip.frame_start = frame
    return strip


def remove_voice(scene: bpy.types.Scene) -> None:
    """Take the voice's strip away. (`sequence_editor_clear` makes 4.2 crash at the next file.)"""
    editor = scene.sequence_editor
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strips.remove(strips["voice"])


def add_character(shape: Shape | None = None) -> bpy.types.Object:
    """A Mixamo-named armature."""
    armature = rig_scenes.mixamo(shape or Shape())
    armature.name = "Speaker"
    return armature


def fingerprint() -> dict[str, str]:
    """A digest of everything a user could miss, by name: to compare before and after something that failed."""
    found = {}
    for obj in bpy.data.objects:
        found[f"object {obj.name}"] = _digest(_animation(obj), sorted(obj.keys()))
    for action in bpy.data.actions:
        found[f"action {action.name}"] = _digest(list(action.frame_range), action.users)
    for scene in bpy.data.scenes:
        editor = scene.sequence_editor
        strips = getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", None) or ()
        found[f"scene {scene.name}"] = _digest(
            scene.frame_start,
            scene.frame_end,
            scene.frame_current,
            scene.sync_mode,
            [(s.name, s.mute, s.channel) for s in strips],
            [w.name for w in scene.gesticulator.words],
        )
    return found


def _animation(obj: bpy.types.Object) -> list[Any]:
    data = obj.animation_data
    if data is None:
        return []
    tracks = [(t.name, [(s.name, s.frame_start, s.frame_end, s.mute) for s in t.strips]) for t in data.nla_tracks]
    return [data.action.name if data.action else None, data.use_nla, tracks]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
