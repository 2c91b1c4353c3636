"""Small models shared by the tests of this folder."""

import pytest

from backend.models.config import FineConfig, Level0Config, PartConfig, TokenizerConfig

from . import formula

CODES = 272

SMALL = {
    "tokenizer": TokenizerConfig(
        PartConfig(66, 2, 16, 32, 4, CODES),
        PartConfig(114, 1, 16, 32, 4, CODES),
    ),
    "level0": Level0Config(48, 12, 2, 1, 96, codes=CODES),
    **{f"fine{i}": FineConfig(i, 48, 12, 2, 96, codes=CODES) for i in (1, 2, 3)},
}


@pytest.fixture(scope="session")
def small():
    """Weights of tiny models with the reference's structure."""
    return formula.weights(SMALL)
