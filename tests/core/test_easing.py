from __future__ import annotations

import numpy as np

from sg_blender_addon.core.easing import minimum_jerk


def test_minimum_jerk_is_the_least_jerk_way_from_rest_to_rest() -> None:
    """The polynomial of fifth degree that all six conditions at the ends leave over (Flash and Hogan 1985)."""
    conditions, powers = [], np.arange(6)
    for t in (0.0, 1.0):
        place = t**powers
        speed = np.where(powers > 0, powers * t ** np.maximum(powers - 1, 0), 0.0)
        acceleration = np.where(powers > 1, powers * (powers - 1) * t ** np.maximum(powers - 2, 0), 0.0)
        conditions += [place, speed, acceleration]
    solution = np.linalg.solve(np.array(conditions), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(minimum_jerk(t), (t[:, None] ** powers) @ solution, atol=1e-12)


def test_time_outside_is_held() -> None:
    assert minimum_jerk([-3.0, 0.0, 0.5, 1.0, 7.0]).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert minimum_jerk(np.full((2, 3), 2.0)).shape == (2, 3)
