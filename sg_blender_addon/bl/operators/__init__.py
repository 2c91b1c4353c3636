"""Operators `bpy.ops.gesticulator.*`; each says why it is greyed out."""

from __future__ import annotations

from . import choosing, generate, moving, rig, setup, voice

CLASSES = (*setup.CLASSES, *voice.CLASSES, *rig.CLASSES, *generate.CLASSES, *choosing.CLASSES, *moving.CLASSES)
