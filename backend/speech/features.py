"""The 437 audio features of a token row, and how much somebody is speaking in each.

One row per token (7.5 a second): 20 MFCC, 20 deltas, 12 chroma, 1 onset strength, 384 tempogram lags, as in Semantic
Gesticulator (Zhang et al., SIGGRAPH 2024), computed with librosa at 3840 Hz, hop 512. Differences, all deliberate:

- The last column (tempogram lag 383) is zero in exact arithmetic and noise in practice: it is pinned to zero.
- A clip without speech is taken as digital silence, and the loudest bin that decibels refer to is never less than
  `REFERENCE_FLOOR`: silence then reads as a pause in speech and not, as in the reference, as the loudest sound.
- A quiet recording of speech is brought up to a normal level first; the reference's features change with gain.
- Clips of fewer rows than one model window are padded with silence for the analysis and cut again.

All other clips give the reference's numbers. Everything that looks at the whole clip (the loudest bin, the tuning of
the chroma, the range of the onset decibels) is gathered from blocks first, so an hour in blocks equals an hour at once,
up to rounding and the resampling filters' tails at block borders; only memory differs. Clips of up to `BLOCK` rows are
one block.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.speech.audio import FEATURE_RATE, Audio
from backend.speech.compiled import librosa
from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.storage import blocks, empty

COLUMNS = 437
NOISE_COLUMN = 436
HOP = 512
N_FFT = 2048
TOKEN_RATE = FEATURE_RATE / HOP
TEMPO_WINDOW = 384
# Two and a half minutes: the longest clip that is analysed at once (40 MB, and about a second until a cancel is seen).
BLOCK = 1125
# Rows computed beyond a block's borders: median filter 15, spectra 4, constant-Q filters and their resamplers the rest.
MARGIN = 64
SHORTEST = 15
# Mel power; digital silence then lies 80 dB under it, which is where librosa's range ends. Ungated clips exceed it.
REFERENCE_FLOOR = 1e-2
SILENT_DB = -60.0
QUIET_DB = -40.0
NORMAL_DB = -25.0
# Speech rises and falls by more than this (95th against 10th percentile of the level); hum and hiss do not.
MODULATION_DB = 8.0


@dataclass(frozen=True)
class Level:
    """How loud a clip is: `frames` (T,) dBFS per token row, `loud` their 95th percentile, `soft` their 10th."""

    frames: Floats32
    loud: float
    soft: float

    @property
    def silent(self) -> bool:
        """Nobody speaks: next to nothing there, or something quiet that never changes (room noise, hum)."""
        return self.loud < SILENT_DB or (self.loud < QUIET_DB and self.loud - self.soft < MODULATION_DB)


def rows(samples: int) -> int:
    """Token rows of `samples` at 3840 Hz."""
    return 1 + samples // HOP


def level(audio: Audio) -> Level:
    """Level of each token row, from the root mean square over the 1024 samples (0.27 s) around it."""
    return _level(audio.low)


def _level(y: Floats32) -> Level:
    count = rows(len(y))
    # Half-row sums, so that the window around row t is the two halves before and the two after it.
    halves = np.empty(count + 1)
    for part in blocks(count + 1, y):
        power = np.zeros((part.stop - part.start, HOP), np.float32)
        first = part.start * HOP - HOP // 2
        piece = y[max(first, 0) : first + power.size]
        lead = max(-first, 0)
        power.reshape(-1)[lead : lead + len(piece)] = np.square(piece)
        halves[part] = power.mean(axis=1, dtype=np.float64)
    smooth = 0.25 * np.r_[halves[0], halves[:-1]] + 0.5 * halves + 0.25 * np.r_[halves[1:], halves[-1]]
    frames = (10 * np.log10(smooth[:count] + 1e-12)).astype(np.float32)
    return Level(frames, float(np.percentile(frames, 95)), float(np.percentile(frames, 10)))


def activity(audio: Audio) -> Floats32:
    """(T,) 0..1 per token row: 0 in silence, pauses and room noise, 1 at the clip's normal speaking level.

    Later stages fade motion with it. Relative to the clip's own loud parts, so it does not depend on the gain; absolute
    only in that a silent clip (see `Level.silent`) is 0 throughout.
    """
    measured = level(audio)
    if measured.silent:
        return np.zeros(len(measured.frames), np.float32)
    low = max(measured.loud - 35.0, min(measured.soft + 6.0, measured.loud - 15.0))
    high = max(measured.loud - 12.0, low + 3.0)
    ramp = np.clip((measured.frames - low) / (high - low), 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)


def extract(audio: Audio, progress: Progress | None = None) -> Floats32:
    """(T, 437) float32 unstandardised features of `audio`, T = 1 + floor(samples at 3840 Hz / 512).

    Raises `Cancelled` between blocks when `progress` says so.
    """
    librosa((progress or Progress()).span(0.0, 0.05))  # compiled before it is imported anywhere below
    y, count = _prepared(audio)
    signal = _Signal(y, progress)
    loudness, percussive_db, harmonic = signal.spectra()
    with warnings.catch_warnings():
        # Two seconds are shorter than the lowest octave's window; librosa pads them and says so.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large", category=UserWarning)
        chroma = signal.chroma(harmonic)
    onset = _onset(percussive_db)
    out = empty((count, COLUMNS))
    out[:, 0:20], out[:, 20:40] = (part[:count] for part in _mfcc(loudness))
    out[:, 40:52] = chroma.T[:count]
    out[:, 52] = onset[:count]
    for start, stop, lags in _tempogram(onset, count):
        out[start:stop, 53:COLUMNS] = lags.T
        signal.done(0.9 + 0.1 * stop / count)
    # Rows without any onset in their 51 s are divided by zero and left at 0, which is 9 sigma from all speech.
    out[out[:, 53] == 0.0, 53:COLUMNS] = _no_rhythm()
    out[:, NOISE_COLUMN] = 0.0
    return out


def _prepared(audio: Audio) -> tuple[Floats32, int]:
    """The signal to analyse (gated, levelled, padded) and the number of rows wanted of it."""
    y, measured = audio.low, level(audio)
    if measured.silent:
        y = np.zeros_like(y)
    elif measured.loud < QUIET_DB:
        y = y * np.float32(10 ** ((NORMAL_DB - measured.loud) / 20))
    count = rows(len(y))
    if count < SHORTEST:
        y = np.pad(y, (0, (SHORTEST + 1) * HOP - len(y)))
    return y, count


def _mfcc(mel_power: Floats32) -> tuple[Floats32, Floats32]:
    """(T, 20) MFCC and (T, 20) deltas of a (128, T) mel power spectrogram."""
    reference = max(float(mel_power.max()), REFERENCE_FLOOR)
    mfcc = librosa().feature.mfcc(S=librosa().power_to_db(mel_power, ref=reference), n_mfcc=20)
    return mfcc.T, librosa().feature.delta(mfcc, width=3).T


def _onset(percussive_power: Floats32) -> NDArray[np.float64]:
    from librosa.onset import onset_strength

    envelope = onset_strength(
        S=librosa().power_to_db(percussive_power), sr=FEATURE_RATE, hop_length=HOP, aggregate=np.median
    )
    return np.asarray(envelope, np.float64)


def _tempogram(onset: NDArray[np.float64], count: int) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Blocks (start, stop, (384, stop - start)); float64, since the last lags are divided by next to nothing later."""
    padded = np.pad(onset, TEMPO_WINDOW // 2, mode="linear_ramp", end_values=0)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        piece = padded[start : stop + TEMPO_WINDOW - 1]
        yield (
            start,
            stop,
            librosa().feature.tempogram(
                onset_envelope=piece, sr=FEATURE_RATE, hop_length=HOP, win_length=TEMPO_WINDOW, center=False
            ),
        )


@lru_cache(maxsize=1)
def _no_rhythm() -> Floats32:
    """(384,) the tempogram of onsets without any rhythm: alike at all lags, but for neighbours that share their frames.

    The two shares are the means over speech (the reference's scaler has 0.472 at lag 1 and 0.13 to 0.18 from 2 to 20).
    """
    window = np.hanning(TEMPO_WINDOW + 1)[:-1]
    overlap = np.correlate(window, window, "full")[TEMPO_WINDOW - 1 :]
    shares = np.full(TEMPO_WINDOW, 0.16)
    shares[:2] = 1.0, 0.47
    return (shares * overlap / overlap[0]).astype(np.float32)


@lru_cache(maxsize=1)
def _mel_basis() -> Floats32:
    from librosa.filters import mel

    return np.asarray(mel(sr=FEATURE_RATE, n_fft=N_FFT), np.float32)


class _Signal:
    """A mono signal at 3840 Hz, analysed in overlapping blocks of rows."""

    def __init__(self, y: Floats32, progress: Progress | None) -> None:
        self.y, self.progress, self.rows = y, progress, rows(len(y))

    def done(self, fraction: float) -> None:
        if self.progress is not None:
            self.progress.stage("features", fraction)

    def blocks(self, harmonic: Floats32) -> Iterator[tuple[int, int, int, int]]:
        """(start, stop, first, last) rows: the block itself, and the block with its margins."""
        for part in blocks(self.rows, self.y, harmonic, size=BLOCK):
            yield part.start, part.stop, max(0, part.start - MARGIN), min(self.rows, part.stop + MARGIN)

    def _piece(self, y: Floats32, first: int, last: int) -> Floats32:
        """The samples whose analysis gives rows `first`..`last`; a last piece keeps the samples after its last row."""
        return y[first * HOP :] if last == self.rows else y[first * HOP : (last - 1) * HOP]

    def spectra(self) -> tuple[Floats32, Floats32, Floats32]:
        """Mel power (128, T) of the signal and of its percussive part, and the harmonic part's samples (n,).

        One short-time spectrum serves the mel bands and the median-filter separation (Fitzgerald 2010).
        """
        from librosa.decompose import hpss

        mel = np.zeros((128, self.rows), np.float32)
        percussive_mel = np.zeros_like(mel)
        harmonic = empty(self.y.shape)
        for start, stop, first, last in self.blocks(harmonic):
            piece = self._piece(self.y, first, last)
            spectrum = librosa().stft(piece, n_fft=N_FFT, hop_length=HOP)
            inside = slice(start - first, stop - first)
            mel[:, start:stop] = _mel_basis() @ np.square(np.abs(spectrum[:, inside]))
            kept, struck = hpss(spectrum)
            kept_y, struck_y = (
                librosa().istft(s, n_fft=N_FFT, hop_length=HOP, length=len(piece)) for s in (kept, struck)
            )
            percussive_mel[:, start:stop] = _mel_basis() @ np.square(
                np.abs(librosa().stft(struck_y, n_fft=N_FFT, hop_length=HOP)[:, inside])
            )
            end = len(self.y) if stop == self.rows else stop * HOP
            harmonic[start * HOP : end] = kept_y[(start - first) * HOP : end - first * HOP]
            self.done(0.6 * stop / self.rows)
        return mel, percussive_mel, harmonic

    def chroma(self, harmonic: Floats32) -> Floats32:
        """(12, T) constant-Q chroma over 5 octaves, each row's largest 1."""
        tuning = self._tuning(harmonic)
        out = np.zeros((12, self.rows), np.float32)
        for start, stop, first, last in self.blocks(harmonic):
            piece = librosa().feature.chroma_cqt(
                y=self._piece(harmonic, first, last), sr=FEATURE_RATE, hop_length=HOP, n_octaves=5, tuning=tuning
            )
            out[:, start:stop] = piece[:, start - first : stop - first]
            self.done(0.7 + 0.2 * stop / self.rows)
        return out

    def _tuning(self, harmonic: Floats32) -> float:
        """Deviation from A440 in bins, from the stronger half of the clip's spectral peaks (as librosa does it)."""
        pitches: list[NDArray[Any]] = []
        strengths: list[NDArray[Any]] = []
        for start, stop, first, last in self.blocks(harmonic):
            pitch, strength = librosa().piptrack(y=self._piece(harmonic, first, last), sr=FEATURE_RATE, n_fft=N_FFT)
            inside = slice(start - first, stop - first)
            found = pitch[:, inside] > 0
            pitches.append(pitch[:, inside][found])
            strengths.append(strength[:, inside][found])
            self.done(0.6 + 0.1 * stop / self.rows)
        pitch, strength = np.concatenate(pitches), np.concatenate(strengths)
        if not len(pitch):
            return 0.0
        return float(
            librosa().pitch_tuning(pitch[strength >= np.median(strength)], resolution=0.01, bins_per_octave=36)
        )
