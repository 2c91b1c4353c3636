"""What generators hear of a voice, told plainly: level, pitch, syllables that stand out, phrases, words' times.

One row per token (7.5 a second), `COLUMNS` numbers, 0 for nothing. A row tells what comes within `AHEAD` (1 s), rated
by what follows that within another; nothing looks at the whole recording: levels, pitch and prominence are measured
against the last `MEMORY` seconds, so that ten seconds, an hour and a stream give the same rows, whatever the gain. Of
words only times enter, never spelling.

Stress is heard as loudness of the upper band, pitch and how far a syllable rises over its neighbours (Sluijter and van
Heuven 1996); hands move with the syllables that stand out, about a fifth of a second early (Pouw and Dixon 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from backend.speech.audio import SPEECH_RATE, Audio
from backend.speech.compiled import librosa
from backend.speech.features import MODULATION_DB, TOKEN_RATE, rows
from sg_blender_addon.core.arrays import Floats, Floats32
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.runs import runs
from sg_blender_addon.core.timeline import Word

RATE = 100  # measurements a second
HOP = SPEECH_RATE // RATE
FFT = 512
BAND = (200, 4000)  # Hz
FLOOR_DB = -62.0  # full scale: under it nobody speaks
MEMORY, SOON = 8.0, 0.25  # s before and after an instant that its levels and its pitch are measured against
AHEAD = 1.0  # s that a row looks ahead
PAUSE, SHORTEST = 0.28, 0.15  # s: a shorter gap is inside a phrase, a shorter burst is none
BEFORE, AFTER = 3, 7  # tokens around a row whose syllables it hears
BLOCK = 60 * RATE  # measurements analysed at once

# the usual deviation of a syllable's level (dB), pitch (semitones) and rise (dB): what is expected before much is heard
_USUAL, _USUAL_COUNT = (4.0, 2.0, 3.0), 4.0
_SHARES = (1.0, 0.6, 0.5)

SOUND = 82  # columns of the sound: the first says that there is any hearing at all
WORDS = 10
COLUMNS = SOUND + WORDS
ON = 7  # the column that says whether somebody speaks


@dataclass(frozen=True)
class Syllables:
    """Loudest instants (N,) in s, prominence (N,) with mean 0 and deviation 1 among the last ones, loudness 0..1."""

    times: Floats
    prominence: Floats
    loudness: Floats


@dataclass(frozen=True, eq=False)
class Prosody:
    """energy (N,) 0..1, pitch (N,) semitones from the running median (0 unvoiced) and voiced (N,) at `RATE`; syllables;
    phrases (start, end) in s."""

    energy: Floats
    pitch: Floats
    voiced: npt.NDArray[np.bool_]
    syllables: Syllables
    phrases: tuple[tuple[float, float], ...]


def extract(audio: Audio, words: Sequence[Word] = (), progress: Progress | None = None) -> Floats32:
    """(T, `COLUMNS`) float32 of a recording, T as of `features.extract`; `words` may be none.

    Raises `Cancelled` between blocks when `progress` says so.
    """
    progress = progress or Progress()
    librosa(progress.span(0.0, 0.05))  # compiled before it is used
    heard = listen(audio.samples, progress.span(0.05, 1.0))
    count = rows(len(audio.low))
    return np.concatenate([sound_columns(heard, count), word_columns(words, count)], axis=1).astype(np.float32)


def listen(samples: Floats32, progress: Progress | None = None) -> Prosody:
    """The prosody of mono samples at 16 kHz."""
    progress = progress or Progress()
    level, effort, f0 = measure(samples, progress.span(0.0, 0.9))
    progress.stage("features", 0.9)
    loud = np.maximum(_running(level, np.maximum, 95), FLOOR_DB + MODULATION_DB)
    soft = _running(level, np.minimum, 10)
    # room noise is under it, but speech without a pause yet has no floor to show
    least = np.maximum(np.maximum(loud - 34, np.minimum(soft + 6, loud - 15)), FLOOR_DB)
    speech = (level > least) & (loud - soft > MODULATION_DB)
    progress.stage("features", 0.93)
    smooth, effort = gaussian_filter1d(level, 4), gaussian_filter1d(effort, 4)
    energy = np.clip((smooth - (loud - 30)) / 30, 0, 1) * speech
    voiced = speech & (level > loud - 22)
    pitch = _semitones(f0, voiced)
    progress.stage("features", 0.96)
    syllables = _syllables(effort, smooth, gaussian_filter1d(pitch, 3), loud, speech)
    phrases = tuple((a / RATE, b / RATE) for a, b in runs(speech, RATE, SHORTEST, PAUSE))
    return Prosody(gaussian_filter1d(energy, 5), gaussian_filter1d(pitch, 5), voiced, syllables, phrases)


def measure(samples: Floats32, progress: Progress | None = None) -> tuple[Floats, Floats, Floats]:
    """Every 10 ms: level and level with 6 dB per octave for the higher frequencies (dB full scale), and pitch (Hz)."""
    progress, count = progress or Progress(), 1 + len(samples) // HOP
    level, effort, f0 = (np.empty(count) for _ in range(3))
    low, high = (round(f * FFT / SPEECH_RATE) for f in BAND)
    kilohertz = np.arange(low, high)[:, None] * SPEECH_RATE / FFT / 1000
    margin = 8  # measurements that a window reaches over
    for start in range(0, count, BLOCK):
        progress.stage("features", start / count)
        stop, first = min(start + BLOCK, count), max(0, start - margin)
        piece = samples[first * HOP : (stop + margin) * HOP].astype(np.float32)
        piece = np.pad(piece, (0, max(0, 2 * FFT - len(piece))))
        inside = slice(start - first, stop - first)
        power = (np.abs(librosa().stft(piece, n_fft=FFT, hop_length=HOP)) ** 2)[low:high] / FFT
        for target, bands in ((level, power), (effort, power * kilohertz**2)):
            target[start:stop] = (10 * np.log10(bands.sum(axis=0) / 100 + 1e-10))[inside]
        found = librosa().yin(piece, fmin=65, fmax=400, sr=SPEECH_RATE, frame_length=2 * FFT, hop_length=HOP)
        f0[start:stop] = found[inside]
    return level, effort, f0


def _running(level: Floats, extreme: np.ufunc, percentile: float) -> Floats:
    """A percentile (N,) of the extremes of each tenth of the last `MEMORY` seconds and the next `SOON`."""
    step = RATE // 10
    coarse = extreme.reduceat(level, np.arange(0, len(level), step))
    before, after = round(MEMORY * 10), round(SOON * 10)
    padded = np.concatenate([np.full(before, np.nan), coarse, np.full(after, np.nan)])
    windows = sliding_window_view(padded, before + after + 1)
    found = np.empty(len(windows))
    # whole windows at once; those that reach over the recording's ends, which numpy takes one by one, are few
    whole = slice(min(before, len(windows)), max(len(windows) - after, min(before, len(windows))))
    for start in range(whole.start, whole.stop, 6000):
        part = slice(start, min(start + 6000, whole.stop))
        found[part] = np.percentile(windows[part], percentile, axis=1)
    for part in (slice(0, whole.start), slice(whole.stop, len(windows))):
        found[part] = np.nanpercentile(windows[part], percentile, axis=1) if part.stop > part.start else []
    return np.repeat(found, step)[: len(level)]


def _semitones(f0: Floats, voiced: npt.NDArray[np.bool_]) -> Floats:
    """Pitch in semitones from the median of the voiced instants of the last `MEMORY` seconds; 0 where unvoiced."""
    tones = np.where(voiced, 12 * np.log2(np.maximum(f0, 1.0) / 100), np.nan)
    step = RATE // 10
    coarse = tones[::step]
    before, after = round(MEMORY * 10), round(SOON * 10)
    windows = sliding_window_view(np.pad(coarse, (before, after), constant_values=np.nan), before + after + 1)
    known = np.isfinite(windows).any(axis=1)
    median = np.zeros(len(coarse))
    median[known] = np.nanmedian(windows[known], axis=1)
    return np.where(voiced, np.clip(np.nan_to_num(tones) - np.repeat(median, step)[: len(f0)], -8, 8), 0.0)


def _syllables(effort: Floats, level: Floats, pitch: Floats, loud: Floats, speech: npt.NDArray[np.bool_]) -> Syllables:
    """Peaks of the upper band's level in speech, each rated against those of the last `MEMORY` seconds."""
    peaks, facts = find_peaks(effort, prominence=2.0, distance=10, wlen=2 * RATE)
    kept = speech[peaks] & (level[peaks] > loud[peaks] - 20)
    peaks, rise = peaks[kept], np.minimum(facts["prominences"][kept], 12.0)
    facts_of = np.stack([effort[peaks], pitch[peaks], rise], axis=1) if len(peaks) else np.zeros((0, 3))
    score = np.zeros(len(peaks))
    first = np.searchsorted(peaks, peaks - MEMORY * RATE)
    usual = np.array(_USUAL)
    for i in range(len(peaks)):
        known = facts_of[first[i] : i + 1]
        n = len(known)
        mean = known.mean(axis=0)
        spread = np.sqrt((known.var(axis=0) * n + usual**2 * _USUAL_COUNT) / (n + _USUAL_COUNT))
        score[i] = np.dot(_SHARES, (known[-1] - mean) / spread)
    loudness = np.clip((level[peaks] - loud[peaks] + 20) / 24, 0, 1)
    return Syllables(peaks / RATE, score / np.linalg.norm(_SHARES), loudness)


