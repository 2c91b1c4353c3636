"""Training of the motion tokenizer and the generators: `python -m training --help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sg_blender_addon.core.lazy import attributes

if TYPE_CHECKING:
    from training.config import Recipe, load_recipe
    from training.data import TrainingSet
    from training.prepare import PrepareConfig

__all__ = [
    "PrepareConfig",
    "Recipe",
    "TrainingSet",
    "load_recipe",
]

__getattr__ = attributes(
    __name__,
    {
        "PrepareConfig": "training.prepare",
        "Recipe": "training.config",
        "TrainingSet": "training.data",
        "load_recipe": "training.config",
    },
)
