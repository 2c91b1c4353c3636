from __future__ import annotations

import pytest

from sg_blender_addon.client.editing import GestureInfo
from sg_blender_addon.client.search import find, suggest

THUMB = GestureInfo(
    "3232", "THUMB UP", "A thumb goes up.", (), ("good", "well done"), ("Good for you!",), ("Good",), "a"
)
RING = GestureInfo("3230", "HAND RING", "Thumb and finger meet.", (), ("perfect",), ("All is well.",), ("well",), "b")
WAVE = GestureInfo(
    "3123", "HAND WAVE", "A hand sways.", (), ("hello", "goodbye"), ("Hi there!", "Bye, be good."), ("Hi", "Bye"), "c"
)
ALL = (RING, THUMB, WAVE)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [RING, THUMB, WAVE]),
        ("  hand ", [WAVE, RING]),  # two of its texts have it
        ("thumb", [THUMB, RING]),  # the label counts for more than the description
        ("good", [THUMB, WAVE]),  # the beginning of "goodbye" and an example's last word
        ("WELL", [THUMB, RING]),
        ("hand well", [RING]),  # every word must be there
        ("ood", []),  # words are found by their beginnings
        ("3123", [WAVE]),
        ("(", []),
    ],
)
def test_finding_while_somebody_types(query: str, expected: list[GestureInfo]) -> None:
    assert find(ALL, query) == expected


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ("Good!", [THUMB]),
        ("hello,", [WAVE]),
        ("hi", [WAVE]),
        ("up", []),  # short words are looked for in the examples alone
        ("…", []),
    ],
)
def test_gestures_for_a_spoken_word(spoken: str, expected: list[GestureInfo]) -> None:
    assert suggest(ALL, spoken) == expected
