"""Finding gestures in a list that is here already: at once, while somebody types, and for a spoken word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .editing import GestureInfo

LABEL, MEANING, WORD, EXAMPLE = 8.0, 4.0, 2.0, 1.0
"""How much a hit counts: a name says more than a sentence somewhere in the texts."""
SHORTEST = 4
"""Letters of a spoken word that is looked for in labels and meanings: "of" and "the" are everywhere."""


def find(gestures: Sequence[GestureInfo], query: str) -> list[GestureInfo]:
    """The gestures in whose texts every word of the query begins a word, best first; all of them without a query."""
    wanted = [re.compile(rf"\b{re.escape(word)}") for word in query.lower().split()]
    if not wanted:
        return list(gestures)
    scores = [_score(gesture, wanted) for gesture in gestures]
    return _best(gestures, scores)


def suggest(gestures: Sequence[GestureInfo], spoken: str) -> list[GestureInfo]:
    """The gestures made for a spoken word, by its examples above all; none if no text has it."""
    words = re.findall(r"\w+(?:['’]\w+)*", spoken.lower())
    if not words:
        return []
    wanted = re.compile(rf"\b{re.escape(' '.join(words))}\b")
    scores = []
    for gesture in gestures:
        score = WORD * sum(wanted.search(word.lower()) is not None for word in gesture.words)
        if len(words[0]) >= SHORTEST:
            score += LABEL * _has(wanted, (gesture.label,)) + MEANING * _has(wanted, gesture.meanings)
        scores.append(score)
    return _best(gestures, scores)


def _score(gesture: GestureInfo, wanted: Sequence[re.Pattern[str]]) -> float:
    total = 0.0
    for pattern in wanted:
        score = (
            LABEL * (_has(pattern, (gesture.label,)) or _has(pattern, (gesture.id,)))
            + MEANING * _has(pattern, gesture.meanings)
            + WORD * _has(pattern, gesture.words)
            + EXAMPLE * (_has(pattern, gesture.examples) or _has(pattern, (gesture.description,)))
        )
        if not score:
            return 0.0
        total += score
    return total


def _has(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return any(pattern.search(text.lower()) for text in texts)


def _best(gestures: Sequence[GestureInfo], scores: Sequence[float]) -> list[GestureInfo]:
    """Those with a score, the highest first, equal ones in the order they came in."""
    order = sorted(range(len(gestures)), key=lambda index: -scores[index])
    return [gestures[index] for index in order if scores[index] > 0]
