"""Names for numpy's array types; shapes and units stand where the arrays are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
"""Real numbers of any precision: positions, rotations, curves."""
Floats32 = npt.NDArray[np.float32]
"""Real numbers where the precision is part of the contract: sound, features, embeddings."""
