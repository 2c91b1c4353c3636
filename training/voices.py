"""Two recordings of ten minutes by voices that no training hears: what finished weights are measured on.

`prompts.wav` strings together the English telephone prompts of one speaker (Allison Smith; Debian's package
asterisk-core-sounds-en-g722, CC-BY-SA-3.0, 16 kHz), `slt.wav` is our own text (`held_out.txt`) read by flite's voice
slt. Both are made anew wherever they are needed and are no part of the project. The same seed gives the same pauses.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from backend.speech.audio import load_audio
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from training.prosody import RATE

VOICE = "slt"  # of flite; `speech.FLITE_VOICES` must not have it
SECONDS = 600.0
TEXT = Path(__file__).with_name("held_out.txt")
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
SHORTEST_PROMPT = 1.6  # s: digits and letters are no talk
LEVEL = 0.08  # root mean square of every piece
PAUSES, SHARES = ((0.15, 0.5), (0.5, 1.4), (2.0, 4.0)), (0.5, 0.3, 0.2)  # s; breaths, stops, and rests for the hands


def make(folder: str | Path, prompts: str | Path = PROMPTS, seconds: float = SECONDS) -> list[Path]:
    """Write both recordings (16 kHz, mono) into `folder`; UserError says what has to be installed."""
    folder = Path(folder)
    pieces = {"prompts": _prompts(Path(prompts)), VOICE: _read_aloud()}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, voice in pieces.items():
        paths.append(folder / f"{name}.wav")
        soundfile.write(paths[-1], recording(voice, seconds), RATE, "PCM_16")
    return paths


def recording(pieces: Iterator[Floats], seconds: float, seed: int = 1) -> Floats:
    """Pieces of speech (n,) at 16 kHz with pauses between them, from half a second of silence on, `seconds` long."""
    rng = np.random.default_rng(seed)
    wanted, done = int(seconds * RATE), list[Floats]([np.zeros(RATE // 2)])
    while sum(map(len, done)) < wanted:
        piece = next(pieces, None)
        if piece is None:
            raise UserError("There is too little speech for the recording.", "Ask for fewer seconds.", "no_speech")
        low, high = PAUSES[int(rng.choice(len(PAUSES), p=SHARES))]
        level = float(np.sqrt(np.mean(np.square(piece)))) + 1e-9
        done += [piece * (LEVEL / level), np.zeros(int(rng.uniform(low, high) * RATE))]
    return np.clip(np.concatenate(done)[:wanted], -1.0, 1.0)


def _prompts(folder: Path) -> Iterator[Floats]:
    """The prompts that are long enough, in an order that mixes their subjects."""
    files = sorted(folder.rglob("*.g722"))
    if not files:
        raise UserError(
            f"There are no telephone prompts in {folder}.",
            "Debian: apt install asterisk-core-sounds-en-g722; or apt download it, unpack it with dpkg -x, and name "
            "the folder with --prompts.",
            "no_speech",
        )
    for i in np.random.default_rng(0).permutation(len(files)):
        samples = _trimmed(load_audio(files[i]).speech)
        if len(samples) >= SHORTEST_PROMPT * RATE:
            yield samples


def _read_aloud() -> Iterator[Floats]:
    """The text's sentences by flite."""
    if shutil.which("flite") is None:
        raise UserError("flite is not installed.", "Debian: apt install flite.", "missing_package")
    return _spoken(re.split(r"(?<=[.?!])\s+", TEXT.read_text("utf-8").strip()))


def _spoken(sentences: list[str]) -> Iterator[Floats]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        for number, text in enumerate(sentences):
            stretch = 1.14 + 0.25 * (number * 7 % 10) / 10  # nobody speaks every sentence at one speed
            how = ["-voice", VOICE, "--setf", f"duration_stretch={stretch:.2f}"]
            subprocess.run(["flite", *how, "-t", text, "-o", str(path)], check=True, capture_output=True, timeout=120)
            yield _trimmed(load_audio(path).speech)


def _trimmed(samples: Floats) -> Floats:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return np.asarray(samples[loud[0] : loud[-1] + 1], dtype=float) if len(loud) else np.zeros(0)
