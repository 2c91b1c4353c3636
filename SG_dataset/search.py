"""Ranking gestures for a text by their labels, meanings and examples (BM25, Robertson and Zaragoza 2009)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from SG_dataset.records import Gesture
from SG_dataset.stop_words import STOP_WORDS

_WEIGHTS = (("label", 4), ("meanings", 5), ("words", 4), ("description", 1), ("examples", 1))
_K, _B = 1.4, 0.6


def stem(word: str) -> str:
    """A crude English stem: plural, -ing, -ed and -ly endings off."""
    for ending in ("ingly", "edly", "ing", "ies", "ied", "ed", "ly", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            base = word[: -len(ending)]
            if ending in {"ies", "ied"}:
                base += "y"
            elif len(base) > 3 and base[-1] == base[-2] and base[-1] not in "ls":
                base = base[:-1]
            return base.rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def words_of(text: str) -> list[str]:
    """Stems of a text's words that mean something."""
    return [stem(w) for w in re.findall(r"[a-z0-9]+", text.lower().replace("'", "")) if w not in STOP_WORDS]


class SearchIndex:
    """Word counts of all gestures, each field with its weight."""

    def __init__(self, gestures: Sequence[Gesture]) -> None:
        self.ids = [g.id for g in gestures]
        self.counts = [_counts(g) for g in gestures]
        self.lengths = [sum(c.values()) for c in self.counts]
        self.mean = sum(self.lengths) / max(len(self.lengths), 1)
        self.documents = Counter(w for c in self.counts for w in c)

    def rank(self, text: str) -> list[tuple[str, float]]:
        """Gesture ids with scores above 0, best first; ties in order of id."""
        scored = [(gid, self._score(words_of(text), i)) for i, gid in enumerate(self.ids)]
        return sorted(((g, s) for g, s in scored if s > 0), key=lambda pair: (-pair[1], pair[0]))

    def _score(self, query: list[str], i: int) -> float:
        total = 0.0
        for word in query:
            count = self.counts[i].get(word, 0)
            if count:
                rarity = math.log(1 + (len(self.ids) - self.documents[word] + 0.5) / (self.documents[word] + 0.5))
                total += rarity * count * (_K + 1) / (count + _K * (1 - _B + _B * self.lengths[i] / self.mean))
        return total


def _counts(gesture: Gesture) -> Counter[str]:
    texts = {
        "label": gesture.label,
        "meanings": " ".join(gesture.meanings),
        "description": gesture.description,
        "words": " ".join(e.word for e in gesture.examples),
        "examples": " ".join(e.text for e in gesture.examples),
    }
    counts: Counter[str] = Counter()
    for name, weight in _WEIGHTS:
        for word in words_of(texts[name]):
            counts[word] += weight
    return counts
