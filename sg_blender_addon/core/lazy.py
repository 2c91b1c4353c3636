"""A package's public names, imported when they are asked for: its face costs nothing to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def attributes(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` (PEP 562) of a package whose names live at `places`: name -> absolute module, or .relative."""

    def load(name: str) -> object:
        if name in places:
            return getattr(import_module(places[name], package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
