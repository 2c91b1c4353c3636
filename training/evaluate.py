"""What the trained models do on held-out speech, as numbers and a picture.

Reconstruction error and code usage of the tokenizer, likelihood of the generators on held-out clips, and motion
generated from held-out speech beside the assembled motion of the same clips and beside people, by `backend.measure`.
There is no Fréchet gesture distance here: it needs recordings of people gesturing while they speak, and this training
has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from backend.measure import table
from backend.measure.column import Piece, measure
from backend.measure.speech import RANGE, Speech
from backend.models.codec import Smoothing, decode_codes
from backend.models.config import FRAMES_PER_TOKEN, TOKENS_PER_SECOND
from backend.models.layout import to_motion
from backend.models.weights import Weights
from backend.motion import postprocess, rhythm
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from training import fine, generator, measures
from training.codes import load_codes
from training.config import Recipe
from training.data import ClipSpan, TrainingSet
from training.export import RECORDS, parameters, size_on_disk, write_json
from training.prosody import Accent, Phrase, Prosody

MOST_CLIPS = 12
SMOOTHINGS: tuple[Smoothing | None, ...] = (None, "none", "latent", "frames")


def clip_motion(data: TrainingSet, clip: ClipSpan) -> Motion:
    """The assembled motion of a clip."""
    rows = data.vectors[clip.start * FRAMES_PER_TOKEN : clip.end * FRAMES_PER_TOKEN].numpy()
    return to_motion(data.body_scaler.restore(rows))


def clip_codes(weights: Weights, recipe: Recipe, data: TrainingSet, index: int, seed: int) -> npt.NDArray[np.int64]:
    """Codes (2, 4, T) generated for the voice of a clip, in its speaker's manner."""
    clip, how = data.clips[index], recipe.sampling
    rows = data.audio_scaler.restore(data.audio[clip.start : clip.end].numpy())
    rows = rows[:, how.audio_input.voice]  # posture is planned anew
    manner = Manner.from_json(data.about["clips"][index].get("manner", {}))
    sampling = rhythm.Sampling(seed, how.temperature, how.top_k, how.top_p, manner=manner)
    return rhythm.sample_codes(weights, rows.astype(np.float32), sampling, Progress())


def clip_prosody(data: TrainingSet, index: int) -> Prosody:
    """Phrases and stressed syllables as the assembly used them."""
    row = data.about["clips"][index]
    phrases = tuple(
        Phrase(p["start"], p["end"], tuple(Accent(t, s, 0.5) for t, s in p["accents"]), 0.5) for p in row["phrases"]
    )
    energy = np.asarray(row["energy"])
    return Prosody(row["tokens"] * FRAMES_PER_TOKEN / 60, phrases, energy, np.zeros(len(energy)))


def clip_speech(data: TrainingSet, index: int) -> Speech:
    """What the yardstick needs of a clip's speech, from the prosody that the assembly followed."""
    prosody = clip_prosody(data, index)
    times = np.arange(data.about["clips"][index]["tokens"]) / TOKENS_PER_SECOND
    activity = np.zeros(len(times))
    for phrase in prosody.phrases:
        activity[(times >= phrase.start) & (times < phrase.end)] = 1.0
    stressed = np.array([a.time for p in prosody.phrases for a in p.accents if a.prominence > 0])
    return Speech(prosody.seconds, activity, RANGE * (prosody.energy - 1), stressed)


def chosen_clips(data: TrainingSet) -> list[int]:
    """Held-out clips, or the last ones where nothing was held out."""
    held = [i for i, c in enumerate(data.clips) if c.held_out]
    return (held or list(range(len(data.clips)))[-MOST_CLIPS:])[:MOST_CLIPS]


def reconstruction(weights: Weights, data: TrainingSet, codes: torch.Tensor, clips: Sequence[int]) -> dict[str, Any]:
    """Error of encode-decode, per smoothing, against the assembled motion."""
    result: dict[str, Any] = {}
    for smoothing in SMOOTHINGS:
        rows = []
        for i in clips:
            clip = data.clips[i]
            vectors = decode_codes(weights, codes[:, :, clip.start : clip.end].numpy(), smoothing=smoothing)
            wanted, got = clip_motion(data, clip), to_motion(vectors)
            rows.append({**measures.differences(wanted, got), "token_border_ratio": measures.border_ratio(got)})
        result[smoothing or "recommended"] = mean_of(rows)
    return result


def usage(codes: torch.Tensor, size: int) -> dict[str, list[float]]:
    """Perplexity (effective number of codes) per level, body and hands."""
    result = {}
    for name, part in zip(("body", "hands"), codes, strict=True):
        shares = [torch.bincount(level, minlength=size).double() / len(level) for level in part]
        result[name] = [float(torch.exp(-(p[p > 0] * p[p > 0].log()).sum())) for p in shares]
    return result


