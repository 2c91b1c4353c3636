"""Small real parts for the backend's tests: a library of two gestures made of real motion, speech-like words."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from backend.gestures.choice import Choice
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Word
from SG_dataset.library import Library, write_library
from SG_dataset.phases import Phases
from SG_dataset.records import NewGesture, NewVariant

PHASES = Phases(stroke_start=0.5, stroke=0.65, stroke_end=0.8, retraction=1.1)
SECONDS = 1.6  # that a raised arm takes
_FOLDER = tempfile.TemporaryDirectory(prefix="gesticulator-tests-")  # goes with the process
_NUMBERS = itertools.count()


def arms_down(frames: int, fps: float = 60.0) -> Motion:
    """Standing with hanging arms."""
    motion = Motion.rest(canonical(), frames, fps)
    rotations = motion.rotations.copy()
    for side, sign in (("Right", 1.0), ("Left", -1.0)):
        rotations[:, motion.skeleton.index(f"{side}Arm")] = rot.from_axis_angle([0.0, 0.0, 1.0], sign * 1.3)
    return replace(motion, rotations=rotations)


def raised(hand: str = "right", lift: float = 1.4, seconds: float = SECONDS, phases: Phases = PHASES) -> Motion:
    """A hand ("right", "left" or "both") raised, held from the stroke to the retraction, and let down."""
    frames = round(seconds * 60)
    motion = arms_down(frames)
    t = np.arange(frames) / 60
    up = np.interp(t, [0, phases.stroke_start, phases.retraction, seconds], [0, 1, 1, 0])
    up = up * up * (3 - 2 * up)
    rotations = motion.rotations.copy()
    for side in SIDES:
        if hand in (side.lower(), "both"):
            arm, fore, finger = (motion.skeleton.index(side + n) for n in ("Arm", "ForeArm", "HandIndex1"))
            sign = 1.0 if side == "Right" else -1.0
            forward = rot.from_axis_angle([1.0, 0.0, 0.0], -0.5 * lift * up)
            rotations[:, arm] = rot.mul(forward, rotations[:, arm])
            rotations[:, fore] = rot.from_axis_angle([0.0, 1.0, 0.0], sign * lift * up)
            rotations[:, finger] = rot.from_axis_angle([0.0, 0.0, 1.0], sign * up)
    return replace(motion, rotations=rotations)


def variant(
    number: int = 1, hand: str = "right", lift: float = 1.4, seconds: float = SECONDS, phases: Phases = PHASES
) -> NewVariant:
    return NewVariant(number, raised(hand, lift, seconds, phases), phases, hand)


def gesture(identity: str, label: str, *variants: NewVariant) -> NewGesture:
    return NewGesture(identity, label, "", (), (), {}, variants)


def library(*gestures: NewGesture) -> Library:
    """A library on the disk, written and read as any other."""
    path = Path(_FOLDER.name) / f"{next(_NUMBERS)}.zip"
    write_library(gestures, path, {"name": "tests"})
    return Library.read(path)


def two_gestures() -> tuple[NewGesture, NewGesture]:
    return (
        gesture("0031", "THUMB UP", variant(), variant(2, lift=1.6)),
        gesture("2300", "PALM HALT", variant(hand="both")),
    )


@cache
def small_library() -> Library:
    """A thumb in two variants, right, and a halting palm, both hands."""
    return library(*two_gestures())


def choice(word_index: int, gesture_id: str = "0031", confidence: float = 0.5) -> Choice:
    return Choice(word_index, gesture_id, confidence)


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
