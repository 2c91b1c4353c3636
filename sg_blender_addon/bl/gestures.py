"""Which of our semantic strips an operator or a list row is about."""

from __future__ import annotations

import bpy

from ..core.errors import UserError
from . import properties
from .metadata import SEMANTIC
from .strips import SEMANTIC_TRACK, OurStrip, our_strips


def semantic(character: bpy.types.Object | None) -> list[OurStrip]:
    """The semantic strips on a character. They hold pointers: use them at once, never keep them."""
    return [ours for ours in our_strips(character) if ours.record.kind == SEMANTIC] if character else []


def any_there(character: bpy.types.Object | None) -> bool:
    """Whether there is any semantic strip: cheap enough to ask for every button at every redraw."""
    animation = character.animation_data if character else None
    tracks = animation.nla_tracks if animation else ()
    return any(len(track.strips) and track.name.startswith(SEMANTIC_TRACK) for track in tracks)


def label(ours: OurStrip) -> str:
    return ours.record.segment.label if ours.record.segment else ours.strip.name


def word_index(ours: OurStrip) -> int:
    return ours.record.segment.word_index if ours.record.segment else -1


def by_word(character: bpy.types.Object | None) -> dict[int, OurStrip]:
    """The gesture of each word that has one."""
    return {word_index(ours): ours for ours in semantic(character)}


def named(character: bpy.types.Object | None, name: str) -> OurStrip | None:
    return next((ours for ours in semantic(character) if ours.strip.name == name), None)


def meant(context: bpy.types.Context, name: str = "") -> OurStrip | None:
    """The gesture an operator is about: the one named, the NLA editor's active strip, or the list's chosen word's."""
    settings = properties.settings(context.scene)
    if name:
        return named(settings.character, name)
    area = getattr(context, "area", None)
    if area is not None and area.type == "NLA_EDITOR":
        active = getattr(context, "active_nla_strip", None)
        found = named(settings.character, active.name) if active is not None else None
        if found is not None:
            return found
    return by_word(settings.character).get(settings.word_index)


def required(context: bpy.types.Context, name: str = "") -> OurStrip:
    """As `meant`, UserError when there is none."""
    ours = meant(context, name)
    if ours is None:
        raise UserError(
            "No gesture is chosen.", "Choose a word with a gesture in the list, or a strip in the NLA.", "no_gesture"
        )
    return ours
