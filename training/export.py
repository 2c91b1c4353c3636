"""From finished runs to a weights folder that the backend loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from backend.models.codec import FAST_STRIDE, decode_standardised
from backend.models.config import FPS, FRAMES_PER_TOKEN
from backend.models.layout import to_motion
from backend.models.rest_place import RestPlace
from backend.models.tokenizer import Tokenizer
from backend.models.weights import MOST_GAIN, Weights, WeightsInfo
from backend.motion.postprocess import deviations
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import TRUNK
from sg_blender_addon.core.skeleton import canonical
from training import fine, generator, tokenizer
from training.codes import load_codes, start_tokens
from training.config import Recipe, to_plain
from training.data import TrainingSet
from training.loop import LOG

RECORDS = "training"  # a folder in the weights'
GAINED = ("Hips", *TRUNK)  # arms move nearly as far as they should
CLIPS, LONG_ENOUGH = 40, 75  # how many clips amplitude is measured on, of so many tokens


def notes_of(recipe: Recipe, about: dict[str, Any]) -> str:
    """What anybody who loads the weights should know about them."""
    made = about["made_of"]
    how = recipe.sampling
    return (
        f"Trained on assembled co-speech, not on recordings of people talking: {made['gestures']} motion-captured "
        f"gestures (half of them mirror images) placed by rule on the stressed syllables of "
        f"{made['speech_seconds'] / 60:.0f} minutes of speech, over real standing idles; {about['seconds'] / 60:.0f} "
        f"minutes in all, feet fixed. Suggested sampling: temperature {how.temperature:g}, top-k {how.top_k}, "
        f"top-p {how.top_p:g}."
    )


def export(recipe: Recipe, data: TrainingSet) -> Weights:
    """Write `recipe.out` and return the weights as they were before rounding."""
    codes = load_codes(recipe.folder("codes"), len(data.audio))
    trained = tokenizer.trained(recipe)
    how = recipe.sampling
    info = WeightsInfo(
        recipe.name,
        start_tokens(codes, data),
        recipe.licence,
        notes_of(recipe, data.about),
        temperature=how.temperature,
        top_k=how.top_k,
        top_p=how.top_p,
        frame_sigma=how.frame_sigma,
        lookahead=how.lookahead,
        guidance_body=how.guidance_body,
        guidance_hands=how.guidance_hands,
        audio_input=how.audio_input,
        rests=tuple(RestPlace.from_json(row) for row in data.about["made_of"].get("rests", ())),
        root=how.root,
        gains=lost_amplitude(trained, data, codes, how.frame_sigma) if how.restore_amplitude else {},
    )
    weights = Weights.of(
        trained,
        generator.trained(recipe),
        [fine.trained(recipe, level) for level in fine.LEVELS],
        data.body_scaler,
        data.audio_scaler,
        info,
    )
    weights.save(recipe.out, torch.float16 if recipe.half else torch.float32)
    _keep_records(recipe)
    return weights


def _keep_records(recipe: Recipe) -> None:
    """How the weights came to be, beside them: each stage's log, and the recipe with its folders' names."""
    where = Path(recipe.out) / RECORDS
    plain = {name: value for name, value in to_plain(recipe).items() if name not in ("work", "out")}
    folders = {name: [Path(folder).name for folder in plain[name]] for name in ("motion", "speech")}
    write_json(where / "recipe.json", plain | folders)
    for stage in (tokenizer.FOLDER, generator.FOLDER, *(fine.folder(level) for level in fine.LEVELS)):
        shutil.copyfile(recipe.folder(stage) / LOG, where / f"{stage}.jsonl")


def lost_amplitude(model: Tokenizer, data: TrainingSet, codes: Tensor, sigma: float) -> dict[str, float]:
    """By joint of the trunk, how many times larger it moves about its running mean in training clips than once
    they are encoded and decoded (and smoothed by `sigma` frames), where that is more than once.

    A decoder that is to be right on average moves less than what it learned from, as in speech synthesis, where the
    lost variance is given back in the same way (global variance, Toda and Tokuda 2007).
    """
    names = canonical().names
    joints = [j for j, name in enumerate(names) if name in GAINED]
    moved, kept = np.zeros(len(joints)), np.zeros(len(joints))
    spoken = [c for c in data.clips if not c.held_out and not c.silent and c.end - c.start >= LONG_ENOUGH]
    for clip in spoken[:: max(1, len(spoken) // CLIPS)]:
        given = data.vectors[clip.start * FRAMES_PER_TOKEN : clip.end * FRAMES_PER_TOKEN].numpy()
        decoded = decode_standardised(model, codes[:, :, clip.start : clip.end].numpy(), stride=FAST_STRIDE)
        smooth = gaussian_filter1d(decoded, sigma, axis=0, mode="nearest") if sigma else decoded
        moved += _movement(data.body_scaler.restore(given), joints)
        kept += _movement(data.body_scaler.restore(smooth), joints)
    gains = np.sqrt(moved / np.maximum(kept, 1e-9))
    return {names[j]: float(np.clip(gain, 1.0, MOST_GAIN)) for j, gain in zip(joints, gains, strict=True)}


def _movement(vectors: Floats, joints: list[int]) -> Floats:
    """Sum of the squared deviations (J,) of joints from their running means, in raw vectors (F, 219)."""
    rotations = rot.continuous(to_motion(vectors).rotations[:, joints])
    return np.asarray(np.square(deviations(rotations, FPS)[1]).sum(axis=(0, 2)))


def parameters(weights: Weights) -> dict[str, int]:
    """Trained numbers per model, codebooks included."""
    return {name: sum(t.numel() for t in weights.state(name).values()) for name in weights.configs}


def size_on_disk(folder: str | Path) -> int:
    return sum(p.stat().st_size for p in Path(folder).iterdir() if p.is_file())


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), "utf-8")
