"""Speech to train on: folders of recordings with or without words' times, and our own sentences synthesised.

A speech folder holds sound files. Words with times come from `*.json` in it ({file stem: [[text, start, end], ...]} in
one file for all, or [[text, start, end], ...] in `<stem>.json`). Where there is only text, it is aligned: `<stem>.txt`,
or `metadata.csv` in LJSpeech's form (stem|text), or `transcription` in Sphinx's (text (stem)). Without either, stress
is read off the sound alone.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from backend.speech.compiled import librosa
from backend.speech.forced_alignment import RIGHT, aligner
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.timeline import Word
from training.prosody import RATE

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SENTENCES = Path(__file__).with_name("sentences.txt")
FLITE_VOICES = ("awb", "rms", "kal16")  # slt is kept for measuring: no training hears it


@dataclass(frozen=True, eq=False)
class Utterance:
    """A piece of speech: mono samples at 16 kHz and the words' times where known."""

    name: str
    samples: Floats
    words: tuple[Word, ...] = ()


def read_folder(folder: str | Path, cache: Path | None = None) -> list[Utterance]:
    """All recordings of a folder in the order of their names. `cache` (a JSON file) keeps aligned words' times."""
    folder = Path(folder)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise UserError(
            f"{folder} holds no speech.",
            hint=f"Give a folder with sound files ({', '.join(SUFFIXES)}).",
            code="no_speech",
        )
    words, texts = _words_of(folder), _texts_of(folder)
    if cache is not None and cache.is_file():
        words = _words_in(cache) | words
    result = []
    for path in tqdm(files, desc=f"reading {folder.name}", unit="file"):
        samples = _load(path)
        if path.stem not in words:
            words[path.stem] = _align(samples, texts.get(path.stem, ""))
        result.append(Utterance(path.stem, samples, words[path.stem]))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        plain = {u.name: [[w.text, w.start, w.end] for w in u.words] for u in result}
        cache.write_text(json.dumps(plain), "utf-8")
    return result


def _align(samples: Floats, text: str) -> tuple[Word, ...]:
    """Times of an English text's words; none where text and sound do not fit together."""
    tokens = text.split()
    placed = aligner().place(np.asarray(samples, dtype=np.float32), tokens) if tokens else None
    if placed is None:
        return ()
    found = [(t, p) for t, p in zip(tokens, placed, strict=True) if p is not None]
    if not found or np.mean([p.score for _, p in found]) < RIGHT:
        return ()
    return tuple(Word(t, p.start, p.end) for t, p in found)


def _texts_of(folder: Path) -> dict[str, str]:
    texts = {p.stem: p.read_text("utf-8").strip() for p in sorted(folder.rglob("*.txt"))}
    for path in sorted(folder.rglob("metadata.csv")):
        rows = (line.split("|") for line in path.read_text("utf-8").splitlines())
        texts |= {row[0]: row[-1] for row in rows if len(row) >= 2}
    for path in sorted(folder.rglob("transcription")):
        found = re.findall(r"^(?:<s>)?(.*?)(?:</s>)?\s*\(([^()]+)\)\s*$", path.read_text("utf-8"), re.M)
        texts |= {stem: text.strip() for text, stem in found}
    return texts


def _load(path: Path) -> Floats:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == RATE else np.asarray(librosa().resample(mono, orig_sr=rate, target_sr=RATE))


def _words_of(folder: Path) -> dict[str, tuple[Word, ...]]:
    found: dict[str, tuple[Word, ...]] = {}
    for path in sorted(folder.rglob("*.json")):
        found |= _words_in(path)
    return found


def _words_in(path: Path) -> dict[str, tuple[Word, ...]]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    rows: dict[str, Any] = data if isinstance(data, dict) else {path.stem: data}
    return {
        stem: tuple(_clean(words))
        for stem, words in rows.items()
        if isinstance(words, list) and all(isinstance(w, list) and len(w) == 3 for w in words)
    }


def _clean(words: Sequence[Any]) -> Iterator[Word]:
    for written, start, end in words:
        text = re.sub(r"\(\d+\)$", "", str(written))  # the aligner's mark for a second pronunciation
        if not text.startswith("<"):
            yield Word(text, float(start), float(end))


def passages(sentences: Sequence[str], per_file: int) -> list[str]:
    """Sentences joined to texts of `per_file` sentences."""
    return [" ".join(sentences[i : i + per_file]) for i in range(0, len(sentences), per_file)]


def synthesise(folder: str | Path, sentences_file: Path = SENTENCES, piper_voice: str | Path | None = None) -> int:
    """Speak the sentences with every flite voice (the Debian package), and with a piper voice if one is given.

    Writes sound and text files into `folder`; returns how many of each.
    """
    if shutil.which("flite") is None:
        raise UserError(
            "flite is not installed.", hint="Install it (Debian: apt install flite) or leave out --synthesise."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line.strip() for line in sentences_file.read_text("utf-8").splitlines() if line.strip()]
    count = 0
    for number, voice in enumerate(FLITE_VOICES):
        for i, text in enumerate(passages(lines, 2)):
            stretch = 0.9 + 0.3 * ((i * 7 + number * 3) % 10) / 10
            _flite(text, voice, stretch, folder / f"flite-{voice}-{i:03d}.wav")
            count += 1
    if piper_voice is not None:
        count += _piper(passages(lines, 2), Path(piper_voice), folder)
    return count


def _flite(text: str, voice: str, stretch: float, path: Path) -> None:
    command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}", "-t", text, "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    path.with_suffix(".txt").write_text(text, "utf-8")


def _piper(texts: Sequence[str], model: Path, folder: Path) -> int:
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(model)
    for i, text in enumerate(texts):
        speed = 0.92 + 0.3 * ((i * 7) % 10) / 10
        chunks = list(voice.synthesize(text, SynthesisConfig(length_scale=speed)))
        samples = np.concatenate([c.audio_float_array for c in chunks])
        path = folder / f"piper-{i:03d}.wav"
        soundfile.write(path, samples, chunks[0].sample_rate)
        path.with_suffix(".txt").write_text(text, "utf-8")
    return len(texts)
