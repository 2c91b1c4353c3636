"""How good is the embedded retriever on sentences it has not seen? `python -m backend.gestures.evaluate [DIR]`

The library's example sentences and those of plain speech are dealt into folds; each fold is scored by models fitted to
all other texts. Prints the share of examples whose gesture comes first and among the first five (over the whole
sentence, and where the marked word is given), whose marked word is chosen, and both; and the share of plain sentences
that are left without a gesture, as they should be.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.gestures.classifier import fit, gesture_features, word_features
from backend.gestures.embed import embedder
from backend.gestures.retrieve import least_score
from backend.gestures.texts import Sample, samples_of
from sg_blender_addon.core.arrays import Floats32
from SG_dataset.library import Library

DENSITY = 0.5


@dataclass(frozen=True)
class Report:
    """Shares of held-out sentences. `..._given_word`: where the marked word is given. `left_plain`: of plain speech."""

    gestures: int
    sentences: int
    first: float
    among_five: float
    word: float
    both: float
    first_given_word: float
    five_given_word: float
    left_plain: float

    def __str__(self) -> str:
        return (
            f"{self.sentences} sentences, {self.gestures} gestures: gesture first {self.first:.1%}, "
            f"among five {self.among_five:.1%}, right word {self.word:.1%}, both {self.both:.1%}; "
            f"where the word is given, gesture first {self.first_given_word:.1%}, "
            f"among five {self.five_given_word:.1%}; plain sentences left alone {self.left_plain:.1%}"
        )


def evaluate(library: Library, folds: int = 6) -> Report:
    """Cross-validate on the library's example sentences."""
    gestures = [library.gestures[i] for i in sorted(library.gestures)]
    samples = samples_of(gestures)
    encoded = embedder().encode([s.words for s in samples])
    # Phrases and borrowed sentences are for learning only.
    fold = _folds([s.gesture if (s.index >= 0) == (s.gesture >= 0) else None for s in samples], folds)
    found: list[tuple[bool, ...]] = []
    left: list[bool] = []
    for held in range(folds):
        kept = [i for i, f in enumerate(fold) if f != held]
        head = fit([samples[i] for i in kept], [encoded[i] for i in kept], len(gestures))
        for i in (i for i, f in enumerate(fold) if f == held):
            sample, code = samples[i], encoded[i]
            which = head.gestures(gesture_features(sample.words, code))
            pair = head.word(word_features(code))[:, None] * which
            if sample.gesture < 0:
                left.append(bool(pair.max() < least_score(DENSITY)))
            else:
                found.append(_judged(sample, which, pair))
    shares = np.mean(np.array(found, float), axis=0).tolist() if found else [0.0] * 6
    left_alone = float(np.mean(left)) if left else 0.0
    return Report(len(gestures), len(found), *map(float, [*shares, left_alone]))


def _judged(sample: Sample, which: Floats32, pair: Floats32) -> tuple[bool, ...]:
    """In the order of `Report`."""
    ranked = np.argsort(-pair.max(axis=0), kind="stable")
    given = np.argsort(-which[sample.index], kind="stable")
    first, word = bool(ranked[0] == sample.gesture), int(pair.max(axis=1).argmax()) == sample.index
    among = [sample.gesture in order[:5] for order in (ranked, given)]
    return first, among[0], word, first and word, bool(given[0] == sample.gesture), among[1]


def _folds(groups: Sequence[int | None], folds: int) -> list[int]:
    """A fold per sample, dealt round within each group; -1 (always kept) for samples without a group."""
    seen: dict[int, int] = {}
    out = []
    for group in groups:
        if group is None:
            out.append(-1)
            continue
        seen[group] = seen.get(group, -1) + 1
        out.append(seen[group] % folds)
    return out


def main() -> None:
    from SG_dataset.open import open_library

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", default="starter", help="'starter' or a folder with a built library")
    print(evaluate(open_library(parser.parse_args().library)))  # noqa: T201 - this is a command


if __name__ == "__main__":
    main()
