"""Which words get which gestures.

`embedded` needs nothing but the package with the sentence model (`classifier.py`); `openai` asks a language model
(`llm.py`); `off` chooses nothing. Whatever goes wrong on the way is a warning: a performance without semantic gestures
is better than none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from backend.gestures.choice import Choice
from backend.gestures.classifier import classifier_for
from backend.gestures.llm import ANSWER_SECONDS, MAX_PER_SENTENCE, ask
from backend.speech.sentences import is_english, split_pieces
from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import ORDINARY, Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Alternative, Word
from SG_dataset.library import Library

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
# A manner at least so formal makes no gesture that the library calls casual.
FORMAL = 0.8
SENTENCES = 16  # scored at once: well under a second until a cancel is seen


def choose(
    words: Sequence[Word],
    library: Library,
    method: str = "embedded",
    density: float = 0.5,
    seed: int = 0,
    *,
    manner: Manner = ORDINARY,
    language: str = "en",
    llm_url: str = "",
    llm_model: str = "",
    llm_key: str = "",
    progress: Progress | None = None,
) -> tuple[list[Choice], list[str]]:
    """Choices in the order of the words, and warnings. The same arguments give the same choices.

    `density` 0..1: 0 chooses nothing, 1 as many as fit without hurry. `seed` only breaks near ties.
    `manner`: how many of them, see `density_of`, and which gestures there are at all, see `fitting`.
    `language`: what is spoken, for the embedded retriever; it also notices by the words that it is not English.
    """
    if method not in METHODS:
        raise UserError(f"There is no retriever called {method!r}.", f"Choose {', '.join(METHODS)}.", "bad_settings")
    usable = fitting(library, manner)
    density = density_of(density, manner)
    if method == "off" or not words or not usable.gestures or density <= 0.0:
        return [], []
    if method == "openai":
        return _asked(words, usable, density, seed, progress, (llm_url, llm_model, llm_key))
    if not is_english(language):
        return [], [ONLY_ENGLISH]
    return _embedded(words, library, usable.gestures, density, seed, progress)


def density_of(density: float, manner: Manner) -> float:
    """How densely a speaker of this manner gestures, 0..1; `density` is an ordinary speaker's."""
    return min(1.0, density * manner.liveliness)


def fitting(library: Library, manner: Manner) -> Library:
    """The gestures that suit a manner: a formal one leaves out those with the tag `formality: casual`."""
    if manner.formality < FORMAL:
        return library
    suited = {i: g for i, g in library.gestures.items() if g.tags.get("formality") != "casual"}
    return Library(library.path, suited, library.info)


def _asked(
    words: Sequence[Word],
    library: Library,
    density: float,
    seed: int,
    progress: Progress | None,
    server: tuple[str, str, str],
) -> tuple[list[Choice], list[str]]:
    """A language model's choices. Where it fails there are none: its user chose it over the embedded retriever."""
    spans = split_pieces(words)
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
    words: Sequence[Word],
    library: Library,
    usable: Collection[str],
    density: float,
    seed: int,
    progress: Progress | None,
) -> tuple[list[Choice], list[str]]:
    """The classifier's choices. It is the whole library's, whatever part is `usable`: fitting it takes long."""
    try:
        classifier = classifier_for(library, progress)
    except UserError as error:
        return [], [f"No gestures were chosen by meaning: {error.message} {error.hint}"]
    if not classifier.understands([w.text for w in words]):
        return [], [ONLY_ENGLISH]
    spans = split_pieces(words)
    ids, labels = classifier.ids, classifier.labels
    salience = np.zeros(len(words), np.float32)
    which = np.zeros((len(words), len(ids)), np.float32)
    for start in range(0, len(spans), SENTENCES):
        batch = spans[start : start + SENTENCES]
        if progress is not None:
            progress.stage("Choosing gestures", start / len(spans))
        scored = classifier.score([[words[i].text for i in span] for span in batch])
        for span, (word_score, gesture_score) in zip(batch, scored, strict=True):
            salience[span.start : span.stop], which[span.start : span.stop] = word_score, gesture_score
    which[:, [identity not in usable for identity in ids]] = 0.0
    return select(words, salience, which, ids, labels, density, seed), []


def least_score(density: float) -> float:
    """What a word with its gesture must reach to be chosen."""
    return 0.02 + 0.25 * (1.0 - density) ** 2


def select(
    words: Sequence[Word],
    salience: Floats32,
    which: Floats32,
    ids: Sequence[str],
    labels: Sequence[str],
    density: float,
    seed: int,
) -> list[Choice]:
    """Pick the best (word, gesture) pairs greedily: confident first, apart in time, not the same gesture over and over.

    `salience` (n,) and `which` (n, G) as from `GestureClassifier.score`.
    """
    jitter = 1.0 + 0.01 * np.random.default_rng(seed).standard_normal(which.shape).astype(np.float32)
    scores = salience[:, None] * which * jitter
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
    return [_choice(i, g, score, salience, which, ids, labels) for i, g, score in sorted(chosen)]


def _choice(
    i: int, g: int, score: float, salience: Floats32, which: Floats32, ids: Sequence[str], labels: Sequence[str]
) -> Choice:
    ranked = [int(k) for k in np.argsort(-which[i], kind="stable")[: ALTERNATIVES + 1] if k != g and which[i, k] > 0.0][
        :ALTERNATIVES
    ]
    others = tuple(Alternative(ids[k], labels[k], float(salience[i] * which[i, k])) for k in ranked)
    return Choice(i, ids[g], min(score, 1.0), others)
