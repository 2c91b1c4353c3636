"""The gesture library: notation files, their compiler, the built library and its pictures.

from SG_dataset import open_library

library = open_library()  # ours; or a folder, or "FOLDER+starter" to lay one's own over ours
motion = library.gesture("3123").variants[0].motion()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sg_blender_addon.core.lazy import attributes

if TYPE_CHECKING:
    from SG_dataset.compiler.compile import compile_variant
    from SG_dataset.library import Library, write_library
    from SG_dataset.notation.read import parse_gesture, read_gesture
    from SG_dataset.notation.records import GestureSpec
    from SG_dataset.open import open_library
    from SG_dataset.phases import Phases
    from SG_dataset.records import Gesture, NewGesture, NewVariant, Variant

__all__ = [
    "Gesture",
    "GestureSpec",
    "Library",
    "NewGesture",
    "NewVariant",
    "Phases",
    "Variant",
    "compile_variant",
    "open_library",
    "parse_gesture",
    "read_gesture",
    "write_library",
]

__getattr__ = attributes(
    __name__,
    {
        "Gesture": "SG_dataset.records",
        "GestureSpec": "SG_dataset.notation.records",
        "Library": "SG_dataset.library",
        "NewGesture": "SG_dataset.records",
        "NewVariant": "SG_dataset.records",
        "Phases": "SG_dataset.phases",
        "Variant": "SG_dataset.records",
        "compile_variant": "SG_dataset.compiler.compile",
        "open_library": "SG_dataset.open",
        "parse_gesture": "SG_dataset.notation.read",
        "read_gesture": "SG_dataset.notation.read",
        "write_library": "SG_dataset.library",
    },
)
