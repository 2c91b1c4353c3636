"""How well each gesture of a library suits each word of a sentence, learned from the library's own texts.

Each example sentence marks the word that is gestured on; labels, meanings, descriptions and trigger words are further,
shorter examples. Two ridge regressions (closed form, so the same library always gives the same scores) stand on the
vectors of `embed.py`:

- *which gesture*: from a word with its neighbours, its sentence and its letters to the gestures. Its scores become
  probabilities by a softmax whose sharpness fits the leave-one-out errors of the examples.
- *which word*: marked words against the other words of the same sentences.

Fitting takes seconds when a library is first seen; the result is kept in the user's cache folder under a hash of all
texts and of the model; our own library's comes fitted (`python -m backend.fit_retriever`, part of `make library`).
`python -m backend.stages.evaluate_retrieval` measures it on held-out sentences.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.stages.embed import Embedder, Encoded, cache_folder, content_hash, embedder, unit
from backend.stages.samples import Inventory, Sample, plain, samples_of

VERSION = "4"
SHIPPED = Path(__file__).resolve().parents[1] / "fitted"
WINDOW = (1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3)
LETTERS = 1024
SENTENCE_WEIGHT, LETTERS_WEIGHT = 0.7, 0.8
OTHER_WORDS = 5
RIDGE = 3.0
SHARPNESS = tuple(float(s) for s in np.geomspace(4.0, 60.0, 20))
# Words without a meaning of their own have no letters to remember.
EMPTY_WORDS = frozenset(
    "a an the and or but of to in on at by for from with as than then that this is are was be".split()  # noqa: SIM905
)

Floats = NDArray[np.float32]


# ---------------------------------------------------------------------------------------------------------- features


@lru_cache(maxsize=20_000)
def letters(word: str) -> Floats:
    """(1024,) hashed letter sequences of a word, length 1: "knocked" and "knocking" are near, "knave" is not."""
    vector = np.zeros(LETTERS, np.float32)
    text = f"<{plain(word)}>"
    if len(text) > 2 and text[1:-1] not in EMPTY_WORDS:
        for size in (3, 4, 5):
            for at in range(len(text) - size + 1):
                vector[zlib.crc32(text[at : at + size].encode()) % LETTERS] += 1.0
        for whole in (f"={text}", f"~{text[:6]}"):
            vector[zlib.crc32(whole.encode()) % LETTERS] += 2.0
    return np.asarray(unit(vector), np.float32)


def _around(words: Floats) -> Floats:
    """Each word with two neighbours to either side, length 1."""
    reach = len(WINDOW) // 2
    padded = np.pad(words, ((reach, reach), (0, 0)))
    mixed = sum(weight * padded[k : k + len(words)] for k, weight in enumerate(WINDOW))
    return unit(np.asarray(mixed, np.float32))


def gesture_features(words: Sequence[str], encoded: Encoded) -> Floats:
    """(n, 2176) per word, for *which gesture*."""
    sentence = np.repeat(unit(encoded.sentence)[None], len(words), axis=0)
    spelled = np.stack([letters(w) for w in words]) if words else np.zeros((0, LETTERS), np.float32)
    parts = [_around(encoded.words), _around(encoded.inner[-1]), SENTENCE_WEIGHT * sentence, LETTERS_WEIGHT * spelled]
    return np.concatenate(parts, axis=1).astype(np.float32)


def word_features(encoded: Encoded) -> Floats:
    """(n, 1152) per word, for *which word*."""
    return np.concatenate([unit(encoded.words), *map(unit, encoded.inner)], axis=1).astype(np.float32)


def sample_features(sample: Sample, encoded: Encoded) -> Floats:
    """(2176,) of a sample: its marked word's, or of a phrase its words' mean."""
    if sample.index >= 0:
        return np.asarray(gesture_features(sample.words, encoded)[sample.index])
    whole = [unit(encoded.words.mean(axis=0)), unit(encoded.inner[-1].mean(axis=0))]
    spelled = unit(np.sum([letters(w) for w in sample.words], axis=0, dtype=np.float32))
    return np.concatenate([*whole, SENTENCE_WEIGHT * unit(encoded.sentence), LETTERS_WEIGHT * spelled])


# ------------------------------------------------------------------------------------------------------------ fitting


@dataclass(frozen=True, eq=False)
class Head:
    """Fitted weights: `which` (2176, G), `which_bias` (G,) and the `sharpness` of their softmax; `worth` (1152,).

    `odds` (slope, offset) make a log odds of the word score; `typical` is the probability of most marked words.
    """

    which: Floats
    which_bias: Floats
    sharpness: float
    worth: Floats
    odds: tuple[float, float]
    typical: float

    def gestures(self, x: Floats) -> Floats:
        """(n, G) probabilities of the gestures for gesture features (n, 2176)."""
        return _softmax(self.sharpness * (x @ self.which + self.which_bias))

    def word(self, x: Floats) -> Floats:
        """(n,) 0..1 for word features: 1 for a word that calls for a gesture as clearly as most marked words do."""
        return np.asarray(np.minimum(_sigmoid(x @ self.worth, self.odds) / self.typical, 1.0), np.float32)


def _sigmoid(scores: NDArray[np.floating[Any]], odds: tuple[float, float]) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds[0] * scores + odds[1], -30.0, 30.0))), np.float32)


def _softmax(logits: Floats) -> Floats:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float32)


def fit(samples: Sequence[Sample], encoded: Sequence[Encoded], classes: int) -> Head:
    """Fit both models. Deterministic."""
    x = np.stack([sample_features(s, e) for s, e in zip(samples, encoded, strict=True)])
    y = np.array([s.gesture for s in samples])
    weight = np.array([s.weight for s in samples], np.float32)
    which, which_bias, fair = _ridge(x, np.eye(classes, dtype=np.float32)[y], weight)
    examples = np.array([s.index >= 0 for s in samples])
    sharpness = _sharpness(fair[examples], y[examples])
    return Head(which, which_bias, sharpness, *_fit_words(samples, encoded))


def _fit_words(samples: Sequence[Sample], encoded: Sequence[Encoded]) -> tuple[Floats, tuple[float, float], float]:
    """The word model, from each example's marked word and some of its others (which count for the rest)."""
    chance = np.random.default_rng(0)
    rows: list[Floats] = [np.zeros((1, 3 * encoded[0].sentence.shape[0]), np.float32)]
    targets, weights = [0.0], [1e-3]
    for sample, code in zip(samples, encoded, strict=True):
        if sample.index < 0 or len(sample.words) < 2:
            continue
        others = np.delete(np.arange(len(sample.words)), sample.index)
        kept = chance.permutation(others)[:OTHER_WORDS]
        rows.append(word_features(code)[[sample.index, *kept]])
        targets += [1.0] + [0.0] * len(kept)
        weights += [1.0] + [len(others) / len(kept)] * len(kept)
    target, weight = np.array(targets, np.float32), np.array(weights, np.float32)
    worth, bias, fair = _ridge(np.concatenate(rows), target[:, None], weight)
    slope, offset = _odds(fair[:, 0], target, weight)
    marked = _sigmoid(fair[target > 0.5, 0], (slope, offset))
    typical = float(np.median(marked)) if len(marked) else 0.5
    return worth[:, 0], (slope, offset + slope * float(bias[0])), max(typical, 1e-3)


