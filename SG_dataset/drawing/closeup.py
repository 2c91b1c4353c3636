"""Cameras close to the hands: from where the fingers can be told apart and nothing stands before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.motion import Motion
from SG_dataset.drawing.raster import Camera

Side = Literal["Left", "Right"]
Direction = tuple[float, float]  # yaw and elevation, degrees
Score = Callable[[int, Floats, Floats], float]  # of a frame, its points and the camera's axes

_YAWS = (0.0, 28.0, -28.0, 55.0, -55.0, 80.0, -80.0, 125.0, -125.0, 155.0, -155.0)
_ELEVATIONS, _STEEP = (5.0, 30.0, -20.0), 60.0
_HIDDEN = 0.35  # what a hidden hand costs, against centimetres of spread
_TOGETHER = 24.0  # cm between the hands within which both are shown
_APART = np.cos(np.radians(40.0))  # a second direction is at least this far from the first


class Posed(Protocol):
    """A motion with its world places (F, J, 3) and rotation matrices (F, J, 3, 3), and the hand to look at."""

    motion: Motion
    positions: Floats
    matrices: Floats
    side: Side


def hand_points(posed: Posed, frame: int, sides: tuple[Side, ...]) -> Floats:
    """Joints and finger tips (N, 3) of the given hands at a frame."""
    sk = posed.motion.skeleton
    joints = [i for i, n in enumerate(sk.names) if any(n.startswith(s + "Hand") for s in sides)]
    ends = [(p, o) for p, o in zip(sk.end_parents, sk.end_offsets, strict=True) if p in joints]
    tips = [posed.positions[frame, p] + posed.matrices[frame, p] @ o for p, o in ends]
    return np.concatenate([posed.positions[frame, joints], np.array(tips)])


def spread_direction(posed: Posed, frames: Sequence[int]) -> Direction:
    """From where the fingers are spread most over the frames: towards palm or back."""
    return _best(posed, frames, _ELEVATIONS, lambda frame, points, axes: _spread(points @ axes[:2].T))


def thumb_direction(posed: Posed, frames: Sequence[int], other_than: Direction) -> Direction:
    """From the thumb's side, where beaks, pinches and grips show how far they are open."""
    first = _axes(other_than)[2]
    hands = {
        f: [posed.matrices[f, posed.motion.skeleton.index(s + "Hand"), :, 2] for s in _sides(posed, f)] for f in frames
    }

    def score(frame: int, points: Floats, axes: Floats) -> float:
        along = float(np.mean([thumb @ axes[2] for thumb in hands[frame]]))
        return 0.2 * along - (0.3 if first @ axes[2] > _APART else 0.0)

    return _best(posed, frames, (*_ELEVATIONS, _STEEP), score)


def hand_camera(posed: Posed, frame: int, direction: Direction | None = None) -> Camera:
    """A close-up of the active hand, or of both where they are near each other."""
    yaw, elevation = direction or spread_direction(posed, [frame])
    points = hand_points(posed, frame, _sides(posed, frame))
    x, y, z = (float(c) for c in (points.max(0) + points.min(0)) / 2)
    q = points @ _axes((yaw, elevation))[:2].T
    span = float(max(np.ptp(q[:, 0]), np.ptp(q[:, 1])) + 7.0)
    return Camera((x, y, z), yaw, elevation, max(span, 20.0), 110.0)


def _axes(direction: Direction) -> Floats:
    return Camera((0.0, 0.0, 0.0), *direction).axes()


def _best(posed: Posed, frames: Sequence[int], elevations: Sequence[float], score: Score) -> Direction:
    """The direction with the best sum of scores over the frames, less what hides the hands; frontal ones preferred."""
    seen = [(f, hand_points(posed, f, _sides(posed, f)), _blockers(posed, f, _sides(posed, f))) for f in frames]

    def total(direction: Direction) -> float:
        axes = _axes(direction)
        values = [
            score(f, points, axes) - _HIDDEN * _hidden(points, axes[2], *blockers) for f, points, blockers in seen
        ]
        return float(np.mean(values)) - 0.0022 * abs(direction[0]) - 0.0016 * abs(direction[1] - 5)

    return max(((yaw, elevation) for elevation in elevations for yaw in _YAWS), key=total)


def _sides(posed: Posed, frame: int) -> tuple[Side, ...]:
    """Both hands where they are near each other, else the active one."""
    apart = hand_points(posed, frame, ("Left",)).mean(0) - hand_points(posed, frame, ("Right",)).mean(0)
    return ("Left", "Right") if np.linalg.norm(apart) < _TOGETHER else (posed.side,)


def _blockers(posed: Posed, frame: int, sides: tuple[Side, ...]) -> tuple[Floats, Floats]:
    """Spheres (centres (N, 3), radii (N,)) of everything but the hands looked at."""
    sk, p, m = posed.motion.skeleton, posed.positions[frame], posed.matrices[frame]
    head = sk.index("Head")
    centres, radii = [p[head] + m[head] @ np.array([0, y, 0.8]) for y in (2.0, 11.0)], [8.5, 9.0]
    for joint, radius in (("Spine", 14.0), ("Spine1", 14.0), ("Spine2", 14.0), ("Neck", 6.0)):
        centres.append(p[sk.index(joint)])
        radii.append(radius)
    for s in ("Left", "Right"):
        a, e, h = (p[sk.index(s + n)] for n in ("Arm", "ForeArm", "Hand"))
        for t in (0.0, 0.33, 0.66, 1.0):
            centres.append(a + (e - a) * t)
            radii.append(5.0)
            if t < 0.7 or s not in sides:
                centres.append(e + (h - e) * t)
                radii.append(4.0)
    return np.array(centres), np.array(radii)


def _spread(q: Floats) -> float:
    """How well the points of a hand are told apart: mean distance to the nearest neighbour, cm (at most 1.5)."""
    d = np.linalg.norm(q[:, None] - q[None], axis=-1) + np.eye(len(q)) * 9
    return float(np.minimum(d.min(1), 1.5).mean())


def _hidden(points: Floats, towards: Floats, centres: Floats, radii: Floats) -> float:
    """Share of the points with a sphere between them and the camera."""
    rel = centres[None] - points[:, None]
    along = rel @ towards
    off = np.linalg.norm(rel - along[..., None] * towards, axis=-1)
    return float(((along > 0) & (off < radii * 0.9)).any(1).mean())
