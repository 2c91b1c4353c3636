"""What we know about a strip, kept on its Action as JSON: NLA strips and tracks carry no custom properties."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from ..core.timeline import Alternative, Segment
from . import compat
from .rna import custom_property, present

KEY = "semantic_gesticulator"
RHYTHM, SEMANTIC = "rhythm", "semantic"
_STATE = (
    "frame_start",
    "frame_end",
    "action_frame_start",
    "action_frame_end",
    "scale",
    "repeat",
    "blend_in",
    "blend_out",
)  # not `influence`: while it is not animated Blender writes the blend of the current frame there


@dataclass(frozen=True)
class Record:
    """A strip of ours.

    kind: RHYTHM or SEMANTIC; job: the backend's job; source: the voice it was made for; segment: the gesture (None for
    rhythm; times are seconds of the audio); frame_zero: scene frame of the audio's second 0 at baking; fps: the scene's
    then; lock: the animator wants it kept; content, state: fingerprints of keys and strip as we left them.
    """

    kind: str
    job: str = ""
    source: str = ""
    segment: Segment | None = None
    frame_zero: float = 1.0
    fps: float = 24.0
    seconds: float = 0.0
    lock: bool = False
    content: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "segment": self.segment.to_json() if self.segment else None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        segment = Segment.from_json(data["segment"]) if data.get("segment") else None
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__ and k != "segment"}
        return cls(**known, segment=segment)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        return self.segment.alternatives if self.segment else ()


def read(action: bpy.types.Action | None) -> Record | None:
    """The record on an Action; None if it is not ours (or was damaged by hand: then it is left alone)."""
    text = custom_property(action, KEY) if action is not None else None
    if not isinstance(text, str):
        return None
    try:
        return Record.from_json(json.loads(text))
    except (ValueError, TypeError, KeyError):
        return None


def write(action: bpy.types.Action, record: Record) -> None:
    action[KEY] = json.dumps(record.to_json(), separators=(",", ":"))


def update(action: bpy.types.Action, **changes: Any) -> Record:
    """Change fields of an Action's record; ValueError if it has none."""
    record = read(action)
    if record is None:
        raise ValueError(f"{action.name} has no gesture record")
    record = replace(record, **changes)
    write(action, record)
    return record


def content_hash(action: bpy.types.Action) -> str:
    """Fingerprint of all keys: changes when a key is moved, added or deleted, a curve muted or given a modifier."""
    return fingerprint([read_digest(curve) for curve in compat.fcurves(action)])


def fingerprint(digests: Iterable[bytes]) -> str:
    """Of all curves of an Action together, in whatever order they come."""
    return hashlib.sha1(b"".join(sorted(digests)), usedforsecurity=False).hexdigest()


def curve_digest(path: str, index: int, keys: np.ndarray, muted: bool = False, modifiers: int = 0) -> bytes:
    """Of one curve; keys: (F, 2) frames and values, float32 as Blender holds them."""
    digest = hashlib.sha1(f"{path}[{index}]{muted}{modifiers}".encode(), usedforsecurity=False)
    digest.update(keys.tobytes())
    return digest.digest()


def read_digest(curve: bpy.types.FCurve) -> bytes:
    keys = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
    curve.keyframe_points.foreach_get("co", keys)
    return curve_digest(curve.data_path, curve.array_index, keys, curve.mute, len(curve.modifiers))


def strip_state(strip: bpy.types.NlaStrip) -> dict[str, Any]:
    """Fingerprint of how the strip sits on the NLA."""
    numbers = {name: round(float(getattr(strip, name)), 3) for name in _STATE}
    flags = {name: bool(getattr(strip, name)) for name in ("mute", "use_reverse", "use_animated_influence")}
    return {**numbers, **flags, "blend_type": strip.blend_type, "action": strip.action.name if strip.action else ""}


def stamp(strip: bpy.types.NlaStrip, record: Record) -> None:
    """Write the record with a fingerprint of how the strip lies now."""
    write(present(strip.action), replace(record, state=strip_state(strip)))


def change(strip: bpy.types.NlaStrip, record: Record, content: Callable[[bpy.types.Action], str] = content_hash) -> str:
    """What the animator did to a strip since we made it, in a few words; empty if nothing.

    content: gives the fingerprint of an Action's keys, for those who have read it already.
    """
    if record.lock:
        return "locked"
    now = strip_state(strip)
    if now["mute"] != record.state.get("mute"):
        return "muted"
    if record.state.get("action") != now["action"]:
        return "swapped"
    if any(now[k] != record.state.get(k) for k in ("frame_start", "frame_end")):
        return "moved"
    if now != record.state:
        return "adjusted"
    return "keys edited" if content(present(strip.action)) != record.content else ""
