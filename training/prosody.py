"""Where speech stresses: syllable peaks with a prominence from loudness and pitch, phrases, and pauses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from backend.speech.compiled import librosa
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.timeline import Word
from SG_dataset.stop_words import FUNCTION_WORDS

RATE = 16000
HOP = 160  # 10 ms
_QUIET_DB = -34.0  # below the clip's loud level: not speech
_FLOOR_DB = -62.0  # absolute: near-silence is silence however a clip is scaled
_BAND = (200, 4000)  # Hz
_PAUSE = 0.28  # a shorter gap is inside a phrase


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


def _decibels(samples: Floats) -> tuple[Floats, Floats]:
    """Speech-band level per 10 ms, dB full scale: as it is, and with 6 dB per octave for the higher frequencies.

    The second tells stress: a stressed vowel is louder above all in its upper part (Sluijter and van Heuven 1996).
    """
    spectrum = np.abs(librosa().stft(samples.astype(np.float32), n_fft=512, hop_length=HOP)) ** 2
    low, high = int(_BAND[0] * 512 / RATE), int(_BAND[1] * 512 / RATE)
    band = spectrum[low:high] / 512
    kilohertz = np.arange(low, high)[:, None] * RATE / 512 / 1000
    plain, emphasised = band.sum(axis=0), (band * kilohertz**2).sum(axis=0)
    return 10 * np.log10(plain / 100 + 1e-10), 10 * np.log10(emphasised / 100 + 1e-10)


def _pitch(samples: Floats, voiced: npt.NDArray[np.bool_]) -> Floats:
    f0 = librosa().yin(samples.astype(np.float32), fmin=65, fmax=400, sr=RATE, frame_length=1024, hop_length=HOP)[
        : len(voiced)
    ]
    f0 = np.pad(f0, (0, len(voiced) - len(f0)), mode="edge")
    if not voiced.any():
        return np.zeros(len(voiced))
    semitones = 12 * np.log2(f0 / np.median(f0[voiced]))
    return np.where(voiced, np.clip(semitones, -8, 8), 0.0)


def _runs(mask: npt.NDArray[np.bool_], shortest_gap: int, shortest_run: int) -> list[tuple[int, int]]:
    """Index runs of True with small gaps closed and short runs dropped."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if runs and a - runs[-1][1] < shortest_gap:
            runs[-1] = (runs[-1][0], int(b))
        else:
            runs.append((int(a), int(b)))
    return [(a, b) for a, b in runs if b - a >= shortest_run]


def _word_bonus(time: float, words: Sequence[Word]) -> float:
    for word in words:
        if word.start - 0.02 <= time <= word.end + 0.02:
            text = re.sub(r"[^a-z']", "", word.text.lower())
            return -1.2 if text in FUNCTION_WORDS else 0.5
    return 0.0


def analyse(samples: Floats, words: Sequence[Word] = ()) -> Prosody:
    """Prosody of mono samples at 16 kHz; `words` (optional) take the stress off function words."""
    level, effort = _decibels(samples)
    loud = float(np.quantile(level, 0.95))
    speech = (level > max(loud + _QUIET_DB, _FLOOR_DB)) & (level > _FLOOR_DB)
    smooth, effort = gaussian_filter1d(level, 4), gaussian_filter1d(effort, 4)
    voiced = level > max(loud - 22.0, _FLOOR_DB)
    pitch = _pitch(samples, voiced)
    energy = np.clip((smooth - (loud - 30)) / 30, 0, 1) * speech
    least = max(float(np.quantile(effort, 0.95)) - 18, _FLOOR_DB)
    peaks, facts = find_peaks(effort, prominence=2.0, distance=10, height=least)
    score = _scores(effort[peaks], gaussian_filter1d(pitch, 3)[peaks], facts["prominences"])
    phrases = []
    for a, b in _runs(speech, int(_PAUSE * 100), 15):
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
