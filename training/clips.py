"""Clips of speech to assemble motion for: utterances strung together with pauses, at many levels, over many rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.timeline import Word
from training.prosody import RATE
from training.speech import Utterance


@dataclass(frozen=True, eq=False)
class SpeechClip:
    """`clean` (n,) at 16 kHz with digital pauses, for stress detection; `heard` is what the models hear."""

    clean: Floats
    heard: Floats
    words: tuple[Word, ...]

    @property
    def silent(self) -> bool:
        """Whether nobody speaks."""
        return not self.clean.any()


def varied(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """The same words by a slightly smaller or larger, slower or faster speaker."""
    factor = float(rng.uniform(0.9, 1.1))
    samples = soxr.resample(utterance.samples, RATE, RATE * factor, quality="MQ")
    level = np.sqrt(np.mean(samples**2)) + 1e-9
    words = tuple(Word(w.text, w.start * factor, w.end * factor) for w in utterance.words)
    return replace(utterance, samples=(samples * (0.08 / level)).astype(np.float32), words=words)


def pause(rng: np.random.Generator) -> float:
    """Seconds between two utterances: mostly breaths, sometimes a rest that lets the hands go down."""
    low, high = ((0.12, 0.5), (0.5, 1.4), (1.4, 4.0))[int(rng.choice(3, p=(0.5, 0.28, 0.22)))]
    return float(rng.uniform(low, high))


def string_together(utterances: Sequence[Utterance], rng: np.random.Generator) -> SpeechClip:
    """One clip: silence, utterances with pauses, silence; then gain and room noise."""
    lead = float(rng.choice([0.0, rng.uniform(0.05, 0.5), rng.uniform(0.5, 2.0)], p=(0.25, 0.45, 0.3)))
    pieces, words, at = [np.zeros(int(lead * RATE), np.float32)], list[Word](), int(lead * RATE)
    for i, utterance in enumerate(utterances):
        voice = varied(utterance, rng)
        if i:
            gap = np.zeros(int(pause(rng) * RATE), np.float32)
            pieces.append(gap)
            at += len(gap)
        # speakers get louder and softer from sentence to sentence
        pieces.append(voice.samples * np.float32(10 ** (rng.normal(0, 1.8) / 20)))
        words += [Word(w.text, w.start + at / RATE, w.end + at / RATE) for w in voice.words]
        at += len(voice.samples)
    pieces.append(np.zeros(int(rng.uniform(0.1, 2.5) * RATE), np.float32))
    clean = np.concatenate(pieces)
    return SpeechClip(clean, in_room(clean, rng), tuple(words))


def in_room(clean: Floats, rng: np.random.Generator) -> Floats:
    """Recording gain over 30 dB and a noise floor between digital silence and a busy room."""
    heard = clean.copy()
    if rng.random() < 0.7:
        floor = 10 ** (rng.uniform(-80, -46) / 20)
        heard = heard + floor * coloured_noise(len(clean), rng)
    heard = heard * np.float32(10 ** (rng.uniform(-18, 6) / 20))
    return np.asarray(np.clip(heard, -1, 1), dtype=np.float32)


def coloured_noise(samples: int, rng: np.random.Generator) -> Floats:
    """Noise of unit deviation with more bass than hiss."""
    white = rng.standard_normal(samples).astype(np.float32)
    rolled = np.convolve(white, np.full(8, 1 / np.sqrt(8), np.float32), mode="same")
    share = rng.random()
    mixed = share * white + (1 - share) * rolled
    return np.asarray(mixed / (mixed.std() + 1e-9), dtype=np.float32)


def silent_clip(seconds: float, rng: np.random.Generator) -> SpeechClip:
    """Nobody speaks: digital silence or room noise."""
    clean = np.zeros(int(seconds * RATE), np.float32)
    noise = 0.0 if rng.random() < 0.4 else 10 ** (rng.uniform(-80, -35) / 20)
    return SpeechClip(clean, (noise * coloured_noise(len(clean), rng)).astype(np.float32), ())


def compose(
    utterances: Sequence[Utterance], minutes: float, silence: float, rng: np.random.Generator
) -> list[SpeechClip]:
    """Clips of 4 to 45 s that together last about `minutes`, a share `silence` of them without speech.

    Every pass goes through all utterances in a new order, so each is heard equally often.
    """
    clips: list[SpeechClip] = []
    total, queue = 0.0, list[int]()
    while total < minutes * 60:
        if rng.random() < silence:
            clip = silent_clip(float(rng.uniform(4, 14)), rng)
        else:
            wanted, chosen, length = float(np.exp(rng.uniform(np.log(5), np.log(45)))), list[Utterance](), 0.0
            while length < wanted:
                if not queue:
                    queue = rng.permutation(len(utterances)).tolist()
                chosen.append(utterances[queue.pop()])
                length += len(chosen[-1].samples) / RATE
            clip = string_together(chosen, rng)
        clips.append(clip)
        total += len(clip.clean) / RATE
    return clips
