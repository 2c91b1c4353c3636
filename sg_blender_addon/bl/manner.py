"""The speaker's manner in the settings of a scene: a menu of names, and five numbers for one's own."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import bpy

from ..core.manner import NAMED, ORDINARY, Manner, limits

CUSTOM = "custom"
_TIPS = {
    "ordinary": "As most people speak",
    "calm": "Few, small and slow gestures",
    "lively": "Many gestures, wide and quick",
    "formal": "Upright, hands close, no casual gestures",
    "big stage": "Many wide gestures, to be seen from afar",
    "shy": "Few gestures, close to the body",
}
ITEMS = (
    *((name, name.capitalize(), _TIPS[name]) for name in NAMED),
    (CUSTOM, "Custom", "Set the five numbers below. They begin as those of the manner chosen before"),
)


def _show_numbers(settings: MannerProperties, _context: bpy.types.Context) -> None:
    """A manner that is chosen sets the numbers, so that Custom goes on from there."""
    manner = NAMED.get(settings.manner)
    for name, value in (manner.to_json() if manner else {}).items():
        setattr(settings, f"manner_{name}", value)


def _number(name: str, label: str, description: str) -> object:
    low, high = limits(name)
    return bpy.props.FloatProperty(  # type: ignore[func-returns-value]  # a deferred one
        name=label,
        description=description,
        default=getattr(ORDINARY, name),
        min=low,
        max=high,
        subtype="FACTOR",
    )


class MannerProperties:
    """Mixed into the scene's settings."""

    manner: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Manner",
            items=ITEMS,
            default="ordinary",
            description="How the speaker moves",
            update=_show_numbers,
        ),
    ]
    manner_liveliness: Annotated[
        float, _number("liveliness", "Liveliness", "How much and how often the speaker moves. 1: ordinary")
    ]
    manner_width: Annotated[float, _number("width", "Width", "How far the hands go from the body. 1: ordinary")]
    manner_hand: Annotated[
        float, _number("hand", "Hand", "Which hand leads. -1: only the left; 1: only the right; 0: either")
    ]
    manner_formality: Annotated[
        float,
        _number(
            "formality", "Formality", "0: casual, weight on one leg; 1: upright, hands in front, no casual gestures"
        ),
    ]
    manner_speed: Annotated[float, _number("speed", "Speed", "How quick strokes and preparations are. 1: ordinary")]


NUMBERS = tuple(f"manner_{f.name}" for f in fields(Manner))


def chosen(settings: MannerProperties) -> Manner:
    """The manner that the settings ask for."""
    named = NAMED.get(settings.manner)
    # Blender's numbers have single precision: a slider at its end, 1.6, would lie above the greatest 1.6.
    return named or Manner(**{f.name: round(getattr(settings, f"manner_{f.name}"), 4) for f in fields(Manner)})


def draw(layout: bpy.types.UILayout, settings: MannerProperties) -> None:
    """The menu, and the numbers where they are one's own."""
    layout.prop(settings, "manner")
    if settings.manner == CUSTOM:
        for name in NUMBERS:
            layout.prop(settings, name)
