"""How well each gesture of a library suits each word of a sentence, learned from the library's own example sentences.

Each example marks the word that is gestured on. Two small models stand on the vectors of `embed.py`:

- *which gesture*: a multinomial logistic regression from (the word in its context, the words around it, the whole
  sentence) to the gestures. Labels, descriptions and meanings join in as further examples, with less weight.
- *which word*: a logistic regression that tells marked words from the other words of the same sentences.

Both are fitted when a library is first seen (seconds) and kept in the user's cache folder under a hash of its texts.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from backend.stages.embed import Embedder, Encoded, cache_folder, content_hash, embedder, unit

VERSION = "1"
WINDOW = (0.25, 0.6, 1.0, 0.6, 0.25)
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "nor",
        "so",
        "yet",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "as",
        "than",
        "then",
        "that",
        "this",
        "these",
        "those",
        "there",
        "here",
        "it",
        "its",
        "he",
        "she",
        "they",
        "him",
        "them",
        "his",
        "her",
        "their",
        "hers",
        "theirs",
        "we",
        "us",
        "our",
        "ours",
        "you",
        "your",
        "yours",
        "me",
        "my",
        "mine",
        "is",
        "am",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "do",
        "does",
        "did",
        "done",
        "have",
        "has",
        "had",
        "having",
        "will",
        "would",
        "shall",
        "should",
        "can",
        "could",
        "may",
        "might",
        "must",
        "if",
        "when",
        "while",
        "because",
        "who",
        "whom",
        "whose",
        "which",
        "what",
        "where",
        "how",
        "why",
        "not",
        "no",
        "oh",
        "um",
        "uh",
        "er",
        "ah",
        "well",
        "just",
        "very",
        "too",
        "also",
        "into",
        "onto",
        "over",
        "under",
        "up",
        "down",
        "out",
        "off",
        "about",
        "after",
        "before",
        "again",
        "i'm",
        "i've",
        "i'd",
        "i'll",
        "you're",
        "it's",
        "that's",
        "don't",
    ]
)

Floats = NDArray[np.float32]


class ExampleLike(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def word(self) -> str: ...


class GestureLike(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def meanings(self) -> Sequence[str]: ...
    @property
    def examples(self) -> Sequence[ExampleLike]: ...


class Inventory(Protocol):
    """What retrieval needs of a gesture library (`SG_dataset.library.Library` is one)."""

    @property
    def gestures(self) -> Mapping[str, GestureLike]: ...


@dataclass(frozen=True)
class Sample:
    """A text with the word that is gestured on; index -1: the text as a whole (a meaning, a description, a label)."""

    words: tuple[str, ...]
    index: int
    gesture: int
    weight: float


def plain(word: str) -> str:
    """A word as it is compared: lower case, straight apostrophes, no marks at its ends."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", word.lower().replace("’", "'"))


def marked_index(words: Sequence[str], mark: str) -> int:
    """Index of the marked word (or the last content word of a marked phrase) in a text; -1 if it is not there."""
    parts = [p for p in map(plain, mark.split()) if p]
    if not parts:
        return -1
    have = [plain(w) for w in words]
    for start in range(len(have) - len(parts) + 1):
        if have[start : start + len(parts)] == parts:
            content = [k for k, p in enumerate(parts) if p not in STOP_WORDS]
            return start + (content[-1] if content else 0)
    return next(
        (i for i, w in enumerate(have) if w.startswith(parts[0]) or (parts[0].startswith(w) and len(w) > 2)), -1
    )


def samples_of(gestures: Sequence[GestureLike]) -> list[Sample]:
    """Everything the library says about its gestures, as samples; `gesture` counts the given sequence."""
    out: list[Sample] = []
    for number, gesture in enumerate(gestures):
        texts = [(gesture.label.lower().replace("-", " "), 0.5), (gesture.description, 0.3)]
        texts += [(meaning, 0.7) for meaning in gesture.meanings]
        out += [Sample(tuple(text.split()), -1, number, weight) for text, weight in texts if text.strip()]
        for example in gesture.examples:
            words = tuple(example.text.split())
            if words:
                out.append(Sample(words, marked_index(words, example.word), number, 1.0))
    return out


# ---------------------------------------------------------------------------------------------------------- features


def features(encoded: Encoded) -> Floats:
    """(n, 1152) per word: the word in context, a window around it, the sentence; each of length 1, then weighted."""
    words = encoded.words
    reach = len(WINDOW) // 2
    padded = np.pad(words, ((reach, reach), (0, 0)))
    window = sum(weight * padded[k : k + len(words)] for k, weight in zip(count(), WINDOW, strict=False))
    sentence = np.repeat(encoded.sentence[None], len(words), axis=0)
    return np.concatenate([unit(words), unit(np.asarray(window)), unit(sentence)], axis=1).astype(np.float32)


def _sample_features(sample: Sample, encoded: Encoded) -> Floats:
    if sample.index >= 0:
        return features(encoded)[sample.index]
    return np.tile(unit(encoded.sentence), 3)


# ------------------------------------------------------------------------------------------------------------ fitting


