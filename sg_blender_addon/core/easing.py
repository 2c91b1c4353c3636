"""How things get from one place to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arrays import Floats


def minimum_jerk(t: npt.ArrayLike) -> Floats:
    """Progress 0..1 (...) for time t in 0..1 (clipped), at rest at both ends, with the least jerk between.

    The time course of a reaching hand (Flash and Hogan 1985, "The coordination of arm movements").
    """
    t = np.minimum(np.maximum(t, 0.0), 1.0)  # np.clip takes longer to start than curves this short take
    return np.asarray(t * t * t * (t * (6 * t - 15) + 10))
