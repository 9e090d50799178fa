"""What JSON says is checked before it is believed, and a complaint names the field in few words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from twinface.core.facts import KINDS, field_of, fields_of, list_of, object_of


@dataclass(frozen=True)
class Shape:
    name: str
    size: float
    count: int


GOOD = {"name": "a", "size": 1.5, "count": 2}


def test_sound_facts_pass_as_they_are() -> None:
    assert fields_of(Shape, GOOD, "it") == GOOD
    assert fields_of(Shape, {**GOOD, "size": 1}, "it")["size"] == 1  # a whole number is a number


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("str", [None, 1, [], {}]),
        ("float", [None, "1", True, math.nan, math.inf, -math.inf, 10**400, [1.0]]),
        ("int", [None, "1", True, 1.0, math.inf, 2**63, 10**400]),
        ("object", [None, [], "{}"]),
        ("list", [None, {}, "[]"]),
    ],
)
def test_another_kind_of_value_is_refused(kind: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^x of it must be {KINDS[kind][0]}, got "):
            field_of({"x": value}, "x", kind, "it")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "a", "size": 1.5}, "it lacks 'count'"),
        ({**GOOD, "more": 1}, "it has an unknown 'more'"),
        ([GOOD], "it must be an object, got "),
        ({**GOOD, "count": "2"}, "count of it must be a whole number, got '2'"),
    ],
)
def test_fields_are_those_of_the_class_no_more_and_no_less(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fields_of(Shape, value, "it")


def test_lists_have_a_length_that_is_bearable() -> None:
    assert list_of({"x": [1, 2]}, "x", 2, "it") == [1, 2]
    with pytest.raises(ValueError, match="it has 3 x, more than 2"):
        list_of({"x": [1, 2, 3]}, "x", 2, "it")


@pytest.mark.parametrize("value", ["x" * 10_000, list(range(10_000)), [[[[[[[]]]]]]] * 99, 10**4000, "\n\x1b"])
def test_a_complaint_is_one_short_line(value: object) -> None:
    with pytest.raises(ValueError, match="must be an object") as caught:
        object_of(value, "it")
    assert len(str(caught.value)) < 120
    assert str(caught.value).isprintable()
