"""The shared ground of add-on, backend and training: standard library and numpy only."""

from __future__ import annotations

from .bvh import read_bvh, write_bvh
from .errors import Cancelled, UserError
from .manner import Manner
from .motion import Motion
from .performance import Performance
from .progress import Progress
from .protocol import GenerateSettings
from .skeleton import Skeleton, canonical
from .timeline import Alternative, Segment, Word

__all__ = [
    "Alternative",
    "Cancelled",
    "GenerateSettings",
    "Manner",
    "Motion",
    "Performance",
    "Progress",
    "Segment",
    "Skeleton",
    "UserError",
    "Word",
    "canonical",
    "read_bvh",
    "write_bvh",
]
