"""What a gesture library says in words, as samples to learn from: which text asks for which gesture, on which word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

TRIGGERS = Path(__file__).with_name("triggers.txt")
PLAIN_SPEECH = Path(__file__).with_name("plain_speech.txt")
# An example sentence counts 1.
PHRASE_WEIGHT = 0.5


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
    """A text with the word that is gestured on; index -1: a phrase as a whole (a meaning, a label, a trigger).

    gesture -1: a sentence of which no word is gestured on.
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


def samples_of(gestures: Sequence[GestureLike]) -> list[Sample]:
    """Everything the library says about its gestures, as samples, and plain speech; `gesture` counts the sequence."""
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
    return out + [Sample(words, -1, -1, 1.0) for words in plain_speech()]


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
