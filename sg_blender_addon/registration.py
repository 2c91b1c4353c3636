"""What Blender gets to know of the add-on: an explicit, ordered list, undone in reverse."""

from __future__ import annotations

import bpy

from .bl import job_runner, preferences, previews, properties, rna
from .bl.operators import CLASSES as OPERATORS
from .bl.panels import CLASSES as PANELS

CLASSES: tuple[type, ...] = (*job_runner.CLASSES, *preferences.CLASSES, *properties.CLASSES, *OPERATORS, *PANELS)


def register() -> None:
    """Register everything, or nothing: a failure half-way is undone."""
    done: list[type] = []
    try:
        for cls in CLASSES:
            rna.declare_properties(cls)
            bpy.utils.register_class(cls)
            done.append(cls)
        job_runner.register()
        previews.register()
        properties.register()
    except BaseException:
        for cls in reversed(done):
            bpy.utils.unregister_class(cls)
        raise


def unregister() -> None:
    properties.unregister()
    previews.unregister()
    job_runner.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
