"""Rates as the field writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.calibration import ENOUGH, is_tellable
from twinface.core.rates import rounded_up, scientific


def test_scientific_keeps_zeros_that_count() -> None:
    assert scientific(1e-10) == "1e-10"
    assert scientific(10.0) == "1e1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.00031, 5e-4), (0.0011, 2e-3), (0.21, 0.5), (0.51, 1.0), (7.0, 10.0), (90.0, 100.0)]
    + [(step * 10.0**power, step * 10.0**power) for step in (1, 2, 5) for power in range(-9, 9)],
)
def test_a_number_is_rounded_up_to_one_people_say(value: float, expected: float) -> None:
    assert rounded_up(value) == pytest.approx(expected, rel=1e-12)


@given(st.floats(1e-12, 1e12))
def test_rounding_up_never_lowers_and_at_most_two_and_a_half_times_as_much_comes_of_it(value: float) -> None:
    found = rounded_up(value)

    assert value * (1 - 1e-9) <= found <= 2.5 * value * (1 + 1e-9)
    assert scientific(found)[:2] in ("1e", "2e", "5e")


@given(st.integers(11, 10**9))
def test_the_rate_that_is_offered_for_so_many_couples_can_be_told_by_them(couples: int) -> None:
    assert is_tellable(float(scientific(rounded_up(ENOUGH / couples))), couples) or couples < 20


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_what_is_not_positive_is_not_rounded_up(value: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        rounded_up(value)