def sound_columns(heard: Prosody, count: int) -> Floats:
    """(count, `SOUND`): 1; level's mean, maximum and slope; pitch's mean and slope, voiced share; speaking, how long
    so, how long yet, how long until, how long since; the loudest to come; syllables around; the next and last one."""
    energy, pitch, voiced = (_per_token(x, count) for x in (heard.energy, heard.pitch / 4, heard.voiced.astype(float)))
    times = (np.arange(count) + 0.5) / TOKEN_RATE
    loudest = energy.max(axis=1)
    columns = [
        np.ones(count), energy.mean(axis=1), loudest, energy[:, -1] - energy[:, 0],
        pitch.mean(axis=1), pitch[:, -1] - pitch[:, 0], voiced.mean(axis=1),
        *_phrase_columns(heard.phrases, times),
        *(_shifted(loudest, k) for k in range(1, AFTER + 1)),
    ]  # fmt: skip
    said = heard.syllables
    strong = 1 / (1 + np.exp(-1.2 * said.prominence))
    out = _stands_out(said)
    columns += _syllable_columns(said, strong, out, count)
    columns += _nearest(said.times, strong, times) + _nearest(said.times[out], strong[out], times)
    return np.stack(columns, axis=1)


def _per_token(values: Floats, count: int) -> Floats:
    """(count, n): the measurements of each token's time."""
    n = round(RATE / TOKEN_RATE)
    index = np.round(np.arange(count)[:, None] / TOKEN_RATE * RATE).astype(int) + np.arange(n)
    return np.where(index < len(values), values[np.minimum(index, len(values) - 1)], 0.0)


