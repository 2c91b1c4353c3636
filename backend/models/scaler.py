"""Standardising vectors: (x - mean) / scale per column, with columns that carry nothing pinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError

# Below this a body slot does not move at all (the "InHand" bones: their scale is rounding error, 1e-8 and less).
BODY_CONSTANT = 1e-6
# The last tempogram lag is 0 in exact arithmetic (the window's first sample is 0); what a scaler saw is rounding error.
AUDIO_PINNED = 436
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Scaler:
    """mean, scale: float64 (D,); constant: bool (D,), columns that are 0 standardised and `mean` when restored."""

    mean: Floats
    scale: Floats
    constant: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("scale", self.scale)):
            if values.shape != self.constant.shape or not np.all(np.isfinite(values)):
                raise _bad(f"the {name} has the wrong length or is not finite")
        if np.any(self.scale[~self.constant] <= 0):
            raise _bad("a scale is not positive")

    @classmethod
    def body(cls, mean: npt.ArrayLike, scale: npt.ArrayLike) -> Scaler:
        """For motion vectors: columns whose scale is next to nothing are constant."""
        mean, scale = _column(mean), _column(scale)
        return cls(mean, scale, scale < BODY_CONSTANT)

    @classmethod
    def audio(cls, mean: npt.ArrayLike, scale: npt.ArrayLike) -> Scaler:
        """For audio features: only the column that is 0 by definition is pinned, raw (mean 0) and scaled."""
        mean, scale = _column(mean).copy(), _column(scale).copy()
        constant = scale <= 0
        if len(mean) > AUDIO_PINNED:
            constant[AUDIO_PINNED], mean[AUDIO_PINNED] = True, 0.0
        return cls(mean, scale, constant)

    @classmethod
    def fit_body(cls, rows: npt.ArrayLike) -> Scaler:
        """From data (N, D)."""
        rows = np.asarray(rows, dtype=float)
        return cls.body(rows.mean(axis=0), rows.std(axis=0))

    @classmethod
    def fit_audio(cls, rows: npt.ArrayLike) -> Scaler:
        rows = np.asarray(rows, dtype=float)
        return cls.audio(rows.mean(axis=0), rows.std(axis=0))

    def __len__(self) -> int:
        return len(self.mean)

    def standardise(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """(..., D) to float32 (..., D). The division is in float64: some audio scales are below float32's reach."""
        x = np.asarray(x)
        safe = np.where(self.constant, np.inf, self.scale)  # x / inf is 0
        out = np.empty(x.shape, dtype=np.float32)
        rows, target = x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1])
        for start in range(0, len(rows), _BLOCK):  # in float64 an hour at once would take its memory three times over
            block = slice(start, start + _BLOCK)
            target[block] = (rows[block].astype(np.float64) - self.mean) / safe
        return out

    def restore(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The inverse of `standardise`."""
        scale = np.where(self.constant, 0.0, self.scale).astype(np.float32)
        out: npt.NDArray[np.float32] = np.multiply(x, scale, dtype=np.float32)
        out += self.mean.astype(np.float32)
        return out

    def to_json(self) -> dict[str, Any]:
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "constant": np.flatnonzero(self.constant).tolist(),
        }

    @classmethod
    def from_json(cls, data: Any, width: int, name: str) -> Scaler:
        """Raises UserError when the entry is not a scaler of `width` columns."""
        try:
            mean, scale = _column(data["mean"]), _column(data["scale"])
            constant = np.zeros(width, dtype=bool)
            constant[np.asarray(data["constant"], dtype=int)] = True
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _bad(f"the {name} scaler cannot be read ({error})") from error
        if len(mean) != width or len(scale) != width:
            raise _bad(f"the {name} scaler has {len(mean)} columns where {width} are needed")
        return cls(mean, scale, constant)


def _column(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _bad(what: str) -> UserError:
    return UserError(f"The scaler of these weights is broken: {what}.", "Get or make the weights again.", "bad_weights")
