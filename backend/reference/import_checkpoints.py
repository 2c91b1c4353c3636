"""`import-reference`: the authors' checkpoints into a weights folder.

Sizes are read from the tensors; what the files' own configuration says is not believed (it is wrong in places).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from backend.models.config import AUDIO_FEATURES, FineConfig, Level0Config, PartConfig, TokenizerConfig
from backend.models.layers import sinusoids
from backend.models.layout import WIDTH
from backend.models.scaler import Scaler
from backend.models.weights import AnyConfig, Weights, WeightsInfo, build, fill
from backend.reference import bank as banks
from backend.reference.unpickle import broken, read_checkpoint, read_scaler
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.progress import Progress

CHECKPOINTS = {"rqvae": "tokenizer", "gpt0": "level0", "gpt1": "fine1", "gpt2": "fine2", "gpt3": "fine3"}
SCALERS = {"body_scaler": WIDTH, "audio_scaler": AUDIO_FEATURES}
FILES = (*CHECKPOINTS, *SCALERS)  # all needed; "bank" may be given too
START_TOKENS = (128, 258)
# how many attention heads there are cannot be seen in a tensor
TOKENIZER_HEADS, GENERATOR_HEADS = 4, 12

State = dict[str, Tensor]


def import_reference(paths: Mapping[str, str | Path], out: str | Path, progress: Progress | None = None) -> WeightsInfo:
    """Write a weights folder from the reference's files.

    paths: `FILES` and perhaps "bank". Nothing in the files is executed. Raises UserError, one sentence, for anything
    missing, damaged, malicious or of the wrong shape, and then leaves `out` as it was.
    """
    progress = progress or Progress()
    missing = [name for name in FILES if not paths.get(name)]
    if missing:
        options = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise UserError(f"These files are needed too: {options}.", "Give all seven files.", "file_not_found")
    given = {name: Path(path) for name, path in paths.items() if path}
    # the small ones first: a mistake shows before a gigabyte has been read
    scalers = {name: read_scaler(given[name], width) for name, width in SCALERS.items()}
    configs: dict[str, AnyConfig] = {}
    models: dict[str, nn.Module] = {}
    for i, (option, name) in enumerate(CHECKPOINTS.items()):
        progress.stage("import", i / (len(CHECKPOINTS) + 1))
        configs[name], models[name] = _model(given[option], name)
    info = WeightsInfo(
        "Semantic Gesticulator, imported",
        START_TOKENS,
        "as its authors gave it to you; not part of this project",
        "Imported from " + ", ".join(given[name].name for name in FILES) + ".",
    )
    _check_together(given, configs)
    weights = Weights(
        configs, Scaler.body(*scalers["body_scaler"]), Scaler.audio(*scalers["audio_scaler"]), info, models=models
    )
    bank = None
    if "bank" in given:
        part = _tokenizer(configs).body
        bank = banks.to_bytes(banks.read_reference_bank(given["bank"], part.levels, part.codes))
    progress.stage("import", len(CHECKPOINTS) / (len(CHECKPOINTS) + 1))
    info = weights.save(out)
    if bank is not None:
        with replacing(Path(out) / banks.FILE) as temporary:
            temporary.write_bytes(bank)
    progress.stage("import", 1.0)
    return info


def _tokenizer(configs: Mapping[str, AnyConfig]) -> TokenizerConfig:
    config = configs["tokenizer"]
    assert isinstance(config, TokenizerConfig)
    return config


def _check_together(given: Mapping[str, Path], configs: Mapping[str, AnyConfig]) -> None:
    tokenizer = _tokenizer(configs)
    for option, name in CHECKPOINTS.items():
        config = configs[name]
        if isinstance(config, FineConfig) and name != f"fine{config.level}":
            hint = "Each level has its own file: gpt_1, gpt_2, gpt_3."
            raise broken(given[option], f"it predicts level {config.level}; --{option} wants level {name[-1]}", hint)
        if not isinstance(config, TokenizerConfig) and config.codes != tokenizer.body.codes:
            raise broken(given[option], f"it knows {config.codes} codes, the tokenizer {tokenizer.body.codes}")
        if not isinstance(config, TokenizerConfig) and config.audio != AUDIO_FEATURES:
            raise broken(given[option], f"it listens to {config.audio} audio features; there are {AUDIO_FEATURES}")
    if max(START_TOKENS) >= tokenizer.body.codes:
        raise broken(given["rqvae"], f"its codebooks have {tokenizer.body.codes} entries, too few for the start tokens")


def _model(path: Path, name: str) -> tuple[AnyConfig, nn.Module]:
    state = read_checkpoint(path)
    try:
        config = _sizes(state, name)
    except (KeyError, IndexError, ValueError) as error:
        what = f"it lacks the tensor {error}" if isinstance(error, KeyError) else "its tensors have the wrong form"
        raise broken(path, what) from error
    except UserError as error:
        raise broken(path, error.message.rstrip(".")) from error
    _check(path, state, config)
    values = {key: tensor.float() for key, tensor in state.items() if not key.endswith((".pe", ".mask"))}
    return config, fill(build(config), values)


def _check(path: Path, state: State, config: AnyConfig) -> None:
    """Exactly the tensors that a model of these sizes has, of the right shapes, finite, with the known tables."""
    expected = {key: tuple(tensor.shape) for key, tensor in build(config).state_dict().items()}
    missing, extra = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing:
        raise broken(path, f"it lacks the tensor {missing[0]!r}" + _more(missing))
    if extra:
        raise broken(path, f"it has a tensor {extra[0]!r} that does not belong there" + _more(extra))
    for key, shape in expected.items():
        tensor = state[key]
        if tuple(tensor.shape) != shape:
            raise broken(path, f"the tensor {key!r} has shape {tuple(tensor.shape)} instead of {shape}")
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise broken(path, f"the tensor {key!r} holds something else than finite numbers")
        if key.endswith(".pe") and not torch.allclose(tensor.float(), sinusoids(*shape[1:]), atol=1e-4):
            raise broken(path, f"the position table {key!r} is not the reference's")
        if key.endswith(".mask") and not torch.equal(tensor.float(), torch.tril(torch.ones(shape))):
            raise broken(path, f"the attention mask {key!r} is not the reference's")


def _more(names: list[str]) -> str:
    return "" if len(names) == 1 else f" and {len(names) - 1} more"


def _count(state: State, pattern: str) -> int:
    """How many numbered modules there are: names matching `pattern` with one number in them, counted from 0."""
    numbers = {int(m[1]) for m in (re.match(pattern, key) for key in state) if m}
    if numbers != set(range(len(numbers))):
        raise ValueError("layers are not numbered without a gap")
    return len(numbers)


def _sizes(state: State, name: str) -> AnyConfig:
    if name == "tokenizer":
        return TokenizerConfig(_part(state, "vqvae_body"), _part(state, "vqvae_hands"))
    if name == "level0":
        codes, width = state["gpt_base.tok_emb_body.weight"].shape
        return Level0Config(
            width, GENERATOR_HEADS, _count(state, r"gpt_base\.blocks\.(\d+)\."),
            _count(state, r"gpt_head\.blocks\.(\d+)\."), state["gpt_base.blocks.0.mlp.0.weight"].shape[0],
            state["gpt_base.pos_emb"].shape[1] // 3, state["gpt_base.cond_emb.weight"].shape[1], codes,
        )  # fmt: skip
    codes, width = state["tok_emb_body.weight"].shape
    level = sum(1 for key in state if re.fullmatch(r"tok_emb_body(_\d+)?\.weight", key))
    return FineConfig(
        level, width, GENERATOR_HEADS, _count(state, r"blocks\.layers\.(\d+)\."),
        state["blocks.layers.0.linear1.weight"].shape[0], state["pos_emb"].shape[1] // 3,
        state["cond_emb.weight"].shape[1], codes,
    )  # fmt: skip


def _part(state: State, part: str) -> PartConfig:
    width, channels = state[f"{part}.encoders.0.level_blocks.0.model.0.0.weight"].shape[:2]
    transformer = f"{part}.encoder_transformer"
    return PartConfig(
        channels, _count(state, re.escape(transformer) + r"\.encoder\.layers\.(\d+)\."), width,
        state[f"{transformer}.encoder.layers.0.linear1.weight"].shape[0], TOKENIZER_HEADS,
        state[f"{part}.bottleneck.layers.0.k"].shape[0],
        _count(state, re.escape(part) + r"\.bottleneck\.layers\.(\d+)\."),
        positions=state[f"{transformer}.pos_embed.pe"].shape[1],
    )  # fmt: skip
