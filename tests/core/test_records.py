"""Records from plain data: right ones, and one sentence with the field's path for wrong ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.records import DEEPEST, LONGEST, Length, OneOf, Range, Reader
from sg_blender_addon.core.timeline import Word

READER = Reader("The order", "In the order", "Look at the menu.", "bad_order", "Ask for it.", {Word: Word.from_json})


@dataclass(frozen=True)
class Topping:
    name: Annotated[str, OneOf("salt", "sugar")]
    grams: Annotated[float, Range(0, 100)] = 1.0


@dataclass(frozen=True)
class Order:
    pieces: Annotated[int, Range(1, 12)]
    warm: bool = False
    note: Annotated[str, Length(5)] = ""
    tip: Annotated[float, Range(0, 10)] | None = None
    topping: Topping | None = None
    toppings: tuple[Topping, ...] = ()
    place: tuple[float, float] = (0.0, 0.0)
    numbers: list[int] = field(default_factory=list)
    names: Mapping[str, int] = field(default_factory=dict)
    either: int | str = 0
    said: Word | None = None
    extra: Any = None

    def __post_init__(self) -> None:
        READER.check(self)


def test_plain_data_becomes_what_the_hints_say() -> None:
    made = READER.read(
        Order,
        {
            "pieces": 3.0,
            "warm": True,
            "tip": 2,
            "topping": {"name": "salt"},
            "toppings": [{"name": "sugar", "grams": 5}],
            "place": [1, 2.5],
            "numbers": [1, 2],
            "names": {"a.b": 1},
            "either": "two",
            "said": {"text": "Yes.", "start": 0, "end": 1},
            "extra": {"any": [1, None, {"thing": 2.5}]},
        },
    )
    assert made == Order(
        3,
        True,
        "",
        2.0,
        Topping("salt"),
        (Topping("sugar", 5.0),),
        (1.0, 2.5),
        [1, 2],
        {"a.b": 1},
        "two",
        Word("Yes.", 0.0, 1.0),
        {"any": [1, None, {"thing": 2.5}]},
    )
    assert type(made.pieces) is int and type(made.tip) is float
    assert READER.read(Order, {"pieces": 1, "tip": None}) == Order(1)


def nested(levels: int) -> Any:
    data: Any = 1
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "The order must be an object with named fields."),
        ({}, "In the order 'pieces' is missing."),
        ({"pieces": 1, "sauce": 1}, "In the order 'sauce' is unknown."),
        ({"pieces": True}, "'pieces' has a wrong value: True instead of a whole number."),
        ({"pieces": "3"}, "'pieces' has a wrong value: '3' instead of a whole number."),
        ({"pieces": None}, "'pieces' has a wrong value: None instead of a whole number."),
        ({"pieces": 1.5}, "'pieces' must be a whole number, not 1.5."),
        ({"pieces": 13}, "'pieces' must lie between 1 and 12."),
        ({"pieces": float("inf")}, "'pieces' must be a finite number."),
        ({"pieces": 10**400}, "'pieces' is too large a number."),
        ({"pieces": 1, "warm": 1}, "'warm' has a wrong value: 1 instead of true or false."),
        ({"pieces": 1, "note": "too long"}, "'note' must not be longer than 5."),
        ({"pieces": 1, "note": {"a": 1}}, "'note' has a wrong value: dict instead of a text."),
        ({"pieces": 1, "tip": float("nan")}, "'tip' must be a finite number."),
        ({"pieces": 1, "tip": -1}, "'tip' must lie between 0 and 10."),
        ({"pieces": 1, "topping": {"name": "soap"}}, "'topping.name' must be one of salt, sugar."),
        ({"pieces": 1, "topping": 3}, "'topping' must be an object with named fields."),
        ({"pieces": 1, "toppings": [{"name": "salt"}, {"grams": 1}]}, "'toppings[1].name' is missing."),
        ({"pieces": 1, "toppings": {}}, "'toppings' has a wrong value: dict instead of a list."),
        ({"pieces": 1, "place": [1]}, "'place' must have 2 entries, not 1."),
        ({"pieces": 1, "numbers": [1, "x"]}, "'numbers[1]' has a wrong value: 'x' instead of a whole number."),
        ({"pieces": 1, "numbers": [0] * (LONGEST + 1)}, f"'numbers' must not be longer than {LONGEST}."),
        ({"pieces": 1, "names": {1: 1}}, "'names' has a wrong value: dict instead of named entries."),
        ({"pieces": 1, "said": {"text": "No"}}, "'said' is not a usable word."),
        ({"pieces": 1, "extra": "x" * (LONGEST + 1)}, f"'extra' must not be longer than {LONGEST}."),
        ({"pieces": 1, "extra": {"deep": float("inf")}}, "'extra.deep' must be a finite number."),
        ({"pieces": 1, "extra": nested(DEEPEST + 1)}, " is nested too deeply."),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: Any, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        READER.read(Order, data)
    assert caught.value.message.endswith(sentence) and caught.value.code == "bad_order"
    assert caught.value.hint == ("Ask for it." if "unknown" in sentence else "Look at the menu.")


def test_records_made_by_hand_keep_to_the_same_limits() -> None:
    for wrong, sentence in (
        ({"pieces": 0}, "In the order 'pieces' must lie between 1 and 12."),
        ({"pieces": 1, "note": "too long"}, "In the order 'note' must not be longer than 5."),
        ({"pieces": 1, "tip": float("nan")}, "In the order 'tip' must be a finite number."),
    ):
        with pytest.raises(UserError) as caught:
            Order(**wrong)
        assert caught.value.message == sentence


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(Order.__dataclass_fields__)), JSON) | JSON)
def test_no_data_raises_anything_but_a_user_error(data: Any) -> None:
    try:
        READER.read(Order, data)
    except UserError as error:
        assert error.code == "bad_order" and error.message.endswith(".")
