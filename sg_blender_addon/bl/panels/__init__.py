"""The sidebar tab "Gestures" of the 3D View, the Sequencer and the NLA editor."""

from __future__ import annotations

from . import main, words

CLASSES: tuple[type, ...] = (*words.LISTS, *main.CLASSES, *words.CLASSES)