@dataclass(frozen=True, eq=False)
class Head:
    """Fitted weights: `which` (1152, G) and `which_bias` (G,), `worth` (1152,) and `worth_bias`."""

    which: Floats
    which_bias: Floats
    worth: Floats
    worth_bias: float

    def gestures(self, x: Floats) -> Floats:
        """(n, G) probabilities of the gestures for features (n, 1152)."""
        logits = x @ self.which + self.which_bias
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float32)

    def word(self, x: Floats) -> Floats:
        """(n,) probability that the word is one to gesture on."""
        return np.asarray(1.0 / (1.0 + np.exp(-(x @ self.worth + self.worth_bias))), np.float32)


def fit(samples: Sequence[Sample], encoded: Sequence[Encoded], classes: int, decay: float = 2e-5) -> Head:
    """Fit both models; deterministic."""
    x = np.stack([_sample_features(s, e) for s, e in zip(samples, encoded, strict=True)])
    y = np.array([s.gesture for s in samples])
    weight = np.array([s.weight for s in samples], np.float32)
    which, which_bias = _softmax_regression(x, y, weight, classes, decay)
    marked, labels = _word_samples(samples, encoded)
    worth, worth_bias = _softmax_regression(marked, labels, np.ones(len(labels), np.float32), 2, decay)
    return Head(which, which_bias, worth[:, 1] - worth[:, 0], float(worth_bias[1] - worth_bias[0]))


def _word_samples(samples: Sequence[Sample], encoded: Sequence[Encoded]) -> tuple[Floats, NDArray[np.int64]]:
    xs, ys = [np.zeros((1, 3 * encoded[0].sentence.shape[0]), np.float32)], [np.zeros(1, np.int64)]
    for sample, code in zip(samples, encoded, strict=True):
        if sample.index >= 0:
            xs.append(features(code))
            ys.append(np.eye(1, len(sample.words), sample.index, dtype=np.int64)[0])
    return np.concatenate(xs), np.concatenate(ys)


def _softmax_regression(
    x: Floats, y: NDArray[np.int64], weight: Floats, classes: int, decay: float
) -> tuple[Floats, Floats]:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS from zero."""
    data, target, importance = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(weight)
    w = torch.zeros(x.shape[1], classes, requires_grad=True)
    b = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(data @ w + b, target, reduction="none") @ importance
        total = loss / importance.sum() + decay * w.square().sum()
        total.backward()
        return float(total.detach())

    optimizer.step(closure)
    return w.detach().numpy(), b.detach().numpy()


# ------------------------------------------------------------------------------------------------------------- scorer


class Scorer:
    """Scores the words of sentences against a library's gestures, in the order of `ids`."""

    def __init__(self, library: Inventory) -> None:
        self.ids = tuple(sorted(library.gestures))
        gestures = [library.gestures[i] for i in self.ids]
        self.labels = tuple(g.label for g in gestures)
        self._embedder: Embedder = embedder()
        samples = samples_of(gestures)
        self._head = _load_or_fit(samples, self.ids, self._embedder)

    def score(self, sentences: Sequence[Sequence[str]]) -> list[tuple[Floats, Floats]]:
        """Per sentence: (n,) how much each word asks for a gesture and (n, G) which one, both 0..1."""
        out = []
        for words, encoded in zip(sentences, self._embedder.encode(sentences), strict=True):
            x = features(encoded)
            worth = self._head.word(x)
            worth = np.where([plain(w) in STOP_WORDS for w in words], 0.3 * worth, worth)
            out.append((worth.astype(np.float32), self._head.gestures(x)))
        return out


_latest: list[tuple[Inventory, Scorer]] = []


def scorer_for(library: Inventory) -> Scorer:
    """The scorer of a library; the last one is kept in memory, since a server asks for the same again and again."""
    if _latest and _latest[0][0] is library:
        return _latest[0][1]
    scorer = Scorer(library)
    _latest[:] = [(library, scorer)]
    return scorer


def _load_or_fit(samples: Sequence[Sample], ids: Sequence[str], model: Embedder) -> Head:
    described = [json.dumps([s.words, s.index, s.gesture, s.weight]) for s in samples]
    path = cache_folder() / f"retriever-{content_hash([VERSION, model.identity, *ids, *described])}.npz"
    head = _read(path, len(ids))
    if head is None:
        head = fit(samples, model.encode([s.words for s in samples]), len(ids))
        _write(path, head)
    return head


def _read(path: Path, classes: int) -> Head | None:
    """A cached head; None if there is none or it is damaged (then it is made again)."""
    try:
        with np.load(path, allow_pickle=False) as data:
            which = data["which"].astype(np.float32)
            head = Head(which, data["which_bias"], data["worth"], float(data["worth_bias"]))
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return head if head.which.shape == (3 * 384, classes) and np.isfinite(which).all() else None


def _write(path: Path, head: Head) -> None:
    """Keep a head for the next run. A cache that cannot be written costs seconds, nothing more."""
    arrays: dict[str, Any] = {"which": head.which.astype(np.float16), "which_bias": head.which_bias}
    arrays |= {"worth": head.worth, "worth_bias": np.float32(head.worth_bias)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, path)
    except OSError:
        return
