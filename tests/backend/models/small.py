"""Small models with the reference's structure."""

from backend.models.config import FineConfig, Level0Config, PartConfig, TokenizerConfig

CODES = 272

SMALL = {
    "tokenizer": TokenizerConfig(
        PartConfig(66, 2, 16, 32, 4, CODES),
        PartConfig(114, 1, 16, 32, 4, CODES),
    ),
    "level0": Level0Config(48, 12, 2, 1, 96, codes=CODES),
    **{f"fine{i}": FineConfig(i, 48, 12, 2, 96, codes=CODES) for i in (1, 2, 3)},
}
