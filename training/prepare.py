"""From motion and speech folders to the training set.

The set is a folder: `vectors.npy` (frames, 219) float32 raw motion vectors, `audio.npy` (tokens, n) float32 raw
features of the kind that the recipe's generators hear, 8 frames per token throughout, and `set.json` with the clips'
token spans, the split, both scalers and what the set was made of. Clips of the "silent" kind have nobody speaking.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from backend.models.config import FRAMES_PER_TOKEN
from backend.models.layout import WIDTH, to_vectors
from backend.models.rest_place import RestPlace
from backend.models.scaler import Scaler
from backend.speech import features
from backend.speech import prosody as speech_prosody
from backend.speech.audio import Audio
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import PRESETS, Manner, limits
from SG_dataset.processes import process_pool
from training.assembly import Stock, assemble
from training.clips import SpeechClip, compose
from training.life import collect_idles, collect_postures, collect_shifts, collect_talk
from training.motion_folder import Clips, load_folders
from training.prosody import RATE, Prosody, analyse
from training.speech import Utterance, read_folder
from training.units import collect_units
from training.vocabulary import hanging, rests, rests_of, strokes, touches

SHORTEST_TOKENS = 16


@dataclass(frozen=True)
class PrepareConfig:
    minutes: float = 60.0
    postures: int = 2  # how many ways of standing, beside their mirror images: fewer leave more codes to the gestures
    silence: float = 0.06  # share of clips without speech
    validation: float = 0.05  # share of clips held out
    seed: int = 1
    workers: int = 1
    variations: int = 5  # of each family of our own notation
    manner: str = ""  # as `Manner.parse` reads it; empty: every clip is somebody else


def stock_of(clips: Clips, config: PrepareConfig) -> Stock:
    """Everything that clips are assembled from: the folders' motion and our own notation."""
    used = clips.used
    units = collect_units(used) + strokes(config.variations) + touches(config.variations)
    postures = collect_postures(used, config.postures)
    if not collect_units(used) or not postures:
        raise UserError(
            f"The motion folders have {len(collect_units(used))} gestures and {len(postures)} postures; "
            "one of each is the least.",
            hint="Gesture clips must start with hanging arms and move a hand by more than 9 cm.",
            code="no_motion",
        )
    return Stock(
        units,
        postures,
        collect_idles(used),
        [hanging(), *rests_of(used), *rests()],
        collect_shifts(used),
        collect_talk(used),
    )


@dataclass(frozen=True, eq=False)
class Made:
    """vectors (8 T, 219), audio (T, n), the prosody that the motion follows, and who moves."""

    vectors: Floats
    audio: Floats
    prosody: Prosody
    manner: Manner


def somebody(rng: np.random.Generator) -> Manner:
    """A speaker of their own: around the ordinary one, or around one of the presets."""
    centre = [Manner(), Manner(), *PRESETS.values()][int(rng.integers(2 + len(PRESETS)))]
    spread = {"liveliness": 0.15, "width": 0.1, "hand": 0.35, "formality": 0.15, "speed": 0.06}
    values = {k: v + spread[k] * rng.standard_normal() for k, v in centre.to_json().items()}
    return Manner(**{k: float(np.clip(v, *limits(k))) for k, v in values.items()})


def make_clip(
    clip: SpeechClip, stock: Stock, seed: int, manner: Manner | None = None, hears: str = "reference"
) -> Made:
    """Assembled motion of a clip, and what generators are told with it (`AudioInput.features`)."""
    rng = np.random.default_rng(seed)
    heard = Audio.from_samples(clip.heard, RATE)
    count = features.rows(len(heard.low))
    prosody = analyse(clip.clean, clip.words)
    manner = manner or somebody(rng)
    made = assemble(prosody, stock, FRAMES_PER_TOKEN * count, rng, manner)
    if hears == "reference":
        audio = features.extract(heard)
    else:
        voice = speech_prosody.extract(heard, clip.words)
        audio = np.concatenate([voice, made.rows(count)], axis=1, dtype=np.float32)
    return Made(to_vectors(made.motion).astype(np.float32), audio, prosody, manner)


def prosody_row(prosody: Prosody) -> dict[str, Any]:
    """What the evaluation needs of a clip's prosody."""
    return {
        "phrases": [
            {
                "start": p.start,
                "end": p.end,
                "accents": [[round(float(a.time), 2), round(a.prominence, 2)] for a in p.accents],
            }
            for p in prosody.phrases
        ],
        "energy": [round(float(e), 2) for e in prosody.energy],
    }


def report(clips: Clips) -> str:
    """What was read, and what was left out and why."""
    lines = [f"{len(clips.used)} motion clips are used, {len(clips.left_out)} are left out:"]
    return "\n  ".join(lines + [str(row) for row in clips.left_out])


Job = tuple[SpeechClip, int, Manner | None, str]
_STOCK: Stock | None = None


def _start_worker(stock: Stock) -> None:
    global _STOCK  # noqa: PLW0603 - sent once per process instead of once per clip
    _STOCK = stock


