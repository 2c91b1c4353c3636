"""How errors, and reasons, reach the person: one sentence, what to do next, details to copy that give nothing away."""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Callable
from pathlib import Path

import bpy

from ..core.errors import UserError
from .rna import Icon, present

WRAP_CHARACTERS = 46


def masked(text: str) -> str:
    """The text without the user's name and home folder, fit for a public bug report."""
    home = str(Path.home())
    for private in (home, home.replace("\\", "/"), home.replace("\\", "\\\\")):
        if len(private) > 1:
            text = text.replace(private, "~")
    text = re.sub(r"((?:/home/|/Users/|[A-Za-z]:\\+Users\\+))[^/\\\s:]+", r"\1<user>", text)
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such variable, no entry in the password file, no pwd module
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|$)", "<user>", text) if len(user) > 1 else text


def details(error: UserError, more: str = "") -> str:
    """The text behind 'Copy details'."""
    lines = [
        f"Semantic Gesticulator, Blender {bpy.app.version_string}, {platform.system()} {platform.machine()}",
        f"{error.code}: {error.message}",
        error.hint,
        more,
    ]
    return masked("\n".join(line for line in lines if line))


def wrapped(text: str, width: int = WRAP_CHARACTERS) -> list[str]:
    """Lines for a panel, whose labels do not wrap by themselves; long paths are broken too."""
    lines: list[str] = []
    pieces = (word[i : i + width] for word in text.split() for i in range(0, len(word), width))
    for word in pieces:
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def draw_text(layout: bpy.types.UILayout, text: str, width: int, icon: Icon = "NONE") -> None:
    """Several labels that read as one paragraph; only the first carries the icon."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    for index, line in enumerate(wrapped(text, width)):
        column.label(text=line, icon=icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def draw_operator(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    name: str,
    width: int,
    beside: Callable[[bpy.types.UILayout], object] = lambda row: None,
    *,
    height: float = 1.0,
    icon: Icon = "NONE",
) -> None:
    """The button of one of our operators, `beside` it what belongs into its row, and below why it is grey if it is."""
    row = layout.row(align=True)
    row.scale_y = height
    row.operator(name, icon=icon)
    beside(row)
    space, verb = name.split(".")
    reason = getattr(bpy.types, f"{space.upper()}_OT_{verb}").disabled_reason(context)
    if reason:
        draw_text(layout, reason, width, icon="INFO")


def panel_width(context: bpy.types.Context) -> int:
    """About how many characters fit into the region that is being drawn."""
    region = getattr(context, "region", None)
    scale = present(context.preferences).system.ui_scale or 1.0
    return max(24, int((region.width - 60 * scale) / (6.6 * scale))) if region else WRAP_CHARACTERS
