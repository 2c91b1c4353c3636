"""Stressed syllables, found in the sound alone.

Training lays gestures by another analysis (`training/prosody.py`, with words): motion is not to be measured by the rule
that made it. Samples are mono at 16 kHz; levels stand at 100 Hz.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from sg_blender_addon.core.arrays import Floats

RATE, HOP = 16000, 160
STRESSED = 0.4  # share of the loudness peaks
_LOUD = 18.0  # dB below the recording's loud parts: no syllable is softer
_CLEAR = 2.0  # dB that a peak rises over the dips beside it
_OCTAVES = (40, 246)  # samples: the periods of 400 to 65 Hz


def loudness(samples: Floats) -> Floats:
    """Smoothed level (N,) in dB of what is not bass."""
    band = np.diff(samples, prepend=0.0)[: len(samples) // HOP * HOP].reshape(-1, HOP)
    return np.asarray(gaussian_filter1d(10 * np.log10((band**2).mean(axis=1) + 1e-9), 4))


def stressed(samples: Floats) -> Floats:
    """Times (N,) in seconds of the loudest instants of the syllables that stand out by level, rise and pitch."""
    level = loudness(samples)
    peaks, facts = find_peaks(level, prominence=_CLEAR, distance=10, height=np.quantile(level, 0.95) - _LOUD)
    if len(peaks) == 0:
        return np.zeros(0)
    height = np.array([_pitch(samples, int(p)) for p in peaks])
    score = _z(level[peaks]) + 0.6 * _z(np.clip(height - np.median(height), -8, 8))
    score += 0.5 * _z(np.minimum(facts["prominences"], 12))
    return np.asarray(peaks[score > np.quantile(score, 1 - STRESSED)] / 100)


def _pitch(samples: Floats, at: int) -> float:
    """Semitones, from the autocorrelation of 60 ms."""
    near = samples[max(at * HOP - 480, 0) : at * HOP + 480]
    spectrum = np.abs(np.fft.rfft(near * np.hanning(len(near)), 4096)) ** 2
    low, high = _OCTAVES
    return float(12 * np.log2(RATE / (low + int(np.argmax(np.fft.irfft(spectrum)[low:high])))))


def _z(x: Floats) -> Floats:
    return np.asarray((x - x.mean()) / (x.std() + 1e-9))