def _work(job: Job) -> Made:
    assert _STOCK is not None
    return make_clip(job[0], _STOCK, *job[1:])


def _made(jobs: list[Job], stock: Stock, workers: int) -> Iterator[Made]:
    if workers <= 1:
        yield from (make_clip(job[0], stock, *job[1:]) for job in jobs)
        return
    with process_pool(workers, partial(_start_worker, stock)) as pool:
        yield from pool.map(_work, jobs)


def choose_held_out(clips: Sequence[SpeechClip], share: float, rng: np.random.Generator) -> set[SpeechClip]:
    """A share of the clips with speech, at least one of them where there are two."""
    spoken = [c for c in clips if not c.silent]
    count = min(max(round(share * len(spoken)), 1), len(spoken) - 1) if share > 0 else 0
    return {spoken[i] for i in rng.permutation(len(spoken))[:count]}


def is_made(out: Path, config: PrepareConfig, hears: str) -> bool:
    """Whether the set in `out` is finished and of this kind. Its folders and our notation are not compared: a set is
    made anew by leaving `--resume` out."""
    try:
        made = json.loads((out / "set.json").read_text("utf-8"))["made_of"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = vars(config) | {"workers": 0}  # how many make it changes nothing
    return bool(made["config"] | {"workers": 0} == wanted and made["hears"] == hears)


def prepare(
    motion: Sequence[str | Path],
    speech: Sequence[str | Path],
    out: str | Path,
    config: PrepareConfig,
    say: Callable[[str], None] = lambda _: None,
    hears: str = "reference",
) -> dict[str, Any]:
    """Make the training set in `out` and return its description; `say` is told which clips are left out and why.
    hears: the kind of features (`AudioInput.features`)."""
    utterances: list[Utterance] = [
        u for folder in speech for u in read_folder(folder, Path(out) / f"words-{Path(folder).name}.json")
    ]
    clips_read = load_folders(motion)
    say(report(clips_read))
    stock = stock_of(clips_read, config)
    manner = Manner.parse(config.manner) if config.manner else None
    rng = np.random.default_rng(config.seed)
    clips = compose(utterances, config.minutes, config.silence, rng)
    held_out = choose_held_out(clips, config.validation, rng)
    jobs: list[Job] = [(clip, config.seed * 100_003 + i, manner, hears) for i, clip in enumerate(clips)]
    vectors, audio, rows, at = list[Floats](), list[Floats](), list[dict[str, Any]](), 0
    bar = tqdm(_made(jobs, stock, config.workers), total=len(jobs), desc="assembling", unit="clip")
    for (clip, *_), made in zip(jobs, bar, strict=True):
        if len(made.audio) < SHORTEST_TOKENS:
            continue
        row = {
            "manner": made.manner.to_json(),
            "start": at,
            "tokens": len(made.audio),
            "silent": clip.silent,
            "held_out": clip in held_out,
        }
        rows.append(row | prosody_row(made.prosody))
        vectors.append(made.vectors)
        audio.append(made.audio)
        at += len(made.audio)
    if not rows:
        raise UserError(
            "No clip came out long enough to train on.",
            hint="Ask for more minutes or give more speech.",
            code="no_data",
        )
    return _write(
        Path(out),
        vectors,
        audio,
        rows,
        {
            "clips": len(clips_read.used),
            "left_out": [str(row) for row in clips_read.left_out],
            "gestures": len(stock.units),
            "postures": len(stock.postures),
            "rests": [RestPlace(r.formal, r.held, r.place).to_json() for r in stock.rests],
            "idles": len(stock.idles),
            "weight_shifts": len(stock.shifts),
            "conversations": len(stock.talks),
            "utterances": len(utterances),
            "speech_seconds": round(sum(len(u.samples) for u in utterances) / RATE, 1),
            "utterances_with_words": sum(bool(u.words) for u in utterances),
            "hears": hears,
            "config": vars(config),
        },
    )


def _fit_audio(rows: Floats, hears: str) -> Scaler:
    """What generators of prosody are told is 0 where there is nothing, and stays so."""
    if hears == "reference":
        return Scaler.fit_audio(rows)
    return Scaler.audio(np.zeros(rows.shape[1]), np.maximum(np.sqrt(np.mean(np.square(rows), axis=0)), 0.05))


def _write(
    out: Path, vectors: list[Floats], audio: list[Floats], rows: list[dict[str, Any]], made_of: dict[str, Any]
) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    all_vectors, all_audio = np.concatenate(vectors), np.concatenate(audio)
    assert all_vectors.shape == (FRAMES_PER_TOKEN * len(all_audio), WIDTH)
    np.save(out / "vectors.npy", all_vectors)
    np.save(out / "audio.npy", all_audio)
    description = {
        "clips": rows,
        "seconds": len(all_vectors) / 60,
        "made_of": made_of,
        "body_scaler": Scaler.fit_body(all_vectors).to_json(),
        "audio_scaler": _fit_audio(all_audio, made_of["hears"]).to_json(),
    }
    (out / "set.json").write_text(json.dumps(description, indent=1), "utf-8")
    return description
