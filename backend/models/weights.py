"""The weights folder: safetensors files and one JSON that says what they are.

    weights.json             sizes of the models, scalers, start tokens, licence, notes, sha256 of each file
    tokenizer.safetensors    level0.safetensors    fine1.safetensors    fine2.safetensors    fine3.safetensors
    bank.npz                 optional: a gesture bank in codes (see `bank.py`)

Nothing in it can carry code. Models are built when first asked for; their files are mapped, so that a part nobody uses
(the tokenizer's encoder while generating) takes no memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from backend.models.audio_input import AudioInput
from backend.models.config import FPS, FRAMES_PER_TOKEN, FineConfig, Level0Config, TokenizerConfig
from backend.models.description import DESCRIPTION, FORMAT, audio_input_of, bad_weights, folder_of, read_description
from backend.models.generator import CausalAttention, Fine, Level0
from backend.models.layers import SinusoidalPositions, sinusoids
from backend.models.layout import WIDTH
from backend.models.quantizer import Codebook
from backend.models.rest_place import RestPlace
from backend.models.scaler import Scaler
from backend.models.tokenizer import Tokenizer
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.skeleton import canonical

# Checking a checksum costs as much as reading the file; the big ones are checked by `doctor` and the importer.
VERIFY_BELOW = 64 * 2**20
# name -> largest sensible value; what is not in the file keeps the default of `WeightsInfo`
RECOMMENDED = {
    "temperature": 10.0, "top_k": 4096, "top_p": 1.0, "frame_sigma": 30.0, "lookahead": 32,
    "guidance_body": 20.0, "guidance_hands": 20.0,
}  # fmt: skip
ROOTS = ("displacement", "legs")
MOST_GAIN = 4.0
_DERIVED = (".pe", ".mask")  # tensors that follow from the sizes

AnyConfig = TokenizerConfig | Level0Config | FineConfig


@dataclass(frozen=True)
class WeightsInfo:
    """What a person should know about weights. start_tokens: the code each stream (body, hands) starts from.

    temperature, top_k, top_p: how whoever trained them recommends to draw codes. frame_sigma: deviation, in frames, of
    a Gaussian over the decoded motion that takes the shiver off a small decoder (0: none). lookahead: how many tokens
    ahead these generators hear, so that a hand can be on its way before its word (the reference: 0). audio_input: what
    they hear. guidance_body, guidance_hands: how many times the difference that the voice makes to a code's logits is
    to count (classifier-free guidance, Ho and Salimans 2022; 1: as it is); more than 1 needs generators that were
    trained with the voice hidden now and then. rests: where hands rest in what they were trained on. root: where the
    hips' path comes from, "displacement" as decoded (the reference's) or from the "legs" over standing feet. gains: by
    joint, how many times less it moves in decoded motion than in what was encoded, which decoding is to make up for.
    """

    name: str
    start_tokens: tuple[int, int]
    licence: str
    notes: str = ""
    sha256: str = ""
    temperature: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    frame_sigma: float = 0.0
    lookahead: int = 0
    guidance_body: float = 1.0
    guidance_hands: float = 1.0
    audio_input: AudioInput = field(default_factory=AudioInput)
    rests: tuple[RestPlace, ...] = ()
    root: str = "displacement"
    gains: Mapping[str, float] = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """Of the description, which holds the checksums of all files: two folders with the same hash are the same."""
        return self.sha256


class _NoInitialisation(TorchFunctionMode):
    """Skips `torch.nn.init` and `tril`: on the meta device they would load torch's compiler (1.6 s, 145 MB) for
    nothing, since `fill` gives all values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init" or func is torch.tril:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def build(config: AnyConfig) -> nn.Module:
    """A model without values (on the meta device)."""
    with torch.device("meta"), _NoInitialisation():
        if isinstance(config, TokenizerConfig):
            return Tokenizer(config)
        return Level0(config) if isinstance(config, Level0Config) else Fine(config)


