"""What is spoken: timed words into sentences, the unit in which gestures are chosen and held, and the language's name.

A full stop ends a sentence unless it belongs to an abbreviation ("Dr. Miller", "3 p.m.", "in the U.S."). Where it does
both, what follows tells: a capital on a word that has none of its own, as in "We left at 3 p.m. Then we slept." (the
orthographic heuristic of Kiss and Strunk, "Unsupervised multilingual sentence boundary detection", 2006).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sg_blender_addon.core.timeline import Word
from SG_dataset.stop_words import STOP_WORDS

PAUSE = 1.0
"""Seconds of silence that end a sentence even without a full stop."""
SHORT_PAUSE = 0.4
"""Seconds of silence after which an abbreviation was the last word of its sentence."""
LONGEST = 40
"""Words of a piece, where gestures are chosen: the models look no further."""

_CLOSING = "\"'”’»›)\\]}」』"
_STOP = re.compile(rf"[.!?…。｡！？؟۔।॥‼⁇⁈⁉][{_CLOSING}]*$")
_QUOTED = re.compile(rf"[!?！？][{_CLOSING}]+$")
_NEVER = frozenset(["cf", "e.g", "i.e", "viz", "vs"])
_BEFORE_A_NUMBER = frozenset("art ca ch eq fig figs no nos nr p pp sec vol".split())  # noqa: SIM905
_ABBREVIATIONS = frozenset(
    "adm al approx apr asst aug ave bros capt cmdr co col corp dec dept dr ed esp esq est etc feb fr gen gov hon inc "  # noqa: SIM905
    "jan jr jul jun lt ltd maj mar messrs mlle mme mr mrs ms mt nov oct ph.d pres prof rep rev sen sept sep sgt sr st "
    "supt".split()
)
_BEGINNINGS = STOP_WORDS | frozenset(
    "after also because before both each every how now once since some there these those though who why yes".split()  # noqa: SIM905
)
_LETTERS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")  # an initial, "U.S", "p.m"


def split_sentences(words: Sequence[Word]) -> list[range]:
    """Index ranges of sentences, all words in order: they end at full stops and before long pauses."""
    out: list[range] = []
    start = 0
    for i, word in enumerate(words):
        if i + 1 == len(words) or _ends(word, words[i + 1]):
            out.append(range(start, i + 1))
            start = i + 1
    return out


def split_pieces(words: Sequence[Word]) -> list[range]:
    """Index ranges of sentences, the endless ones cut, best at a comma: none has more than LONGEST words."""
    out: list[range] = []
    for sentence in split_sentences(words):
        start = sentence.start
        for i in sentence:
            if _too_long(i + 1 - start, words[i]):
                out.append(range(start, i + 1))
                start = i + 1
        if start < sentence.stop:
            out.append(range(start, sentence.stop))
    return out


def sentence_times(words: Sequence[Word]) -> list[tuple[float, float]]:
    """For each word the start and end (s) of its sentence."""
    spans = split_sentences(words)
    return [(words[span[0]].start, words[span[-1]].end) for span in spans for _ in span]


def is_english(language: str) -> bool:
    """Whether a language's name or code is English, or left open."""
    return language.lower().split("-")[0] in {"", "en", "english"}


def _ends(word: Word, following: Word) -> bool:
    gap = following.start - word.end
    if gap > PAUSE:
        return True
    if not _STOP.search(word.text):
        return False
    after = following.text.lstrip(f"{_CLOSING}“‘«‹([{{「『¿¡-—–")
    if _QUOTED.search(word.text):  # '"Stop!" he said.'
        return not after[:1].islower()
    short = _abbreviated(word.text)
    if short in _BEFORE_A_NUMBER:
        return gap > SHORT_PAUSE or not after[:1].isdigit()
    if short in _NEVER:
        return gap > SHORT_PAUSE
    if short in _ABBREVIATIONS or (short != "i" and _LETTERS.fullmatch(short)):
        return gap > SHORT_PAUSE or _begins(after)
    return True


def _abbreviated(text: str) -> str:
    """What stands before a single full stop, in small letters: "p.m" of "p.m."; "" where there is none."""
    bare = re.sub(rf"[{_CLOSING}]+$", "", text).lstrip("\"'“‘«‹([{¿¡-—–")
    return bare[:-1].lower() if bare.endswith(".") and not bare.endswith("..") else ""


def _begins(following: str) -> bool:
    """Whether a word that has no capital of its own was written with one. "I" and initials say nothing."""
    bare = re.sub(r"\W+$", "", following)
    plain = bare.lower().split("'")[0].split("’")[0]
    return bare[:1].isupper() and len(bare) > 1 and plain != "i" and plain in _BEGINNINGS


def _too_long(count: int, word: Word) -> bool:
    return count >= LONGEST or (count >= LONGEST * 3 // 4 and word.text.endswith((",", ";", ":", "—", "–")))
