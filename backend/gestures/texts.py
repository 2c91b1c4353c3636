"""What a gesture library says in words, as samples to learn from: which text asks for which gesture, on which word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sg_blender_addon.core.errors import UserError
from SG_dataset.open import open_library
from SG_dataset.records import Gesture

TRIGGERS = Path(__file__).with_name("triggers.txt")
PLAIN_SPEECH = Path(__file__).with_name("plain_speech.txt")
# An example sentence counts 1.
PHRASE_WEIGHT = 0.5
# So many sentences with a marked word tell which words are gestured on; a library with fewer borrows our sentences.
ENOUGH_MARKED = 30


@dataclass(frozen=True)
class Sample:
    """A text with the word that is gestured on; index -1: a phrase as a whole (a meaning, a label, a trigger).

    gesture -1: none of the library's. Without an index a sentence of which no word is gestured on.
    """

    words: tuple[str, ...]
    index: int
    gesture: int
    weight: float


def plain(word: str) -> str:
    """A word as it is compared: lower case, straight apostrophes, no marks at its ends."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", word.lower().replace("’", "'"))


def marked_index(words: Sequence[str], mark: str) -> int:
    """Index of the marked word (the longest word of a marked phrase) in a text; -1 if it is not there."""
    parts = [p for p in map(plain, mark.split()) if p]
    have = [plain(w) for w in words]
    for start in range(len(have) - len(parts) + 1 if parts else 0):
        if have[start : start + len(parts)] == parts:
            return start + max(range(len(parts)), key=lambda k: len(parts[k]))
    return next((i for i, w in enumerate(have) if parts and len(w) > 2 and parts[0].startswith(w)), -1)


def samples_of(gestures: Sequence[Gesture]) -> list[Sample]:
    """Everything the library says about its gestures, as samples, and plain speech; `gesture` counts the sequence.

    Where it hardly says on which words one gestures, our own library's sentences are added, without their gestures.
    """
    out: list[Sample] = []
    for number, gesture in enumerate(gestures):
        phrases = [gesture.label.lower().replace("-", " "), gesture.description, *gesture.meanings]
        phrases += triggers().get((gesture.id, gesture.label), ())
        split = [tuple(text.split()) for text in dict.fromkeys(phrases)]
        out += [Sample(words, -1, number, PHRASE_WEIGHT) for words in split if words]
        for example in gesture.examples:
            words = tuple(example.text.split())
            if words:
                index = marked_index(words, example.word)
                out.append(Sample(words, index, number, 1.0 if index >= 0 else PHRASE_WEIGHT))
    if sum(sample.index >= 0 for sample in out) < ENOUGH_MARKED:
        out += marked_speech()
    return out + [Sample(words, -1, -1, 1.0) for words in plain_speech()]


@lru_cache(maxsize=1)
def marked_speech() -> tuple[Sample, ...]:
    """Our own library's sentences with their marked words, as samples of no gesture; none where it was not built."""
    try:
        gestures = open_library("starter").gestures.values()
    except UserError:
        return ()
    split = [(tuple(e.text.split()), e.word) for g in gestures for e in g.examples]
    marked = [(words, marked_index(words, word)) for words, word in dict.fromkeys(split)]
    return tuple(Sample(words, index, -1, 1.0) for words, index in marked if index >= 0)


@lru_cache(maxsize=1)
def triggers() -> dict[tuple[str, str], tuple[str, ...]]:
    """Phrases by (id, label) of the reference's gestures, from `triggers.txt`."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in TRIGGERS.read_text(encoding="utf-8").splitlines():
        head, _, phrases = line.partition(": ")
        identity, _, label = head.partition(" ")
        if identity.isdigit() and phrases:
            found[identity, label] = tuple(p.strip() for p in phrases.split(",") if p.strip())
    return found


@lru_cache(maxsize=1)
def plain_speech() -> tuple[tuple[str, ...], ...]:
    """The sentences of `plain_speech.txt` as words."""
    lines = PLAIN_SPEECH.read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split()) for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=1)
def plain_words() -> frozenset[str]:
    """All words of plain speech, as `plain` has them."""
    return frozenset(plain(word) for words in plain_speech() for word in words)
