"""Rows about a motion and its speech: what is calmer in pauses, and whether the hands follow the voice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from backend.measure.body import FPS, Body, Mask, hands, speed, spin
from backend.measure.syllables import loudness, stressed
from backend.measure.table import Rows
from backend.measure.timing import Spoken
from backend.models.config import TOKENS_PER_SECOND
from backend.speech import features
from backend.speech.audio import Audio
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.runs import runs

SPEAKING = 0.1  # of `features.activity`
PAUSE = 1.6  # s: a shorter one is part of speaking
COMING_DOWN, LEAVING = 1.2, 0.3  # s of a pause's beginning and end that do not count: hands need them
RANGE = 30.0  # dB from silence to loud


@dataclass(frozen=True, eq=False)
class Speech:
    """What rows need of a recording: `activity` (T,) per token, `level` (N,) dB at 100 Hz, stressed syllables (s)."""

    seconds: float
    activity: Floats
    level: Floats
    stressed: Floats

    @classmethod
    def of(cls, audio: Audio) -> Speech:
        samples = audio.samples.astype(float)
        return cls(audio.seconds, features.activity(audio), loudness(samples), stressed(samples))

    def with_motion(self, body: Body) -> Spoken:
        return Spoken(body, self.stressed, self.seconds)

    def speaking(self, frames: int) -> Mask:
        """(F,) bool at the yardstick's rate; pauses shorter than `PAUSE` are part of speaking."""
        times = np.arange(frames) / FPS
        quiet = np.interp(times, np.arange(len(self.activity)) / TOKENS_PER_SECOND, self.activity) < SPEAKING
        spoken = np.ones(frames, dtype=bool)
        for a, b in runs(quiet, FPS, PAUSE):
            spoken[a:b] = False
        return spoken


def in_speech(body: Body, speech: Speech) -> Rows:
    """Pelvis, wrists and hand height in speech and in pauses; correlation of hand height with loudness."""
    paths, spoken = hands(body), speech.speaking(len(body))
    calm = np.zeros(len(body), dtype=bool)
    for a, b in runs(~spoken):
        calm[a + round((COMING_DOWN if a else LEAVING) * FPS) : b - round(LEAVING * FPS)] = True
    height = paths[..., 1].max(axis=0) - np.quantile(paths[..., 1], 0.05)
    series = {
        "pelvis deg/s": spin(body.turn["pelvis"]),
        "wrist cm/s": np.mean([speed(p) for p in paths], axis=0),
        "hand height cm": height,
    }
    rows = Rows()
    for label, values in series.items():
        for where, mask in (("speech", spoken), ("pauses", calm)):
            rows[f"{label} in {where}"] = float(values[mask].mean()) if mask.any() else np.nan
    return rows | {"hand height with loudness corr": _corr(height, _energy(speech, len(body)))}


def _energy(speech: Speech, frames: int) -> Floats:
    """Loudness (F,), 0 in silence to 1."""
    loud = float(np.quantile(speech.level, 0.95))
    energy = np.clip((speech.level - loud + RANGE) / RANGE, 0, 1)
    return np.interp(np.arange(frames) / FPS, np.arange(len(energy)) / 100, energy)


def _corr(a: Floats, b: Floats) -> float:
    """Of both smoothed over half a second."""
    a, b = (gaussian_filter1d(x, 0.25 * FPS) for x in (a, b))
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-9 else float("nan")
