"""Small real parts for the backend's tests: a library of two gestures made of real motion, speech-like words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Alternative, Word


@dataclass(frozen=True)
class ToyPhases:
    stroke_start: float = 0.5
    stroke: float = 0.65
    stroke_end: float = 0.8
    retraction: float = 1.1


def arms_down(frames: int, fps: float = 60.0) -> Motion:
    """Standing with hanging arms."""
    motion = Motion.rest(canonical(), frames, fps)
    rotations = motion.rotations.copy()
    for side, sign in (("Right", 1.0), ("Left", -1.0)):
        rotations[:, motion.skeleton.index(f"{side}Arm")] = rot.from_axis_angle([0.0, 0.0, 1.0], sign * 1.3)
    return replace(motion, rotations=rotations)


@dataclass(frozen=True)
class ToyVariant:
    gesture_id: str = "0031"
    number: int = 1
    hand: str = "right"
    seconds: float = 1.6
    lift: float = 1.4
    phases: ToyPhases = field(default_factory=ToyPhases)

    def motion(self) -> Motion:
        frames = round(self.seconds * 60) + 1
        motion = arms_down(frames)
        t = np.arange(frames) / 60
        up = np.interp(t, [0, self.phases.stroke_start, self.phases.retraction, self.seconds], [0, 1, 1, 0])
        up = up * up * (3 - 2 * up)
        rotations = motion.rotations.copy()
        for side, sign in (("Right", 1.0), ("Left", -1.0)):
            if self.hand in (side.lower(), "both"):
                arm = motion.skeleton.index(f"{side}Arm")
                fore = motion.skeleton.index(f"{side}ForeArm")
                finger = motion.skeleton.index(f"{side}HandIndex1")
                rotations[:, arm] = rot.mul(
                    rot.from_axis_angle([1.0, 0.0, 0.0], -0.5 * self.lift * up), rotations[:, arm]
                )
                rotations[:, fore] = rot.from_axis_angle([0.0, 1.0, 0.0], sign * self.lift * up)
                rotations[:, finger] = rot.from_axis_angle([0.0, 0.0, 1.0], sign * up)
        return replace(motion, rotations=rotations)


@dataclass(frozen=True)
class ToyGesture:
    id: str
    label: str
    variants: tuple[ToyVariant, ...]


@dataclass(frozen=True)
class ToyLibrary:
    gestures: dict[str, ToyGesture] = field(
        default_factory=lambda: {
            "0031": ToyGesture("0031", "THUMB UP", (ToyVariant(), ToyVariant(number=2, lift=1.6))),
            "2300": ToyGesture("2300", "PALM HALT", (ToyVariant("2300", hand="both"),)),
        }
    )


@dataclass(frozen=True)
class ToyChoice:
    word_index: int
    gesture_id: str = "0031"
    confidence: float = 0.5
    alternatives: tuple[Alternative, ...] = ()


def words(*starts: float, length: float = 0.3) -> list[Word]:
    return [Word(f"word{i}", start, start + length) for i, start in enumerate(starts)]


def swaying(seconds: float, fps: float = 60.0, seed: int = 0) -> Motion:
    """A rhythm: arms half up and swinging, torso and hips swaying, everything smooth."""
    frames = round(seconds * fps)
    motion = arms_down(frames, fps)
    t = np.arange(frames) / fps
    generator = np.random.default_rng(seed)
    rotations = motion.rotations.copy()
    for name in ("Hips", "Spine1", "Head", "RightArm", "RightForeArm", "LeftArm", "LeftForeArm"):
        joint = motion.skeleton.index(name)
        size = 0.35 if "Arm" in name else 0.04
        wave = sum(
            size / k * np.sin(2 * np.pi * (0.35 * k * t[:, None] + generator.uniform(size=3))) for k in (1, 2, 3)
        )
        rotations[:, joint] = rot.mul(rotations[:, joint], rot.from_rotation_vector(np.asarray(wave)))
    root = motion.root_positions.copy()
    root[:, 0] += 2 * np.sin(2 * np.pi * 0.2 * t)
    return replace(motion, root_positions=root, rotations=rotations)
