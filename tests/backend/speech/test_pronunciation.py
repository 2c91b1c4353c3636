from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.speech.pronunciation import guess_phones, letters_to_phones, number_words, spoken

KNOWN = {"well", "known", "wood", "cutters", "in", "dr", "nasa", "don't", "ok", "blender"}
PHONES = {"wood": "W UH D", "cutters": "K AH T ER Z", "blender": "B L EH N D ER"}
ARPABET = frozenset(
    [
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
        "L",
        "M",
        "N",
        "NG",
        "OW",
        "OY",
        "P",
        "R",
        "S",
        "SH",
        "T",
        "TH",
        "UH",
        "UW",
        "V",
        "W",
        "Y",
        "Z",
        "ZH",
    ]
)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("3", "three"),
        ("2024", "twenty twenty four"),
        ("1900", "nineteen hundred"),
        ("2007", "two thousand seven"),
        ("1905", "nineteen oh five"),
        ("1990s", "nineteen nineties"),
        ("10,000", "ten thousand"),
        ("3.5", "three point five"),
        ("$20.", "twenty dollars"),
        ("50%", "fifty percent"),
        ("1st", "first"),
        ("22nd", "twenty second"),
        ("12th", "twelfth"),
        ("30th", "thirtieth"),
        ("007", "zero zero seven"),
        ("U.S.", "u s"),
        ("FBI", "f b i"),
        ("NASA", "nasa"),
        ("Dr.", "doctor"),
        ("well-known,", "well known"),
        ("“Don’t!”", "don't"),
        ("café", "cafe"),
        ("rock&roll", "rock and roll"),
        ("—", ""),
        ("ok.", "ok"),
    ],
)
def test_how_tokens_are_read(token: str, words: str) -> None:
    assert " ".join(spoken(token, KNOWN.__contains__)) == words


def test_number_words() -> None:
    assert " ".join(number_words(1_234_567)) == (
        "one million two hundred thirty four thousand five hundred sixty seven".replace("two hundred", "two hundred")
    )


def test_compounds_possessives_and_rules() -> None:
    assert guess_phones("woodcutters", PHONES.get) == "W UH D K AH T ER Z"
    assert guess_phones("blender's", PHONES.get) == "B L EH N D ER Z"
    assert letters_to_phones("zorblax") == "Z AO R B L AE K S"
    assert letters_to_phones("knight") == "N AY T"
    assert letters_to_phones("make") == "M EY K"


@given(st.text(max_size=40))
def test_anything_can_be_read(token: str) -> None:
    for word in spoken(token, KNOWN.__contains__):
        assert word and word == word.lower()
        assert set(guess_phones(word, PHONES.get).split()) <= ARPABET
