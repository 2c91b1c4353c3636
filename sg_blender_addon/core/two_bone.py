"""Two-bone inverse kinematics: the one place where arms and legs are bent to reach.

The first joint (shoulder, hip), the middle one (elbow, knee) and the end (wrist, ankle) are a triangle of which two
sides are bones: the law of cosines says how far the middle joint lies along and beside the line to the end, and a pole
says to which side. Places are relative to the first joint, (..., 3); leading axes broadcast; lengths have one unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import rotations as rot
from .arrays import Floats


class Bent(NamedTuple):
    """Two bones bent to a goal: where the middle joint and the end are, (..., 3), relative to the first joint."""

    middle: Floats
    end: Floats

    @property
    def lower(self) -> Floats:
        """The second bone (..., 3), from the middle joint to the end."""
        return self.end - self.middle


def triangle(distance: npt.ArrayLike, upper: npt.ArrayLike, lower: npt.ArrayLike) -> tuple[Floats, Floats]:
    """How far the middle joint lies along the line to an end at `distance`, and beside it; both (...)."""
    distance, upper, lower = (np.asarray(side, dtype=float) for side in (distance, upper, lower))
    along = (upper * upper + distance * distance - lower * lower) / (2 * distance)
    return along, np.sqrt(np.maximum(upper * upper - along * along, 0.0))


def bend_angle(distance: npt.ArrayLike, upper: npt.ArrayLike, lower: npt.ArrayLike) -> Floats:
    """By how much (...), radians, the second bone turns away from the first: 0 is straight."""
    distance, upper, lower = (np.asarray(side, dtype=float) for side in (distance, upper, lower))
    cosine = (upper * upper + lower * lower - distance * distance) / (2 * upper * lower)
    return np.asarray(np.pi - np.arccos(np.clip(cosine, -1.0, 1.0)))


def beside(pole: Floats, line: Floats) -> Floats:
    """Unit directions (..., 3): the pole's part across a unit `line`; zero for a pole along the line."""
    return rot.normalize(pole - np.sum(pole * line, axis=-1, keepdims=True) * line)


def solve(
    goal: Floats,
    pole: Floats,
    upper: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    shortest: npt.ArrayLike,
    longest: npt.ArrayLike,
) -> Bent:
    """Bones of lengths `upper` and `lower` (...) that reach for `goal`, the middle joint on the pole's side.

    The distance is held between `shortest` and `longest`, for a limb at full stretch snaps: a goal beyond is aimed at.
    """
    line, distance = _line(goal, shortest, longest)
    along, aside = triangle(distance, upper, lower)
    return Bent(line * along[..., None] + beside(pole, line) * aside[..., None], line * distance[..., None])


def solve_hinge(
    goal: Floats,
    pole: Floats,
    upper: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    shortest: npt.ArrayLike,
    longest: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """`solve` as rotations, for bones that hang along -Y at rest and a middle joint that is a hinge about their X.

    The first bone's world rotation (..., 4), +Z in the pole's half-plane when it lies along the line, and the hinge's
    (..., 4) relative to it.
    """
    line, distance = _line(goal, shortest, longest)
    cosine, sine = (side[..., None] for side in triangle(distance, upper, lower) / np.asarray(upper, dtype=float))
    ahead = beside(pole, line)
    down, front = cosine * line + sine * ahead, cosine * ahead - sine * line
    first = rot.from_matrix(np.stack([rot.cross(-down, front), -down, front], axis=-1))
    return first, rot.from_axis_angle([1.0, 0.0, 0.0], bend_angle(distance, upper, lower))


def _line(goal: Floats, shortest: npt.ArrayLike, longest: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Unit direction (..., 3) of the goal and its distance (...) within reach."""
    return rot.normalize(goal), np.clip(np.linalg.norm(goal, axis=-1), shortest, longest)
