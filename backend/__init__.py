"""The inference backend: speech in, performance out. Runs in its own Python, never inside Blender.

from backend import GenerateSettings, generate, load_audio, write

audio = load_audio("speech.wav")
performance = generate(audio, GenerateSettings(script="Hello there.", seed=7))
write("motion.bvh", performance, audio)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sg_blender_addon.core.lazy import attributes

if TYPE_CHECKING:
    from backend.models.weights import Weights
    from backend.outputs import write
    from backend.pipeline import generate
    from backend.resources import Resources
    from backend.speech.audio import Audio, load_audio
    from sg_blender_addon.core.errors import Cancelled, UserError
    from sg_blender_addon.core.manner import Manner
    from sg_blender_addon.core.performance import Performance
    from sg_blender_addon.core.progress import Progress
    from sg_blender_addon.core.protocol import GenerateSettings
    from sg_blender_addon.core.timeline import Segment, Word

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "Cancelled",
    "GenerateSettings",
    "Manner",
    "Performance",
    "Progress",
    "Resources",
    "Segment",
    "UserError",
    "Weights",
    "Word",
    "generate",
    "load_audio",
    "write",
]

__getattr__ = attributes(
    __name__,
    {
        "Audio": "backend.speech.audio",
        "Cancelled": "sg_blender_addon.core.errors",
        "GenerateSettings": "sg_blender_addon.core.protocol",
        "Manner": "sg_blender_addon.core.manner",
        "Performance": "sg_blender_addon.core.performance",
        "Progress": "sg_blender_addon.core.progress",
        "Resources": "backend.resources",
        "Segment": "sg_blender_addon.core.timeline",
        "UserError": "sg_blender_addon.core.errors",
        "Weights": "backend.models.weights",
        "Word": "sg_blender_addon.core.timeline",
        "generate": "backend.pipeline",
        "load_audio": "backend.speech.audio",
        "write": "backend.outputs",
    },
)
