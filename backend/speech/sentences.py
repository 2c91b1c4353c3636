"""What is spoken: timed words into sentences, the unit in which gestures are chosen, and the name of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sg_blender_addon.core.timeline import Word

PAUSE = 1.0
LONGEST = 40
_STOP = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
_ABBREVIATION = re.compile(
    r"^\W*(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|e\.g|i\.e|no|fig|approx|[a-z]|(?:[a-z]\.)+[a-z])\.\W*$", re.IGNORECASE
)


def split_sentences(words: Sequence[Word]) -> list[range]:
    """Index ranges of sentences: after a full stop, before a long pause, and inside endless ones at a comma.

    "U.S.", "Dr." and "3.5" do not end a sentence; an abbreviation does where a capital or a pause follows.
    """
    out: list[range] = []
    start = 0
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else None
        if following is None or _ends(word, following) or _too_long(i + 1 - start, word):
            out.append(range(start, i + 1))
            start = i + 1
    return out


def is_english(language: str) -> bool:
    """Whether a language's name or code is English, or left open."""
    return language.lower().split("-")[0] in {"", "en", "english"}


def _ends(word: Word, following: Word) -> bool:
    gap = following.start - word.end
    if gap > PAUSE:
        return True
    if not _STOP.search(word.text):
        return False
    return not _ABBREVIATION.match(word.text) or gap > 0.4


def _too_long(count: int, word: Word) -> bool:
    return count >= LONGEST or (count >= LONGEST * 3 // 4 and word.text.endswith((",", ";", ":", "—", "–")))