def likelihoods(weights: Weights, data: TrainingSet, codes: torch.Tensor) -> dict[str, Any]:
    """Held-out negative log likelihood in nats per token (body, hands)."""
    data = data.with_audio_input(weights.info.audio_input, weights.info.lookahead)
    device = torch.device("cpu")
    window = generator.held_out_batch(data, codes, generator.WINDOW + 1, device)
    if window is None:
        return {}
    result = {"level0": [float(v) for v in generator.likelihood(weights.level0, *window)]}
    whole = generator.held_out_batch(data, codes, fine.WINDOW, device)
    assert whole is not None
    for model in weights.fine:
        result[f"fine{model.config.level}"] = [float(v) for v in fine.likelihood(model, *whole)]
    return result


def generated(weights: Weights, recipe: Recipe, data: TrainingSet, clips: Sequence[int]) -> dict[str, Any]:
    """Generated and assembled motion of the same speech, as columns of the yardstick's table."""
    pieces: dict[str, list[Piece]] = {"generated": [], "finished": [], "assembled": []}
    for i in tqdm(clips, desc="generating", unit="clip"):
        clip, speech = data.clips[i], clip_speech(data, i)
        raw = rhythm.decode(weights, clip_codes(weights, recipe, data, i, i))
        motions = {
            "generated": raw,
            "finished": postprocess.finish(raw, raw.seconds, root=weights.info.root, own=weights.info.gains),
            "assembled": clip_motion(data, clip),
        }
        for name, motion in motions.items():
            pieces[name].append(Piece(motion, speech))
    return {name: measure(made) for name, made in pieces.items()}


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean per name over the clips where it is defined."""
    result = {}
    for name in rows[0] if rows else ():
        values = np.array([r[name] for r in rows], dtype=float)
        known = values[np.isfinite(values)]
        result[name] = float(known.mean()) if len(known) else float("nan")
    return result


def evaluate(recipe: Recipe) -> dict[str, Any]:
    """All measurements of the weights in `recipe.out`; writes evaluation.json and evaluation.png in the work folder."""
    data = TrainingSet.load(recipe.folder("set"))
    codes = load_codes(recipe.folder("codes"), len(data.audio))
    weights = Weights.load(recipe.out)
    clips = chosen_clips(data)
    result = {
        "weights": weights.info.name,
        "parameters": parameters(weights),
        "bytes": size_on_disk(recipe.out),
        "clips": len(clips),
        "reconstruction": reconstruction(weights, data, codes, clips),
        "perplexity": usage(codes, weights.level0.config.codes),
        "likelihood": likelihoods(weights, data, codes),
        "motion": generated(weights, recipe, data, clips),
    }
    folder = Path(recipe.work)
    write_json(folder / "evaluation.json", result)
    write_json(Path(recipe.out) / RECORDS / "evaluation.json", result)
    draw(weights, recipe, data, clips[0], folder / "evaluation.png")
    return result


def draw(weights: Weights, recipe: Recipe, data: TrainingSet, index: int, path: Path) -> None:
    """Hand heights of one held-out clip, assembled and generated, over the voice's energy; learning curves beside."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    clip, prosody = data.clips[index], clip_prosody(data, index)
    codes = clip_codes(weights, recipe, data, index, 1)
    figure, axes = plt.subplots(2, 1, figsize=(14, 7), sharex=True)
    motions = {"assembled": clip_motion(data, clip), "generated": rhythm.decode(weights, codes)}
    for axis, (name, motion) in zip(axes, motions.items(), strict=True):
        path_of_hands = measures.hands(motion)
        times = np.arange(len(motion)) / 60
        for side, colour in zip((0, 1), ("tab:blue", "tab:red"), strict=True):
            axis.plot(times, path_of_hands[:, side, 1], color=colour, label=("left", "right")[side])
        axis.fill_between(np.arange(len(prosody.energy)) / 100, -30, -30 + 20 * prosody.energy, color="0.8")
        for phrase in prosody.phrases:
            for accent in phrase.accents:
                if accent.prominence > 0:
                    axis.axvline(accent.time, color="0.6", lw=0.5)
        axis.set_ylabel(f"{name}: hand height over hips, cm")
        axis.legend(loc="upper right")
    axes[-1].set_xlabel("seconds; grey: energy of the voice, lines: stressed syllables")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def report(result: dict[str, Any]) -> str:
    """The result as lines for a terminal."""
    millions, mebibytes = sum(result["parameters"].values()) / 1e6, result["bytes"] / 2**20
    lines = [f"{result['weights']}: {millions:.1f} M parameters, {mebibytes:.1f} MiB"]
    for name, row in result["reconstruction"].items():
        lines.append(
            f"reconstruction ({name}): body {row['body_degrees']:.2f} deg, fingers {row['fingers_degrees']:.2f} deg, "
            f"hands {row['hands_cm']:.2f} cm, border ratio {row['token_border_ratio']:.2f}"
        )
    for part, values in result["perplexity"].items():
        lines.append(f"perplexity {part}: " + " ".join(f"{v:.0f}" for v in values))
    for name, (body, hands) in result["likelihood"].items():
        lines.append(f"held-out nats/token {name}: body {body:.2f}, hands {hands:.2f}")
    return "\n".join([*lines, table.text(result["motion"] | table.kept())])
