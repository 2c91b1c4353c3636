"""The inference backend: speech in, performance out. Runs in its own Python, never inside Blender."""

__version__ = "0.1.0"
