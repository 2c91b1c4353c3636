"""The only code that imports bpy. Nothing is imported here, so that the package can be found without Blender."""
