"""The add-on's half of the wire: backend environment, backend process, HTTP calls, job handles.

Standard library, numpy and requests only; nothing here knows bpy, so all of it runs and is tested without Blender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy import attributes

if TYPE_CHECKING:
    from .api import Api, JobStatus
    from .connection import BackendChoice, Connection
    from .editing import GestureInfo
    from .generation import GenerateRequest, generate
    from .job import Control, Job

__all__ = [
    "Api",
    "BackendChoice",
    "Connection",
    "Control",
    "GenerateRequest",
    "GestureInfo",
    "Job",
    "JobStatus",
    "generate",
]

__getattr__ = attributes(
    __name__,
    {
        "Api": ".api",
        "BackendChoice": ".connection",
        "Connection": ".connection",
        "Control": ".job",
        "GenerateRequest": ".generation",
        "GestureInfo": ".editing",
        "Job": ".job",
        "JobStatus": ".api",
        "generate": ".generation",
    },
)
