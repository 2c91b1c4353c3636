"""Motions made of numbers for tests."""

from __future__ import annotations

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Alternative, Segment


def moving(seed: int = 0, frames: int = 40) -> Motion:
    """Every joint turns smoothly by up to 40 degrees; arms by up to 80; the body sways; the feet stand."""
    rng = np.random.default_rng(seed)
    skeleton = canonical()
    t = np.linspace(0, 2 * np.pi, frames)
    vectors = np.zeros((frames, len(skeleton), 3))
    for j, name in enumerate(skeleton.names):
        size = 80 if name.endswith("Arm") else 6 if name in ("Hips", "LeftFoot", "RightFoot") else 40
        phase, axis = rng.uniform(0, 6, 3), rng.normal(size=3)
        vectors[:, j] = np.radians(size) * np.sin(t[:, None] + phase) * axis / np.linalg.norm(axis)
        if name.endswith("UpLeg"):
            vectors[:, j] = np.radians(8) * np.sin(t + phase[0])[:, None] * [1.0, 0.2, 0.2] - [0.3, 0, 0]
        if name in ("LeftLeg", "RightLeg"):
            vectors[:, j] = np.array([0.5, 0, 0]) + 0.2 * np.sin(t + phase[0])[:, None] * [1.0, 0, 0]
    root = skeleton.offsets[0] + np.stack([3 * np.sin(t), -4 + np.cos(t), 2 * np.cos(t)], axis=1)
    return Motion(60.0, skeleton, root, rot.from_rotation_vector(vectors))


def standing(sway: float = 5.0, frames: int = 120) -> Motion:
    """Hips sway and turn over planted feet (solved on the canonical skeleton itself, to be exact)."""
    t = np.linspace(0, 4 * np.pi, frames)
    base = Motion.rest(canonical(), frames, 60.0)
    root = base.root_positions + np.stack([sway * np.sin(t), -3 + 0.5 * np.cos(t), 0.4 * sway * np.cos(t)], axis=1)
    q = np.array(base.rotations)
    q[:, 0] = rot.from_rotation_vector(np.stack([0.05 * np.sin(t), 0.12 * np.cos(t), 0.04 * np.sin(t)], axis=1))
    motion = Motion(60.0, canonical(), root, q)
    for side, sign in (("Left", 1), ("Right", -1)):
        names = [canonical().index(side + n) for n in ("UpLeg", "Leg", "Foot")]
        ankle = base.forward_kinematics()[0][:, names[2]] + np.array([sign * 4.0, 0, 2.0])
        hip = motion.forward_kinematics()[0][:, names[0]]
        line = ankle - hip
        distance = np.linalg.norm(line, axis=1)
        a, b = 45.062, 42.058
        knee = np.arccos(np.clip((a * a + distance**2 - b * b) / (2 * a * distance), -1, 1))
        bend = np.arccos(np.clip((a * a + b * b - distance**2) / (2 * a * b), -1, 1))
        aim = rot.between(np.array([0.0, -1, 0]), line)
        thigh = rot.mul(aim, rot.from_axis_angle(np.array([-1.0, 0, 0]), knee))
        shin = rot.from_axis_angle(np.array([1.0, 0, 0]), np.pi - bend)
        q[:, names[0]] = rot.mul(rot.inverse(q[:, 0]), thigh)
        q[:, names[1]] = shin
        q[:, names[2]] = rot.inverse(rot.mul(thigh, shin))
    return Motion(60.0, canonical(), root, q)


def segment(label: str, word: str, index: int, start: float, stroke: float, end: float) -> Segment:
    other = Alternative("0009", "OTHER", 0.25)
    return Segment(f"{index:04d}", label, 1, word, index, start, stroke, end, 0.8, (other,))


SEGMENTS = (
    segment("THUMB UP", "Great,", 1, 1.0, 1.6, 2.4),
    segment("HALT", "stop!", 4, 3.4, 3.9, 4.6),
    segment("SHRUG", "unknown", 5, 4.4, 5.3, 6.1),
)


def performance(seconds: float = 8.0, segments: tuple[Segment, ...] = SEGMENTS, seed: int = 0) -> Performance:
    """Swaying arms and trunk over still feet, and in every segment a raised right arm with curled fingers."""
    frames = int(seconds * 60) + 1
    rng = np.random.default_rng(seed)
    skeleton = canonical()
    t = np.arange(frames) / 60
    vectors = np.zeros((frames, len(skeleton), 3))
    for name in ("Spine", "Spine2", "Head", "LeftArm", "RightArm", "LeftForeArm", "RightForeArm"):
        vectors[:, skeleton.index(name)] = 0.12 * np.sin(2 * t[:, None] + rng.uniform(0, 6, 3))
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        vectors[:, skeleton.index(side + "Arm"), 2] -= sign * 1.2
    root = np.tile(skeleton.offsets[0], (frames, 1)) + np.stack([np.sin(t), 0 * t - 2, 0 * t], axis=1)
    rhythm = Motion(60.0, skeleton, root, rot.from_rotation_vector(vectors))
    raised = vectors.copy()
    for s in segments:
        rise = np.clip(np.minimum((t - s.start) / (s.stroke - s.start), (s.end - t) / (s.end - s.stroke)), 0, 1)
        rise = rise * rise * (3 - 2 * rise)
        raised[:, skeleton.index("RightArm")] += rise[:, None] * [0.0, 0.6, -1.0]
        raised[:, skeleton.index("RightForeArm")] += rise[:, None] * [0.0, 1.4, 0.0]
        for finger in ("Index", "Middle", "Ring", "Pinky"):
            for n in (1, 2, 3):
                raised[:, skeleton.index(f"RightHand{finger}{n}")] += rise[:, None] * [0.0, 0.0, 1.2]
    merged = Motion(60.0, skeleton, root, rot.from_rotation_vector(raised))
    return Performance(rhythm, merged, (), segments)
