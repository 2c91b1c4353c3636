"""Which words get which gestures.

`embedded` needs nothing but the package with the sentence model (`scorer.py`); `openai` asks a language model
(`llm.py`); `off` chooses nothing. Whatever goes wrong on the way is a warning: a performance without semantic gestures
is better than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.gestures.classifier import scorer_for
from backend.gestures.llm import ANSWER_SECONDS, MAX_PER_SENTENCE, ask
from backend.gestures.texts import Inventory
from backend.speech.sentences import is_english, split_sentences
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Alternative, Word

METHODS = ("embedded", "openai", "off")
ALTERNATIVES = 5
# At density 1 about one gesture every 2 s of speech, at 0.5 one every 4 s; never two strokes closer than this.
MOST_PER_SECOND = 0.5
CLOSEST_SECONDS = 1.2
ONLY_ENGLISH = (
    "No gestures were chosen by meaning: the embedded retriever knows English only, and this is another language. "
    "A language model (retriever 'openai') can choose gestures in other languages."
)
# The same gesture again loses this share of its confidence, recovering over the given seconds.
REPEAT_LOSS = 0.6
REPEAT_SECONDS = 20.0
SENTENCES = 16  # scored at once: well under a second until a cancel is seen

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """A gesture for a word; `alternatives` are the next best for the same word, best first."""

    word_index: int
    gesture_id: str
    confidence: float
    alternatives: tuple[Alternative, ...] = ()


def choose(
    words: Sequence[Word],
    library: Inventory,
    method: str = "embedded",
    density: float = 0.5,
    seed: int = 0,
    *,
    language: str = "en",
    llm_url: str = "",
    llm_model: str = "",
    llm_key: str = "",
    progress: Progress | None = None,
) -> tuple[list[Choice], list[str]]:
    """Choices in the order of the words, and warnings. The same arguments give the same choices.

    `density` 0..1: 0 chooses nothing, 1 as many as fit without hurry. `seed` only breaks near ties.
    `language`: what is spoken, for the embedded retriever; it also notices by the words that it is not English.
    """
    if method not in METHODS:
        raise UserError(f"There is no retriever called {method!r}.", f"Choose {', '.join(METHODS)}.", "bad_settings")
    if method == "off" or not words or not library.gestures or density <= 0.0:
        return [], []
    if method == "openai":
        return _asked(words, library, density, seed, progress, (llm_url, llm_model, llm_key))
    if not is_english(language):
        return [], [ONLY_ENGLISH]
    return _embedded(words, library, density, seed, progress)


def _asked(
    words: Sequence[Word],
    library: Inventory,
    density: float,
    seed: int,
    progress: Progress | None,
    server: tuple[str, str, str],
) -> tuple[list[Choice], list[str]]:
    """A language model's choices. Where it fails there are none: its user chose it over the embedded retriever."""
    spans = split_sentences(words)
    sentences = [[words[i].text for i in span] for span in spans]
    most = max(1, round(density * MAX_PER_SENTENCE))
    try:
        answers, warnings = ask(
            sentences, library, *server, per_sentence=most, seed=seed, timeout=ANSWER_SECONDS, progress=progress
        )
    except UserError as error:
        return [], [f"No gestures were chosen by meaning: {error.message} {error.hint}"]
    ids = tuple(sorted(library.gestures))
    at = {identity: k for k, identity in enumerate(ids)}
    which = np.zeros((len(words), len(ids)), np.float32)
    for span, found in zip(spans, answers, strict=True):
        for answer in found:
            for rank, identity in enumerate(answer.ids):
                which[span.start + answer.word, at[identity]] = answer.confidence * 0.6**rank
    labels = [library.gestures[i].label for i in ids]
    return select(words, np.ones(len(words), np.float32), which, ids, labels, density, seed), warnings


def _embedded(
    words: Sequence[Word], library: Inventory, density: float, seed: int, progress: Progress | None
) -> tuple[list[Choice], list[str]]:
    try:
        scorer = scorer_for(library, progress)
    except UserError as error:
        return [], [f"No gestures were chosen by meaning: {error.message} {error.hint}"]
    if not scorer.understands([w.text for w in words]):
        return [], [ONLY_ENGLISH]
    spans = split_sentences(words)
    ids, labels = scorer.ids, scorer.labels
    worth = np.zeros(len(words), np.float32)
    which = np.zeros((len(words), len(ids)), np.float32)
    for start in range(0, len(spans), SENTENCES):
        batch = spans[start : start + SENTENCES]
        if progress is not None:
            progress.stage("Choosing gestures", start / len(spans))
        scored = scorer.score([[words[i].text for i in span] for span in batch])
        for span, (word_score, gesture_score) in zip(batch, scored, strict=True):
            worth[span.start : span.stop], which[span.start : span.stop] = word_score, gesture_score
    return select(words, worth, which, ids, labels, density, seed), []


def least_score(density: float) -> float:
    """What a word with its gesture must reach to be chosen."""
    return 0.02 + 0.25 * (1.0 - density) ** 2


def select(
    words: Sequence[Word],
    worth: Floats,
    which: Floats,
    ids: Sequence[str],
    labels: Sequence[str],
    density: float,
    seed: int,
) -> list[Choice]:
    """Pick the best (word, gesture) pairs greedily: confident first, apart in time, not the same gesture over and over.

    `worth` (n,) and `which` (n, G) as from `Scorer.score`.
    """
    jitter = 1.0 + 0.01 * np.random.default_rng(seed).standard_normal(which.shape).astype(np.float32)
    scores = worth[:, None] * which * jitter
    threshold = least_score(density)
    budget = max(1, round(density * MOST_PER_SECOND * (words[-1].end - words[0].start)))
    spacing = CLOSEST_SECONDS + 1.5 * (1.0 - density)
    starts = np.array([w.start for w in words])
    chosen: list[tuple[int, int, float]] = []
    while len(chosen) < budget:
        i, g = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[i, g] < threshold:
            break
        chosen.append((int(i), int(g), float(scores[i, g])))
        scores[np.abs(starts - starts[i]) < spacing] = 0.0
        age = np.abs(starts - starts[i])
        scores[:, g] *= 1.0 - REPEAT_LOSS * np.exp(-age / REPEAT_SECONDS)
    return [_choice(i, g, score, worth, which, ids, labels) for i, g, score in sorted(chosen)]


def _choice(
    i: int, g: int, score: float, worth: Floats, which: Floats, ids: Sequence[str], labels: Sequence[str]
) -> Choice:
    ranked = [int(k) for k in np.argsort(-which[i], kind="stable")[: ALTERNATIVES + 1] if k != g and which[i, k] > 0.0][
        :ALTERNATIVES
    ]
    others = tuple(Alternative(ids[k], labels[k], float(worth[i] * which[i, k])) for k in ranked)
    return Choice(i, ids[g], min(score, 1.0), others)
