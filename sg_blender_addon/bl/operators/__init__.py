"""Operators `bpy.ops.gesticulator.*`; each says why it is greyed out."""

from __future__ import annotations

from . import generate, rig, setup, strips, swap, voice

CLASSES: tuple[type, ...] = (
    *setup.CLASSES,
    *voice.CLASSES,
    *rig.CLASSES,
    *generate.CLASSES,
    *swap.CLASSES,
    *strips.CLASSES,
)