def _phrase_columns(phrases: Sequence[tuple[float, float]], times: Floats) -> list[Floats]:
    """Whether in a phrase, and 0..1: how long so (2 s), how long yet (1 s), how soon the next (1 s), how long ago."""
    on, since, yet, until, ago = (np.zeros(len(times)) for _ in range(5))
    ends = np.array([end for _, end in phrases])
    starts = np.array([start for start, _ in phrases])
    if len(phrases):
        following = np.searchsorted(starts, times, side="right")
        inside = (following > 0) & (times < ends[np.maximum(following - 1, 0)])
        on = inside.astype(float)
        since = on * np.clip(times - starts[np.maximum(following - 1, 0)], 0, 2) / 2
        yet = on * _soon(ends[np.maximum(following - 1, 0)] - times)
        until = (1 - on) * np.where(
            following < len(starts), _soon(starts[np.minimum(following, len(starts) - 1)] - times), 0
        )
        ago = (1 - on) * np.where(following > 0, 1 - np.clip(times - ends[np.maximum(following - 1, 0)], 0, 2) / 2, 0)
    return [on, since, yet, until, ago]


def _soon(seconds: Floats) -> Floats:
    """1 now, 0 at `AHEAD` and later: nothing further off is known."""
    return 1 - np.clip(seconds, 0, AHEAD) / AHEAD


