"""Where a whole recording stresses: syllable peaks with a prominence from loudness and pitch, phrases, and pauses.

Motion is placed by it, with all that is known; generators hear `backend.speech.prosody`, which knows a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from backend.speech.prosody import FLOOR_DB, PAUSE, SHORTEST, measure
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.runs import runs
from sg_blender_addon.core.timeline import Word
from SG_dataset.stop_words import FUNCTION_WORDS

RATE = 16000
_QUIET_DB = -34.0  # below the clip's loud level: not speech


@dataclass(frozen=True)
class Accent:
    """A stressed syllable: its peak in seconds, prominence (mean 0, deviation 1 in its clip), loudness 0..1."""

    time: float
    prominence: float
    loudness: float


@dataclass(frozen=True)
class Phrase:
    """Speech between two pauses."""

    start: float
    end: float
    accents: tuple[Accent, ...]
    loudness: float  # 0..1 within the clip


@dataclass(frozen=True)
class Prosody:
    seconds: float
    phrases: tuple[Phrase, ...]
    energy: Floats  # (N,) 0..1 at 100 Hz, smooth
    pitch: Floats  # (N,) semitones from the clip's median at 100 Hz, 0 where unvoiced, smooth

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each phrase."""
        return [(phrase.start, phrase.end) for phrase in self.phrases]


def _pitch(f0: Floats, voiced: npt.NDArray[np.bool_]) -> Floats:
    """Semitones from the clip's median (N,), 0 where unvoiced."""
    if not voiced.any():
        return np.zeros(len(voiced))
    semitones = 12 * np.log2(f0 / np.median(f0[voiced]))
    return np.where(voiced, np.clip(semitones, -8, 8), 0.0)


def _word_bonus(time: float, words: Sequence[Word]) -> float:
    for word in words:
        if word.start - 0.02 <= time <= word.end + 0.02:
            text = re.sub(r"[^a-z']", "", word.text.lower())
            return -1.2 if text in FUNCTION_WORDS else 0.5
    return 0.0


def analyse(samples: Floats, words: Sequence[Word] = ()) -> Prosody:
    """Prosody of mono samples at 16 kHz; `words` (optional) take the stress off function words."""
    level, effort, f0 = measure(samples)
    level = level.astype(np.float32)
    loud = float(np.quantile(level, 0.95))
    speech = (level > max(loud + _QUIET_DB, FLOOR_DB)) & (level > FLOOR_DB)
    smooth, effort = gaussian_filter1d(level, 4), gaussian_filter1d(effort, 4)
    voiced = level > max(loud - 22.0, FLOOR_DB)
    pitch = _pitch(f0, voiced)
    energy = np.clip((smooth - (loud - 30)) / 30, 0, 1) * speech
    least = max(float(np.quantile(effort, 0.95)) - 18, FLOOR_DB)
    peaks, facts = find_peaks(effort, prominence=2.0, distance=10, height=least)
    score = _scores(effort[peaks], gaussian_filter1d(pitch, 3)[peaks], facts["prominences"])
    phrases = []
    for a, b in runs(speech, 100, SHORTEST, PAUSE):
        accents = tuple(
            Accent(p / 100, float(s + _word_bonus(p / 100, words)), float(np.clip((smooth[p] - loud + 20) / 24, 0, 1)))
            for p, s in zip(peaks, score, strict=True)
            if a <= p < b
        )
        phrases.append(Phrase(a / 100, b / 100, accents, float(np.clip((level[a:b].mean() - loud + 22) / 22, 0, 1))))
    return Prosody(len(samples) / RATE, tuple(phrases), gaussian_filter1d(energy, 8), gaussian_filter1d(pitch, 8))


def _scores(level: Floats, pitch: Floats, prominence: Floats) -> Floats:
    if len(level) < 2:
        return np.zeros(len(level))

    def z(v: Floats) -> Floats:
        return (v - v.mean()) / (v.std() + 1e-6)

    mixed = z(level) + 0.6 * z(pitch) + 0.5 * z(np.minimum(prominence, 12))
    return z(mixed)
