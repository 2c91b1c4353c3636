"""The three editors that carry our tab: one panel class is written once and made for each of them."""

from __future__ import annotations

import bpy

from ..rna import PanelMixin

CATEGORY = "Gestures"
SPACES = {"VIEW_3D": "view", "SEQUENCE_EDITOR": "sequencer", "NLA_EDITOR": "nla"}


def in_all(panel: type[PanelMixin], parent: type[PanelMixin] | None = None) -> list[type[bpy.types.Panel]]:
    """Concrete panels of a mix-in with a `draw`, for every editor; `parent` makes them sub-panels of another's."""
    made = []
    for space, suffix in SPACES.items():
        names = {
            "bl_space_type": space,
            "bl_region_type": "UI",
            "bl_category": CATEGORY,
            "bl_idname": _name(panel, suffix),
            "bl_label": panel.bl_label,
        }
        if parent is not None:
            names["bl_parent_id"] = _name(parent, suffix)
        made.append(type(names["bl_idname"], (panel, bpy.types.Panel), names))
    return made


def _name(panel: type[PanelMixin], suffix: str) -> str:
    return f"GESTICULATOR_PT_{panel.__name__.lower()}_{suffix}"
