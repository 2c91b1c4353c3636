"""The recipes, YAML files under `runs/`, as dataclasses that are saved beside every checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from backend.models.audio_input import AudioInput
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.records import Reader
from training.prepare import PrepareConfig


@dataclass(frozen=True)
class Optimisation:
    """How one model is trained. `schedule`: "cosine" after a linear warm-up, or "steps": times 0.4 at each of
    `milestones` (shares of the run). `minutes` > 0 ends a run early and shapes the schedule to it."""

    steps: int = 3000
    minutes: float = 0.0
    batch: int = 64
    rate: float = 5e-4
    warmup: int = 100
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    weight_decay: float = 0.01
    clip: float = 1.0
    bf16: bool = False  # where the device multiplies it natively; float32 elsewhere
    checkpoint_every: int = 500
    average: float = 0.0  # decay of the running average of the parameters that is kept (0: the last ones)


@dataclass(frozen=True)
class TokenizerRecipe:
    body_width: int = 96
    hands_width: int = 96
    body_layers: int = 2
    hands_layers: int = 2
    codes: int = 512
    dropout: float = 0.0
    level_dropout: float = 0.0  # share of windows decoded from their first code levels only
    stride: int = 4  # frames between the windows that training draws from
    commitment: float = 0.02
    velocity: float = 1.0
    acceleration: float = 1.0
    body_weight: float = 3.0
    hands_weight: float = 2.0
    places: float = 0.0  # how much the places of ankles, wrists and head count, per dm (0: the reference)
    weigh_by_motion: float = 0.5  # 0: every standardised column counts the same (the reference)
    optimisation: Optimisation = field(default_factory=Optimisation)


@dataclass(frozen=True)
class GeneratorRecipe:
    """Level 0 or a fine level.

    The noise settings keep a model trained on assembled motion and few voices from leaning on any single feature:
    `audio_noise` in standard deviations, `rhythm_dropout` the chance that a window's tempogram is hidden,
    `token_dropout` the chance that a past token is replaced by a random one. Of generators that hear prosody
    `voice_dropout` is the chance that a window is without any voice (for guidance) and `words_dropout` that it is
    without words. `change_weight` is level 0's.
    """

    width: int = 192
    heads: int = 6
    layers: int = 3  # level 0: base and head each
    codes: int = 512
    dropout: float = 0.1
    audio_noise: float = 0.15
    rhythm_dropout: float = 0.3
    token_dropout: float = 0.12
    voice_dropout: float = 0.0
    words_dropout: float = 0.0
    change_weight: float = 1.0  # level 0: how much more a token counts that differs from the one before it
    smoothing: float = 0.02
    optimisation: Optimisation = field(default_factory=Optimisation)


@dataclass(frozen=True)
class SamplingRecipe:
    """How codes are to be drawn from these weights and decoded; written into them."""

    temperature: float = 0.9
    top_k: int = 40
    top_p: float = 0.95
    lookahead: int = 0  # tokens that the generators hear ahead; they are trained so
    frame_sigma: float = 0.0  # frames; of the Gaussian over decoded motion, see WeightsInfo
    guidance_body: float = 1.0  # see WeightsInfo; needs `voice_dropout`
    guidance_hands: float = 1.0
    restore_amplitude: bool = False  # give back what decoding takes from the trunk, see `export.lost_amplitude`
    root: str = "displacement"  # where the hips' path comes from, see WeightsInfo
    audio_input: AudioInput = field(default_factory=AudioInput)  # what the generators hear; they are trained so


@dataclass(frozen=True)
class Recipe:
    """A whole run. Paths are relative to where the command is started."""

    name: str = "starter"
    motion: tuple[str, ...] = ()
    speech: tuple[str, ...] = ()
    work: str = "build/training"
    out: str = "build/weights"
    licence: str = ""
    seed: int = 1
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    generator: GeneratorRecipe = field(default_factory=GeneratorRecipe)
    fine: GeneratorRecipe = field(default_factory=GeneratorRecipe)
    sampling: SamplingRecipe = field(default_factory=SamplingRecipe)
    threads: int = 0  # of PyTorch on a CPU; 0: its own choice
    half: bool = True  # write fp16

    def folder(self, stage: str) -> Path:
        return Path(self.work) / stage


def load_recipe(path: str | Path, **overrides: Any) -> Recipe:
    """Read a YAML recipe; UserError names the entry that is wrong."""
    try:
        data = yaml.safe_load(Path(path).read_text("utf-8")) or {}
    except OSError as error:
        raise UserError(
            f"The recipe {path} cannot be read.", hint="Recipes are in training/runs.", code="bad_recipe"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"The recipe {path} is not valid YAML ({error}).", code="bad_recipe") from error
    hint = "training/config.py lists what there is."
    recipe = Reader(f"The recipe {path}", f"In the recipe {path}", hint, "bad_recipe").read(Recipe, data)
    return replace(recipe, **{k: v for k, v in overrides.items() if v is not None})


def to_plain(recipe: Any) -> dict[str, Any]:
    """For JSON and YAML beside checkpoints."""
    plain: dict[str, Any] = asdict(recipe)
    return plain
