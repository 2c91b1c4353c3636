"""The record of style: presets, text, limits, JSON."""

import pytest

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import ORDINARY, PRESETS, Manner, limits


def test_presets_can_be_named():
    assert set(PRESETS) == {"calm", "lively", "formal", "big stage", "shy"}
    for name, manner in PRESETS.items():
        assert Manner.parse(name) == manner == Manner.parse(f" {name.upper()} ")
    assert Manner.parse("Ordinary") == ORDINARY == Manner()
    assert PRESETS["calm"].liveliness < Manner().liveliness < PRESETS["lively"].liveliness
    assert PRESETS["shy"].width < 1 < PRESETS["big stage"].width


def test_text_changes_a_preset():
    manner = Manner.parse("calm, width=1.2,hand=-1")
    assert (manner.width, manner.hand) == (1.2, -1.0)
    assert manner.liveliness == PRESETS["calm"].liveliness
    assert Manner.parse("") == Manner()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wild", "'wild' is not a preset .ordinary, calm"),
        ("width=1.2,wild", "'wild' is not a preset"),
        ("width=1.2,calm", "must come first"),
        ("size=2", "'size' is unknown"),
        ("width=big", "must be a number"),
        ("width=9", "between 0.5 and 1.6"),
        ("width=nan", "finite"),
    ],
)
def test_what_cannot_be_read_is_explained(text, words):
    with pytest.raises(UserError, match=words) as caught:
        Manner.parse(text)
    assert "calm" in caught.value.hint and caught.value.code == "bad_settings"


def test_json_comes_back_the_same():
    manner = Manner.parse("big stage,speed=1.3")
    assert Manner.from_json(manner.to_json()) == manner
    for bad in ([], {"liveliness": "1"}, {"liveliness": True}, {"what": 1.0}, {"width": 9}, {"width": None}):
        with pytest.raises(UserError):
            Manner.from_json(bad)


def test_limits_are_allowed_and_no_more():
    for name in Manner().to_json():
        low, high = limits(name)
        assert Manner(**{name: low}) != Manner(**{name: high})
        for value in (low - 0.01, high + 0.01):
            with pytest.raises(UserError, match=name):
                Manner(**{name: value})
