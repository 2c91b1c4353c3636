"""How well each gesture of a library suits each word of a sentence, learned from the library's own texts.

Each example sentence marks the word that is gestured on; labels, meanings, descriptions and trigger words are further,
shorter examples; sentences of plain speech have no such word. Two logistic regressions (convex, so the same library
always gives the same scores) stand on the vectors of `embed.py`:

- *which gesture*: from a word with its neighbours, its sentence and its letters to the gestures.
- *which word*: marked words against the other words of the same sentences and those of plain speech. A library that
  marks hardly any (an import with labels alone) learns this from our own library's sentences.

Fitting takes 28 s of one processor for 208 gestures, once, when a library is first seen; the result is kept in the
user's cache folder under a hash of all texts and of the model. Our own library's comes fitted
(`python -m backend.gestures.fit`, part of `make library`).
`python -m backend.gestures.evaluate` measures it on held-out sentences.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from backend.cache import cache_folder, content_hash
from backend.gestures.embed import INNER, WIDTH, Embedder, Encoded, embedder, unit
from backend.gestures.texts import Sample, plain, plain_words, samples_of
from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.progress import Progress
from SG_dataset.library import Library
from SG_dataset.stop_words import EMPTY_WORDS

VERSION = "7"
SHIPPED = Path(__file__).resolve().parents[1] / "fitted"
WINDOW = (0.15, 0.4, 1.0, 0.4, 0.15)
LETTERS = 1024
WORD_WIDTH = (1 + len(INNER)) * WIDTH
ITSELF_WEIGHT, SENTENCE_WEIGHT, LETTERS_WEIGHT = 1.0, 0.7, 0.8
# How strongly large weights are held back (chosen by `evaluate_retrieval.py`), and when fitting has gone far enough.
GESTURE_DECAY, WORD_DECAY = 0.05, 0.5
MOST_STEPS = 30
LEARNING = "Learning the gesture library"

# A text of so many words, of which so many are unknown, is not English.
ENOUGH_WORDS, MOST_UNKNOWN = 12, 0.4


# ---------------------------------------------------------------------------------------------------------- features


@lru_cache(maxsize=20_000)
def letters(word: str) -> Floats32:
    """(1024,) hashed letter sequences of a word, length 1: "knocked" and "knocking" are near, "knave" is not."""
    vector = np.zeros(LETTERS, np.float32)
    text = f"<{plain(word)}>"
    if len(text) > 2 and text[1:-1] not in EMPTY_WORDS:  # those have no letters to remember
        for size in (3, 4, 5):
            for at in range(len(text) - size + 1):
                vector[zlib.crc32(text[at : at + size].encode()) % LETTERS] += 1.0
        for whole in (f"={text}", f"~{text[:6]}"):
            vector[zlib.crc32(whole.encode()) % LETTERS] += 2.0
    return np.asarray(unit(vector), np.float32)


def _around(words: Floats32) -> Floats32:
    """Each word with two neighbours to either side, length 1."""
    reach = len(WINDOW) // 2
    padded = np.pad(words, ((reach, reach), (0, 0)))
    mixed = sum(weight * padded[k : k + len(words)] for k, weight in enumerate(WINDOW))
    return unit(np.asarray(mixed, np.float32))


def gesture_features(words: Sequence[str], encoded: Encoded) -> Floats32:
    """(n, 2560) per word, for *which gesture*."""
    sentence = np.repeat(encoded.sentence[None], len(words), axis=0)
    spelled = np.stack([letters(w) for w in words]) if words else np.zeros((0, LETTERS), np.float32)
    return _weighed(_around(encoded.words), _around(encoded.inner[-1]), encoded.inner[0], sentence, spelled)


def _weighed(near: Floats32, near_inner: Floats32, itself: Floats32, sentence: Floats32, spelled: Floats32) -> Floats32:
    parts = [unit(near), unit(near_inner), ITSELF_WEIGHT * unit(itself)]
    parts += [SENTENCE_WEIGHT * unit(sentence), LETTERS_WEIGHT * unit(spelled)]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def word_features(encoded: Encoded) -> Floats32:
    """(n, 1152) per word, for *which word*."""
    return np.concatenate([unit(encoded.words), *map(unit, encoded.inner)], axis=1).astype(np.float32)


def sample_features(sample: Sample, encoded: Encoded) -> Floats32:
    """(2560,) of a sample: its marked word's, or of a phrase its words' mean."""
    if sample.index >= 0:
        return np.asarray(gesture_features(sample.words, encoded)[sample.index])
    words, inner = encoded.words.mean(axis=0), encoded.inner.mean(axis=1)
    spelled = np.stack([letters(w) for w in sample.words]).sum(axis=0)
    return _weighed(words, inner[-1], inner[0], encoded.sentence, spelled)


# ------------------------------------------------------------------------------------------------------------ fitting


@dataclass(frozen=True, eq=False)
class Head:
    """Fitted weights: `which` (2560, G) and `which_bias` (G,); `salience` (1152,) and `salience_bias`.

    `typical` is the probability of most marked words. Without any marked word `salience` is zero: all count alike.
    """

    which: Floats32
    which_bias: Floats32
    salience: Floats32
    salience_bias: float
    typical: float

    def gestures(self, x: Floats32) -> Floats32:
        """(n, G) probabilities of the gestures for gesture features (n, 2560)."""
        return _softmax(x @ self.which + self.which_bias)

    def word(self, x: Floats32) -> Floats32:
        """(n,) 0..1 for word features: 1 for a word that calls for a gesture as clearly as most marked words do."""
        likely = 1.0 / (1.0 + np.exp(-np.clip(x @ self.salience + self.salience_bias, -30.0, 30.0)))
        return np.asarray(np.minimum(likely / self.typical, 1.0), np.float32)


def _softmax(logits: Floats32) -> Floats32:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float32)


def fit(samples: Sequence[Sample], encoded: Sequence[Encoded], classes: int, progress: Progress | None = None) -> Head:
    """Fit both models. Deterministic."""
    progress = progress or Progress()
    pairs = [(s, e) for s, e in zip(samples, encoded, strict=True) if s.gesture >= 0]
    x = np.stack([sample_features(s, e) for s, e in pairs])
    y = np.array([s.gesture for s, _ in pairs])
    weight = np.array([s.weight for s, _ in pairs], np.float32)
    which, which_bias = _regression(x, y, weight, classes, GESTURE_DECAY, progress.span(0.0, 0.9))
    marked = [word_features(e)[[s.index]] for s, e in zip(samples, encoded, strict=True) if s.index >= 0]
    if not marked:
        return Head(which, which_bias, np.zeros(WORD_WIDTH, np.float32), 0.0, 0.5)
    head = Head(which, which_bias, *_fit_words(samples, encoded, progress.span(0.9, 1.0)), 1.0)
    return replace(head, typical=float(np.median(head.word(np.concatenate(marked)))))


def _fit_words(samples: Sequence[Sample], encoded: Sequence[Encoded], progress: Progress) -> tuple[Floats32, float]:
    """The word model, from each example's marked word, its other words, and the words of plain speech."""
    marked = [(s, e) for s, e in zip(samples, encoded, strict=True) if s.index >= 0 or s.gesture < 0]
    x = np.concatenate([word_features(e) for _, e in marked])
    y = np.concatenate([np.arange(len(s.words)) == s.index for s, _ in marked]).astype(np.int64)
    weights, bias = _regression(x, y, np.ones(len(y), np.float32), 2, WORD_DECAY, progress)
    return weights[:, 1] - weights[:, 0], float(bias[1] - bias[0])


