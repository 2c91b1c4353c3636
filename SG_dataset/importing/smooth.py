"""Taking the jitter out without taking time out: glitches first, then a zero-phase low-pass."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats

CUTOFF = 9.0  # Hz: quick finger snaps and hand shakes stay below, sensor noise and solver flicker lie above
SPIKE = np.radians(12.0)  # a joint that jumps away from its neighbours' mean by more and comes back is a glitch
SPIKE_LENGTH = 3  # frames


def low_pass(values: Floats, fps: float, cutoff: float = CUTOFF) -> Floats:
    """Zero-phase Butterworth low-pass (order 4, forwards and backwards) along the first axis."""
    if len(values) < 4 or cutoff >= 0.45 * fps:
        return np.array(values, dtype=float)
    pad = min(len(values) - 1, round(3 * fps / cutoff))
    sections = butter(2, cutoff / (fps / 2), output="sos")
    return np.asarray(sosfiltfilt(sections, values, axis=0, padtype="even" if pad < 3 else "odd", padlen=pad))


def without_glitches(q: Floats) -> tuple[Floats, int]:
    """Rotations (F, J, 4) with jumps of at most three frames bridged; how many frames of joints were bridged."""
    q = np.array(rot.continuous(q))
    frames, count = len(q), 0
    for length in range(1, SPIKE_LENGTH + 1):
        span = length + 1
        if frames <= span:
            break
        before, after = q[:-span].copy(), q[span:].copy()  # as they were: q changes while frames are bridged
        calm = rot.angle(rot.mul(rot.inverse(before), after)) < SPIKE / 2
        jump = rot.angle(rot.mul(rot.inverse(before), q[1 : 1 + len(before)])) > SPIKE
        for k in range(1, span):
            middle = rot.slerp(before, after, np.full(before.shape[:-1], k / span))
            off = rot.angle(rot.mul(rot.inverse(middle), q[k : k + len(middle)])) > SPIKE
            f, j = np.nonzero(calm & off & jump)
            q[f + k, j] = middle[f, j]
            count += len(f)
    return np.asarray(rot.continuous(q)), count


def smooth_rotations(q: Floats, fps: float, cutoff: float = CUTOFF) -> Floats:
    """Low-passed rotations (F, J, 4), normalised."""
    return np.asarray(rot.normalize(low_pass(rot.continuous(q), fps, cutoff)))


def jitter(q: Floats, fps: float) -> float:
    """Root mean square turn (degrees) that lies above the cut-off."""
    q = rot.continuous(q)
    return float(np.degrees(np.sqrt(np.mean(rot.angle(rot.mul(rot.inverse(smooth_rotations(q, fps)), q)) ** 2))))
