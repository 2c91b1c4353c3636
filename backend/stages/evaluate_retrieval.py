"""How good is the embedded retriever on sentences it has not seen? `python -m backend.stages.evaluate_retrieval [DIR]`

The library's example sentences are dealt into folds; each fold is scored by models fitted to all other texts. Prints
the share of sentences whose gesture comes first and among the first five, whose marked word is chosen, and both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.stages.embed import embedder
from backend.stages.samples import Inventory, samples_of
from backend.stages.scorer import fit, gesture_features, word_features


@dataclass(frozen=True)
class Report:
    """Shares of held-out sentences. `first_given_word`: the gesture is first where the marked word is given."""

    gestures: int
    sentences: int
    first: float
    among_five: float
    word: float
    both: float
    first_given_word: float

    def __str__(self) -> str:
        return (
            f"{self.sentences} sentences, {self.gestures} gestures: gesture first {self.first:.1%}, "
            f"among five {self.among_five:.1%}, right word {self.word:.1%}, both {self.both:.1%}; "
            f"gesture first where the word is given {self.first_given_word:.1%}"
        )


def evaluate(library: Inventory, folds: int = 6) -> Report:
    """Cross-validate on the library's example sentences."""
    gestures = [library.gestures[i] for i in sorted(library.gestures)]
    samples = samples_of(gestures)
    encoded = embedder().encode([s.words for s in samples])
    fold = _folds([s.gesture if s.index >= 0 else -1 for s in samples], folds)
    results: list[tuple[bool, ...]] = []
    for held in range(folds):
        kept = [i for i, f in enumerate(fold) if f != held]
        head = fit([samples[i] for i in kept], [encoded[i] for i in kept], len(gestures))
        for i in (i for i, f in enumerate(fold) if f == held):
            sample, code = samples[i], encoded[i]
            which = head.gestures(gesture_features(sample.words, code))
            pair = head.word(word_features(code))[:, None] * which
            ranked = np.argsort(-pair.max(axis=0), kind="stable")
            first, word = ranked[0] == sample.gesture, int(pair.max(axis=1).argmax()) == sample.index
            given = int(which[sample.index].argmax()) == sample.gesture
            results.append((first, sample.gesture in ranked[:5], word, first and word, given))
    shares = np.mean(np.array(results, float), axis=0) if results else np.zeros(5)
    return Report(len(gestures), len(results), *map(float, shares))


def _folds(groups: Sequence[int], folds: int) -> list[int]:
    """A fold per sample, dealt round within each group; -1 (always kept) for samples without a group."""
    seen: dict[int, int] = {}
    out = []
    for group in groups:
        seen[group] = seen.get(group, -1) + 1
        out.append(seen[group] % folds if group >= 0 else -1)
    return out


def main() -> None:
    from SG_dataset.library import Library

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", default="starter", help="'starter' or a folder with a built library")
    print(evaluate(Library.load(parser.parse_args().library)))  # noqa: T201 - this is a command


if __name__ == "__main__":
    main()
