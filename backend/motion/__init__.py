"""From codes to motion: rhythm, post-processing, and gestures laid over it."""
