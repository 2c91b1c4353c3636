"""Two-bone solving by its own definition: bones keep their length, ends reach, the middle joint keeps its side."""

from __future__ import annotations

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone

UPPER, LOWER = 40.0, 35.0
LIMITS = {"shortest": 6.0, "longest": 0.999 * (UPPER + LOWER)}


def goals(longest: float, count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Goals at 6 cm to `longest` from the first joint, and poles to any side."""
    rng = np.random.default_rng(seed)
    return rot.normalize(rng.normal(size=(count, 3))) * rng.uniform(6, longest, (count, 1)), rng.normal(size=(count, 3))


def test_goals_within_reach_are_reached_by_bones_of_their_length() -> None:
    goal, pole = goals(LIMITS["longest"])
    bent = two_bone.solve(goal, pole, UPPER, LOWER, **LIMITS)
    np.testing.assert_allclose(bent.end, goal, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(bent.middle, axis=1), UPPER)
    np.testing.assert_allclose(np.linalg.norm(bent.lower, axis=1), LOWER)


def test_goals_out_of_reach_are_aimed_at() -> None:
    goal, pole = goals(70.0)
    for scale, distance in ((100.0, LIMITS["longest"]), (1e-3, LIMITS["shortest"])):
        bent = two_bone.solve(scale * goal, pole, UPPER, LOWER, **LIMITS)
        np.testing.assert_allclose(bent.end, distance * rot.normalize(goal), atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(bent.lower, axis=1), LOWER)


def test_the_middle_joint_lies_in_the_poles_half_plane() -> None:
    goal, pole = goals(70.0)
    middle = two_bone.solve(goal, pole, UPPER, LOWER, **LIMITS).middle
    line = rot.normalize(goal)
    side = two_bone.beside(pole, line)
    assert np.abs(np.sum(side * line, axis=1)).max() < 1e-12
    assert np.sum(middle * side, axis=1).min() > 0
    assert np.abs(np.sum(middle * np.cross(side, line), axis=1)).max() < 1e-9


def test_the_hinge_is_the_same_solution_as_rotations() -> None:
    goal, pole = goals(LIMITS["longest"])
    bent = two_bone.solve(goal, pole, UPPER, LOWER, **LIMITS)
    first, hinge = two_bone.solve_hinge(goal, pole, UPPER, LOWER, **LIMITS)
    np.testing.assert_allclose(rot.rotate(first, [0.0, -UPPER, 0.0]), bent.middle, atol=1e-6)
    np.testing.assert_allclose(rot.rotate(rot.mul(first, hinge), [0.0, -LOWER, 0.0]), bent.lower, atol=1e-6)
    front = rot.rotate(first, np.array([0.0, 0.0, 1.0]))
    line = rot.normalize(goal)  # front and bone are turned together, in the plane of line and pole
    np.testing.assert_allclose(
        np.cross(front, bent.middle), UPPER * np.cross(two_bone.beside(pole, line), line), atol=1e-6
    )


def test_the_angle_between_the_bones() -> None:
    goal, pole = goals(LIMITS["longest"])
    bent = two_bone.solve(goal, pole, UPPER, LOWER, **LIMITS)
    angle = two_bone.bend_angle(np.linalg.norm(goal, axis=1), UPPER, LOWER)
    np.testing.assert_allclose(angle, rot.angle(rot.between(bent.middle, bent.lower)), atol=1e-6)
    assert two_bone.bend_angle(UPPER + LOWER, UPPER, LOWER) == pytest.approx(0.0)
    assert two_bone.bend_angle(UPPER - LOWER, UPPER, LOWER) == pytest.approx(np.pi)


def test_every_row_may_have_lengths_and_limits_of_its_own() -> None:
    goal, pole = goals(50.0, 3)
    upper, lower = np.array([30.0, 40.0, 50.0]), np.array([28.0, 36.0, 44.0])
    many = two_bone.solve(goal, pole, upper, lower, shortest=upper - lower + 1e-3, longest=0.99 * (upper + lower))
    for i in range(3):
        limits = {"shortest": upper[i] - lower[i] + 1e-3, "longest": 0.99 * (upper[i] + lower[i])}
        one = two_bone.solve(goal[i], pole[i], upper[i], lower[i], **limits)
        np.testing.assert_allclose(many.middle[i], one.middle)
        np.testing.assert_allclose(many.end[i], one.end)
