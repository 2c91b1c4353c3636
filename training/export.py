"""From finished runs to a weights folder that the backend loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from backend.models.weights import Weights, WeightsInfo
from training import fine, generator, tokenizer
from training.codes import load_codes, start_tokens
from training.config import Recipe
from training.data import TrainingSet


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
        audio_input=how.audio_input,
    )
    weights = Weights.of(
        tokenizer.trained(recipe),
        generator.trained(recipe),
        [fine.trained(recipe, level) for level in fine.LEVELS],
        data.body_scaler,
        data.audio_scaler,
        info,
    )
    weights.save(recipe.out, torch.float16 if recipe.half else torch.float32)
    return weights


def parameters(weights: Weights) -> dict[str, int]:
    """Trained numbers per model, codebooks included."""
    return {name: sum(t.numel() for t in weights.state(name).values()) for name in weights.configs}


def size_on_disk(folder: str | Path) -> int:
    return sum(p.stat().st_size for p in Path(folder).iterdir() if p.is_file())


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), "utf-8")