def _odds(scores: Floats, target: Floats, weight: Floats) -> tuple[float, float]:
    """Slope and offset that turn scores into log odds: logistic regression by Newton's method (Platt 1999)."""
    x = np.stack([scores, np.ones_like(scores)], axis=1).astype(np.float64)
    found = np.zeros(2)
    for _ in range(25):
        p = _sigmoid(x @ found, (1.0, 0.0)).astype(np.float64)
        curve = (x * (weight * p * (1.0 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        found += np.clip(np.linalg.solve(curve, x.T @ (weight * (target - p)) - 1e-3 * found), -5.0, 5.0)
    return float(found[0]), float(found[1])


def _ridge(x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted ridge regression: weights (d, k), bias (k,), and each row's prediction by a fit without that row.

    Solved for the rows or for the columns, whichever are fewer.
    """
    mean_x, mean_y = np.average(x, axis=0, weights=weight), np.average(y, axis=0, weights=weight)
    root = np.sqrt(weight)[:, None]
    a, b = ((x - mean_x) * root).astype(np.float32), ((y - mean_y) * root).astype(np.float32)
    if len(a) <= a.shape[1]:
        inverse = np.linalg.inv(a @ a.T + RIDGE * np.eye(len(a), dtype=np.float32))
        dual = inverse @ b
        w = a.T @ dual
        residual = dual / np.diag(inverse)[:, None]
    else:
        inverse = np.linalg.inv(a.T @ a + RIDGE * np.eye(a.shape[1], dtype=np.float32))
        w = inverse @ (a.T @ b)
        leverage = np.einsum("ij,ij->i", a @ inverse, a)
        residual = (b - a @ w) / (1.0 - np.minimum(leverage, 0.99))[:, None]
    fair = y - residual / np.maximum(root, 1e-6)
    return w.astype(np.float32), (mean_y - mean_x @ w).astype(np.float32), fair.astype(np.float32)


def _sharpness(scores: Floats, y: NDArray[np.int64]) -> float:
    """The factor that makes the softmax of leave-one-out scores most likely."""
    if not len(y):
        return SHARPNESS[len(SHARPNESS) // 2]
    rows = np.arange(len(y))
    likely = [np.log(_softmax(s * scores)[rows, y] + 1e-9).mean() for s in SHARPNESS]
    return SHARPNESS[int(np.argmax(likely))]


# ------------------------------------------------------------------------------------------------------------- scorer


class Scorer:
    """Scores the words of sentences against a library's gestures, in the order of `ids`. Raises `UserError` where the
    sentence model is missing."""

    def __init__(self, library: Inventory, keep_in: Path | None = None) -> None:
        """keep_in: where a fresh fit is kept; the user's cache folder unless said."""
        self.ids = tuple(sorted(library.gestures))
        gestures = [library.gestures[i] for i in self.ids]
        self.labels = tuple(g.label for g in gestures)
        self._embedder: Embedder = embedder()
        self._head = _load_or_fit(samples_of(gestures), self.ids, self._embedder, keep_in or cache_folder())

    def score(self, sentences: Sequence[Sequence[str]]) -> list[tuple[Floats, Floats]]:
        """Per sentence: (n,) how much each word asks for a gesture and (n, G) which one, both 0..1."""
        coded = zip(sentences, self._embedder.encode(sentences), strict=True)
        return [(self._head.word(word_features(e)), self._head.gestures(gesture_features(w, e))) for w, e in coded]


_latest: list[tuple[Inventory, Scorer]] = []


def scorer_for(library: Inventory) -> Scorer:
    """The scorer of a library; the last one is kept in memory, since a server asks for the same again and again."""
    if _latest and _latest[0][0] is library:
        return _latest[0][1]
    scorer = Scorer(library)
    _latest[:] = [(library, scorer)]
    return scorer


def _load_or_fit(samples: Sequence[Sample], ids: Sequence[str], model: Embedder, keep_in: Path) -> Head:
    described = [json.dumps([s.words, s.index, s.gesture, s.weight]) for s in samples]
    name = f"retriever-{content_hash([VERSION, model.identity, *ids, *described])}.npz"
    for folder in (SHIPPED, keep_in):
        head = _read(folder / name, len(ids))
        if head is not None:
            return head
    head = fit(samples, model.encode([s.words for s in samples]), len(ids))
    _write(keep_in / name, head)
    return head


def _read(path: Path, classes: int) -> Head | None:
    """A cached head; None if there is none or it is damaged (then it is made again)."""
    try:
        with np.load(path, allow_pickle=False) as data:
            sharpness, slope, offset, typical = map(float, data["scales"])
            which = data["which"].astype(np.float32)
            head = Head(which, data["which_bias"], sharpness, data["worth"], (slope, offset), typical)
    # A zip that is no zip, a member cut short, a name that is missing: whatever it is, it is made again.
    except Exception:  # noqa: BLE001
        return None
    usable = head.which.ndim == 2 and head.which.shape[1] == classes and np.isfinite(head.which).all()
    return head if usable else None


def _write(path: Path, head: Head) -> None:
    """Keep a head for the next run. A cache that cannot be written costs seconds, nothing more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(
                file,
                which=head.which.astype(np.float16),
                which_bias=head.which_bias,
                worth=head.worth,
                scales=np.array([head.sharpness, *head.odds, head.typical]),
            )
        os.replace(file.name, path)
    except OSError:
        return
