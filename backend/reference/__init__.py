"""The reference system's own files: checkpoints and gesture bank, read without executing code."""