def _regression(
    x: Floats32, y: NDArray[np.int64], weight: Floats32, classes: int, decay: float, progress: Progress
) -> tuple[Floats32, Floats32]:
    """Multinomial logistic regression by L-BFGS: weights (d, k) and bias (k,) from x (n, d), classes y (n,)."""
    rows, shape = np.arange(len(y)), (x.shape[1], classes)
    evaluations = 0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal evaluations
        progress.stage(LEARNING, evaluations / (MOST_STEPS + 5))
        evaluations += 1
        w, bias = flat[:-classes].reshape(shape), flat[-classes:]
        p = _softmax(x @ w.astype(np.float32) + bias.astype(np.float32))
        cost = -float(weight @ np.log(p[rows, y] + 1e-20)) + decay * float(np.vdot(w, w))
        p[rows, y] -= 1.0
        p *= weight[:, None]
        slope = (x.T @ p).astype(np.float64) + 2.0 * decay * w
        return cost, np.concatenate([slope.ravel(), p.sum(axis=0, dtype=np.float64)])

    start = np.zeros(shape[0] * classes + classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS}).x.astype(np.float32)
    return found[:-classes].reshape(shape), found[-classes:]


# --------------------------------------------------------------------------------------------------------- classifier


class GestureClassifier:
    """Scores the words of sentences against a library's gestures, in the order of `ids`. Raises `UserError` where the
    sentence model is missing."""

    def __init__(
        self, library: Library, keep_in: Path | None = None, progress: Progress | None = None, *, learn: bool = True
    ) -> None:
        """keep_in: where a fresh fit is to be kept; unless said in the user's cache folder, if that can be written.

        learn: whether to fit where no fit is kept; else that is a `UserError` too.
        """
        self.ids = tuple(sorted(library.gestures))
        gestures = [library.gestures[i] for i in self.ids]
        self.labels = tuple(g.label for g in gestures)
        self._embedder: Embedder = embedder()
        samples = samples_of(gestures)
        self._all_alike = all(s.index < 0 for s in samples)
        self._head = _load_or_fit(samples, self.ids, self._embedder, keep_in, progress or Progress(), learn)

    def score(self, sentences: Sequence[Sequence[str]]) -> list[tuple[Floats32, Floats32]]:
        """Per sentence: (n,) how much each word asks for a gesture and (n, G) which one, both 0..1."""
        coded = zip(sentences, self._embedder.encode(sentences), strict=True)
        return [(self._salience(w, e), self._head.gestures(gesture_features(w, e))) for w, e in coded]

    def _salience(self, words: Sequence[str], encoded: Encoded) -> Floats32:
        salience = self._head.word(word_features(encoded))
        if self._all_alike:
            common = EMPTY_WORDS | plain_words()
            salience *= np.array([plain(w) not in common for w in words], np.float32)
        return salience

    def understands(self, words: Sequence[str]) -> bool:
        """Whether a text looks like English, which is all that the sentence model knows. Short texts pass."""
        return len(words) < ENOUGH_WORDS or self._embedder.unknown(words) < MOST_UNKNOWN


