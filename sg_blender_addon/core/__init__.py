"""The shared ground of add-on, backend and training: standard library and numpy only."""
