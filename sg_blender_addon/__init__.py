"""Semantic Gesticulator's add-on: what Blender loads. Importing it needs neither Blender nor the backend."""
