"""Sentences: where a full stop is one, and where it belongs to an abbreviation, a number or a quotation."""

from __future__ import annotations

import pytest

from backend.speech.sentences import LONGEST, sentence_times, split_pieces, split_sentences
from sg_blender_addon.core.timeline import Word


def spoken(text: str, start: float = 0.0) -> list[Word]:
    """Words of 0.3 s without pauses."""
    return [Word(t, start + 0.3 * i, start + 0.3 * i + 0.3) for i, t in enumerate(text.split())]


def sentences(text: str) -> list[str]:
    words = spoken(text)
    return [" ".join(words[i].text for i in span) for span in split_sentences(words)]


@pytest.mark.parametrize(
    "text",
    [
        "We met Dr. Miller at 3 p.m. in the U.S. today.|",
        "We left at 3 p.m. |Then we slept.",
        "At 3 p.m. I left.",
        "It grew in the U.S. |The rest did not.",
        "The U.S. Government agreed.",
        "In the U.S. we pay 3.5 percent. |Dr. Miller agreed?! |Yes... |e.g. here.",
        "Version 2.0 costs $3.50. |That is 1.000,5 too much!",
        "It opens at 9:30. |At 10.15 it closes.",
        "J. R. R. Tolkien wrote it, i.e. he alone. |So did I. |Bob Smith Jr. helped.",
        "Plan B. |It worked.",
        "No. |That is wrong, see no. 5 and Fig. 3 on p. 7.",
        "Apples, pears etc. and nuts. |Apples, pears etc. |We ate them.",
        "Really?! |Well… |Who knows?",
        "\u201cStop!\u201d he cried. |She said \u201cGo.\u201d |And they went (at last). |Then it rained.",
        "\u201cStop!\u201d |We did.",
        "\u00bfQu\u00e9 pasa? |\u00a1Nada!",
        "\u4f60\u597d\u3002 |\u518d\u89c1\uff01 |\u662f\u5417\uff1f |\u300c\u662f\u3002\u300d |\u597d",
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str) -> None:
    assert sentences(text.replace("|", "")) == [part.strip() for part in text.split("|") if part.strip()]


def test_pauses_end_sentences_and_short_ones_those_that_end_in_an_abbreviation() -> None:
    words = [*spoken("one two three"), *spoken("four five", start=9.0)]
    assert [len(s) for s in split_sentences(words)] == [3, 2]
    words = [*spoken("It is 3 p.m."), *spoken("Smith comes.", start=1.7)]
    assert [len(s) for s in split_sentences(words)] == [4, 2]
    assert not split_sentences([])


def test_endless_sentences_are_cut_into_pieces_at_commas() -> None:
    endless = spoken(", ".join("and so it goes on" for _ in range(30)))
    assert len(split_sentences(endless)) == 1
    pieces = split_pieces(endless)
    assert [i for piece in pieces for i in piece] == list(range(len(endless)))
    assert max(map(len, pieces)) <= LONGEST
    assert all(endless[piece[-1]].text.endswith(",") for piece in pieces[:-1])
    assert [len(p) for p in split_pieces(spoken("word " * (2 * LONGEST)))] == [LONGEST, LONGEST]


def test_each_word_knows_when_its_sentence_begins_and_ends() -> None:
    words = [Word("So.", 0, 0.3), Word("Go", 0.4, 0.6), Word("on", 0.7, 0.9), Word("then", 3.0, 3.2)]
    assert sentence_times(words) == [(0, 0.3), (0.4, 0.9), (0.4, 0.9), (3.0, 3.2)]