def _stands_out(said: Syllables) -> npt.NDArray[np.bool_]:
    """Whether no syllable within half a second is stronger."""
    first, last = (np.searchsorted(said.times, said.times + d) for d in (-0.5, 0.5))
    strongest = [said.prominence[a:b].max() for a, b in zip(first, np.maximum(last, first + 1), strict=True)]
    return np.asarray(said.prominence >= np.array(strongest, dtype=float), dtype=bool).reshape(len(said.times))


def _syllable_columns(said: Syllables, strong: Floats, out: npt.NDArray[np.bool_], count: int) -> list[Floats]:
    """Of tokens `BEFORE` back to `AFTER` ahead: a syllable's strength, loudness, place within the token, whether it
    stands out, and whether there is one."""
    facts = np.zeros((5, count))
    token = np.floor(said.times * TOKEN_RATE).astype(int)
    for i in np.argsort(strong):  # where two share a token, the stronger one counts
        if token[i] < count:
            place = said.times[i] * TOKEN_RATE - token[i] - 0.5
            facts[:, token[i]] = strong[i], said.loudness[i], place, out[i], 1.0
    return [_shifted(row, k) for k in range(-BEFORE, AFTER + 1) for row in facts]


def _nearest(times: Floats, strength: Floats, at: Floats) -> list[Floats]:
    """How soon the next event is (1 now, 0 in a second) and how strong, and the same of the last one."""
    nothing = np.zeros(len(at))
    if not len(times):
        return [nothing] * 4
    following = np.searchsorted(times, at)
    ahead, behind = np.minimum(following, len(times) - 1), np.maximum(following - 1, 0)
    soon = np.where(following < len(times), _soon(times[ahead] - at), 0.0)
    ago = np.where(following > 0, _soon(at - times[behind]), 0.0)
    return [soon, np.where(soon > 0, strength[ahead], 0.0), ago, np.where(ago > 0, strength[behind], 0.0)]


def _shifted(values: Floats, tokens: int) -> Floats:
    """The value so many tokens later; 0 beyond the ends."""
    out = np.zeros(len(values))
    if abs(tokens) < len(values):
        source = slice(max(tokens, 0), len(values) + min(tokens, 0))
        out[max(-tokens, 0) : len(values) - max(tokens, 0)] = values[source]
    return out


def word_columns(words: Sequence[Word], count: int) -> Floats:
    """(count, `WORDS`): whether words are known; inside one; how long it is yet; of tokens -1..5 the length of a word
    that begins there. Zeros without words."""
    out = np.zeros((count, WORDS))
    if not words:
        return out
    times = (np.arange(count) + 0.5) / TOKEN_RATE
    starts, ends = (np.array(sorted(getattr(w, k) for w in words)) for k in ("start", "end"))
    current = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    inside = (times >= starts[current]) & (times < ends[current])
    length = np.zeros(count)
    token = np.floor(starts * TOKEN_RATE).astype(int)
    known = (token >= 0) & (token < count)
    np.maximum.at(length, token[known], 0.2 + np.clip(ends - starts, 0, 1)[known])
    out[:, 0], out[:, 1] = 1.0, inside
    out[:, 2] = inside * np.clip(ends[current] - times, 0, 1)
    out[:, 3:] = np.stack([_shifted(length, k) for k in range(-1, WORDS - 4)], axis=1)
    return out
