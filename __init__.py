"""Semantic Gesticulator as a Blender extension: forwards to the add-on when Blender enables it, does nothing else."""

from __future__ import annotations


def register() -> None:
    from .sg_blender_addon import registration

    registration.register()


def unregister() -> None:
    from .sg_blender_addon import registration

    registration.unregister()