def fill(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """Give a model from `build` its values (not copied) and compute what follows from the sizes."""
    derived = {k: v for k, v in model.state_dict().items() if k.endswith(_DERIVED)}
    model.load_state_dict({**{k: torch.zeros(v.shape) for k, v in derived.items()}, **state}, strict=True, assign=True)
    for module in model.modules():
        if isinstance(module, SinusoidalPositions):
            module.pe = sinusoids(*module.pe.shape[1:])
        elif isinstance(module, CausalAttention):
            module.mask = torch.tril(torch.ones_like(module.mask))
        elif isinstance(module, Codebook):
            module.sums, module.counts = torch.zeros(module.k.shape), torch.zeros(len(module.k))
        elif isinstance(module, Tokenizer):
            module.reset_columns()
    return model.eval().requires_grad_(False)


def expected_shapes(config: AnyConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors on disk."""
    return {k: tuple(v.shape) for k, v in build(config).state_dict().items() if not k.endswith(_DERIVED)}


class Weights:
    """A tokenizer, generators, scalers and what is known about them."""

    def __init__(
        self,
        configs: dict[str, AnyConfig],
        body_scaler: Scaler,
        audio_scaler: Scaler,
        info: WeightsInfo,
        *,
        models: dict[str, nn.Module] | None = None,
        folder: Path | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.configs = configs
        self.body_scaler, self.audio_scaler, self.info = body_scaler, audio_scaler, info
        self.folder, self.device = folder, torch.device(device)
        self._models = {name: model.to(self.device) for name, model in (models or {}).items()}
        self.engines: dict[bool, Any] = {}  # built by schedule.py: exact -> engine

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        level0: Level0,
        fine: list[Fine],
        body_scaler: Scaler,
        audio_scaler: Scaler,
        info: WeightsInfo,
    ) -> Weights:
        """From trained modules, ready to `save`."""
        models: dict[str, nn.Module] = {"tokenizer": tokenizer, "level0": level0}
        models |= {f"fine{i + 1}": model for i, model in enumerate(fine)}
        configs: dict[str, AnyConfig] = {"tokenizer": tokenizer.config, "level0": level0.config}
        configs |= {f"fine{i + 1}": model.config for i, model in enumerate(fine)}
        _check_agreement(configs, info)
        return cls(configs, body_scaler, audio_scaler, info, models=models)

    @property
    def tokenizer(self) -> Tokenizer:
        return cast(Tokenizer, self.model("tokenizer"))

    @property
    def level0(self) -> Level0:
        return cast(Level0, self.model("level0"))

    @property
    def fine(self) -> list[Fine]:
        return [cast(Fine, self.model(f"fine{level}")) for level in range(1, self.levels)]

    @property
    def levels(self) -> int:
        return cast(TokenizerConfig, self.configs["tokenizer"]).body.levels

    def model(self, name: str) -> nn.Module:
        """The model in float32 for inference, built when first asked for."""
        if name not in self._models:
            state = {key: tensor.to(self.device, torch.float32) for key, tensor in self.state(name).items()}
            self._models[name] = fill(build(self.configs[name]), state).to(self.device)
        return self._models[name]

    def state(self, name: str) -> dict[str, Tensor]:
        """A model's tensors as they are on disk (mapped, not read), or in the module it was made of."""
        if name in self._models:
            return {k: v for k, v in self._models[name].state_dict().items() if not k.endswith(_DERIVED)}
        assert self.folder is not None
        return _read(self.folder / f"{name}.safetensors")

    def prepare_audio(self, features: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Raw audio features (T, width) as the generators want them: `prepared` once standardised."""
        return prepared(self.audio_scaler.standardise(features), self.info.audio_input, self.info.lookahead)

    def release(self, name: str) -> None:
        """Forget a model that can be loaded again."""
        if self.folder is not None:
            self._models.pop(name, None)

    @classmethod
    def load(
        cls, folder: str | Path = "starter", device: str | torch.device = "cpu", verify: bool | None = None
    ) -> Weights:
        """Open a weights folder; "starter" is the one that comes with the project.

        verify: compare checksums (None: of files that are quick to read). Raises UserError for anything missing, broken
        or not fitting together.
        """
        where = folder_of(folder)
        description, digest = read_description(where)
        configs = _configs(description)
        info = _info(description, digest)
        _check_agreement(configs, info)
        for name, config in configs.items():
            _check_file(where / f"{name}.safetensors", config, description["models"][name].get("sha256"), verify)
        body = Scaler.from_json(description.get("body_scaler"), WIDTH, "body")
        audio = Scaler.from_json(description.get("audio_scaler"), _audio_width(configs), "audio")
        return cls(configs, body, audio, info, folder=where, device=device)

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> WeightsInfo:
        """Write a weights folder; dtype float16 halves it (codebooks stay float32, so that codes do not change).

        Each file is written beside its place and moved there, the description last. Returns the info with its hash.
        """
        where = Path(folder)
        entries = {}
        for name, config in self.configs.items():
            state = {k: _to_disk(k, v, dtype) for k, v in self.state(name).items()}
            digest = _write_tensors(where / f"{name}.safetensors", state)
            entries[name] = {"sha256": digest, "config": config.to_json()}
        data = self._describe(entries)
        with replacing(where / DESCRIPTION) as temporary:
            temporary.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return replace(self.info, sha256=digest)

    def _describe(self, entries: dict[str, Any]) -> bytes:
        body, hands = self.info.start_tokens
        description = {
            "format": FORMAT,
            "name": self.info.name,
            "licence": self.info.licence,
            "notes": self.info.notes,
            "fps": FPS,
            "frames_per_token": FRAMES_PER_TOKEN,
            "start_tokens": {"body": int(body), "hands": int(hands)},
            "recommended": {name: getattr(self.info, name) for name in RECOMMENDED},
            "audio_input": self.info.audio_input.to_json(),
            "models": entries,
            "body_scaler": self.body_scaler.to_json(),
            "audio_scaler": self.audio_scaler.to_json(),
        }
        # what the reference's weights do not have is not said of them: their description stays as it was
        if self.info.rests:
            description["rests"] = [rest.to_json() for rest in self.info.rests]
        if self.info.gains:
            description["gains"] = {name: round(gain, 3) for name, gain in self.info.gains.items()}
        if self.info.root != ROOTS[0]:
            description["root"] = self.info.root
        return json.dumps(description, indent=1).encode()


def prepared(rows: npt.NDArray[np.float32], audio_input: AudioInput, lookahead: int) -> npt.NDArray[np.float32]:
    """Standardised rows (T, width) of one recording as generators want them, in training and at inference alike:
    `audio_input` applied (in place), `lookahead` tokens early, the last row held past the end."""
    rows = audio_input.apply(rows)
    return rows[np.minimum(np.arange(len(rows)) + lookahead, len(rows) - 1)] if lookahead else rows


def _to_disk(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if name.endswith(".k"):
        dtype = torch.float32
    return tensor.detach().to("cpu", dtype).contiguous()


def _write_tensors(path: Path, state: dict[str, Tensor]) -> str:
    with replacing(path) as temporary:
        save_file(state, temporary)
        return _sha256(temporary)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _configs(description: dict[str, Any]) -> dict[str, AnyConfig]:
    models = description["models"]

    def config(name: str) -> Any:
        entry = models.get(name)
        if not isinstance(entry, dict) or "config" not in entry:
            raise bad_weights(f"The weights' description does not say anything about the model {name!r}.")
        return entry["config"]

    tokenizer = TokenizerConfig.from_json(config("tokenizer"))
    configs: dict[str, AnyConfig] = {"tokenizer": tokenizer, "level0": Level0Config.from_json(config("level0"))}
    for level in range(1, tokenizer.body.levels):
        configs[f"fine{level}"] = FineConfig.from_json(config(f"fine{level}"))
    unknown = set(models) - set(configs)
    if unknown:
        raise bad_weights(f"The weights' description has an unknown model {sorted(unknown)[0]!r}.")
    return configs


def _info(description: dict[str, Any], digest: str) -> WeightsInfo:
    start = description.get("start_tokens")
    if not isinstance(start, dict) or not all(isinstance(start.get(p), int) for p in ("body", "hands")):
        raise bad_weights("The weights' description has no start tokens.")
    texts = [str(description.get(name, "")) for name in ("name", "licence", "notes")]
    return WeightsInfo(
        texts[0], (start["body"], start["hands"]), texts[1], texts[2], digest,
        **_recommended(description), audio_input=audio_input_of(description),
        rests=_rests(description), root=_root(description), gains=_gains(description),
    )  # fmt: skip


def _rests(description: dict[str, Any]) -> tuple[RestPlace, ...]:
    try:
        return tuple(RestPlace.from_json(row) for row in description.get("rests", []))
    except (TypeError, ValueError) as error:
        raise bad_weights(f"The weights' description has rests that cannot be read ({error}).") from error


def _gains(description: dict[str, Any]) -> dict[str, float]:
    gains = description.get("gains", {})
    for name, gain in gains.items() if isinstance(gains, dict) else [("list", gains)]:
        number = isinstance(gain, int | float) and not isinstance(gain, bool)
        if name not in canonical() or not number or not 0 < gain <= MOST_GAIN:
            raise bad_weights(f"The weights' description has a gain that cannot be: {name} {gain!r}.")
    return {name: float(gain) for name, gain in gains.items()}


def _root(description: dict[str, Any]) -> str:
    root = description.get("root", "displacement")
    if root not in ROOTS:
        raise bad_weights(f"The weights' description has an unknown root {root!r}.")
    return str(root)


def _recommended(description: dict[str, Any]) -> dict[str, Any]:
    found = description.get("recommended", {})
    for name, value in found.items() if isinstance(found, dict) else [("list", found)]:
        kinds = (int,) if name in ("top_k", "lookahead") else (int, float)
        fits = name in RECOMMENDED and isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or not 0 <= value <= RECOMMENDED[name] or (name == "top_p" and value == 0):
            raise bad_weights(f"The weights' description recommends a wrong {name}: {value!r}.")
    return dict(found)


def _audio_width(configs: dict[str, AnyConfig]) -> int:
    return cast(Level0Config, configs["level0"]).audio


def _check_agreement(configs: dict[str, AnyConfig], info: WeightsInfo) -> None:
    """All models speak of the same codes and the same audio."""
    tokenizer = cast(TokenizerConfig, configs["tokenizer"])
    if (tokenizer.body.channels, tokenizer.hands.channels) != (66, 114):
        raise bad_weights("The tokenizer's body and hands must have 66 and 114 channels.")
    for name, config in configs.items():
        if isinstance(config, TokenizerConfig):
            continue
        if config.codes != tokenizer.body.codes:
            raise bad_weights(f"{name} speaks of {config.codes} codes, the tokenizer of {tokenizer.body.codes}.")
        if config.audio != info.audio_input.width:
            raise bad_weights(f"{name} expects {config.audio} audio features; there are {info.audio_input.width}.")
        if isinstance(config, FineConfig) and name != f"fine{config.level}":
            raise bad_weights(f"{name} holds the model for level {config.level}.")
    if not all(0 <= token < tokenizer.body.codes for token in info.start_tokens):
        raise bad_weights(f"The start tokens {info.start_tokens} are not codes.")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise bad_weights(f"The weights' file {path} is missing.") from error
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise bad_weights(f"The weights' file {path} is damaged ({error}).") from error


def _check_file(path: Path, config: AnyConfig, digest: Any, verify: bool | None) -> None:
    """Names, shapes and types of all tensors, without reading them; the checksum where wanted."""
    tensors = _read(path)
    expected = expected_shapes(config)
    missing, extra = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or extra:
        problem = f"lacks {missing[0]!r}" if missing else f"has an unknown tensor {extra[0]!r}"
        raise bad_weights(f"The weights' file {path} {problem}.")
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise bad_weights(f"In {path} the tensor {name!r} has shape {tuple(tensor.shape)} instead of {shape}.")
        if not tensor.is_floating_point():
            raise bad_weights(f"In {path} the tensor {name!r} holds {tensor.dtype}, not numbers with a fraction.")
    small = path.stat().st_size < VERIFY_BELOW
    if (verify or (verify is None and small)) and _sha256(path) != digest:
        raise bad_weights(f"The weights' file {path} is not the one that was saved (its checksum differs).")
