"""The gesture library: notation files, their compiler, the built library and its pictures."""
