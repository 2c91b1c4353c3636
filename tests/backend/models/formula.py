"""Models with weights from a formula, and the inputs and outputs that were recorded with them.

Every tensor is filled from a random generator seeded with its own name, so that another implementation of the same
structure can be filled alike and compared number by number. `data/golden_models.npz` holds what the reference
implementation answered: codes whole, continuous outputs thinned out (`THINNED`).
"""

import zlib
from pathlib import Path

import numpy as np
import torch

from backend.models.config import FineConfig, Level0Config, reference_tokenizer
from backend.models.scaler import Scaler
from backend.models.weights import Weights, WeightsInfo, build, expected_shapes, fill

GOLDEN = Path(__file__).parent / "data" / "golden_models.npz"
TOLERANCE = 1e-4
CONFIGS = {
    "tokenizer": reference_tokenizer(),
    "level0": Level0Config(),
    "fine1": FineConfig(1),
    "fine2": FineConfig(2),
    "fine3": FineConfig(3),
}
NORMS = ("norm.weight", "norm1.weight", "norm2.weight", "ln1.weight", "ln2.weight", "ln_f.weight")


def generator(tag):
    return np.random.default_rng(zlib.crc32(tag.encode()))


def values(tag, shape):
    return generator(tag).standard_normal(shape).astype(np.float32)


def codes(tag, shape):
    return generator(tag).integers(0, 512, shape)


def tensor(name, shape):
    numbers = generator(name).standard_normal(shape)
    if name.endswith(NORMS):
        numbers = 1 + 0.02 * numbers
    elif not name.endswith(".k"):
        numbers = 0.02 * numbers
    return torch.from_numpy(numbers.astype(np.float32))


def state(config):
    return {name: tensor(name, shape) for name, shape in expected_shapes(config).items()}


def model(config):
    return fill(build(config), state(config))


def weights(configs, start=(128, 258)):
    """Weights of these sizes, all from the formula. Scalers leave everything as it is."""
    audio = Scaler(np.zeros(437), np.ones(437), np.zeros(437, dtype=bool))
    body = Scaler.body(np.zeros(219), np.ones(219))
    info = WeightsInfo("filled by a formula", start, "none")
    return Weights(configs, body, audio, info, models={name: model(config) for name, config in configs.items()})