_latest: list[tuple[Library, GestureClassifier]] = []


def classifier_for(library: Library, progress: Progress | None = None, *, learn: bool = True) -> GestureClassifier:
    """The classifier of a library; the last one is kept in memory, since a server asks for the same again and again.

    Without `learn` a library that was never fitted is a `UserError`, at once.
    """
    if _latest and _latest[0][0] is library:
        return _latest[0][1]
    classifier = GestureClassifier(library, progress=progress, learn=learn)
    _latest[:] = [(library, classifier)]
    return classifier


def _load_or_fit(
    samples: Sequence[Sample],
    ids: Sequence[str],
    model: Embedder,
    keep_in: Path | None,
    progress: Progress,
    learn: bool,
) -> Head:
    described = [json.dumps([s.words, s.index, s.gesture, s.weight]) for s in samples]
    name = f"retriever-{content_hash([VERSION, model.identity, *ids, *described])}.npz"
    for folder in (SHIPPED, keep_in or cache_folder()):
        head = _read(folder / name, len(ids))
        if head is not None:
            return head
    if not learn:
        raise UserError("The gesture library was not learned yet.", "Generate a performance with it.", "not_learned")
    encoded = model.encode([s.words for s in samples], progress.span(0.0, 0.1, LEARNING))
    head = fit(samples, encoded, len(ids), progress.span(0.1, 0.95))
    try:
        _write((keep_in or cache_folder()) / name, head)
    except UserError:
        # A cache that cannot be written costs half a minute, nothing more.
        if keep_in is not None:
            raise
    return head


def _read(path: Path, classes: int) -> Head | None:
    """A cached head; None if there is none or it is damaged (then it is made again)."""
    try:
        with np.load(path, allow_pickle=False) as data:
            salience_bias, typical = map(float, data["scales"])
            head = Head(data["which"].astype(np.float32), data["which_bias"], data["salience"], salience_bias, typical)
    # A zip that is no zip, a member cut short, a name that is missing: whatever it is, it is made again.
    except Exception:  # noqa: BLE001
        return None
    usable = head.which.ndim == 2 and head.which.shape[1] == classes and np.isfinite(head.which).all()
    return head if usable else None


def _write(path: Path, head: Head) -> None:
    """Keep a head for the next run. `UserError` where the disk refuses."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            which=head.which.astype(np.float16),
            which_bias=head.which_bias,
            salience=head.salience,
            scales=np.array([head.salience_bias, head.typical]),
        )
