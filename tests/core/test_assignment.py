"""The cheapest matching, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from twinface.core.assignment import UNMATCHED, assign

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def total(costs: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    return sum(costs[pair] for pair in pairs) + UNMATCHED * (len(costs) - len(pairs))


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.one_of(st.floats(0, 5), st.just(np.inf)))))
def test_no_matching_is_cheaper(costs: np.ndarray) -> None:
    pairs = assign(costs)
    padded = np.hstack([np.where(costs <= UNMATCHED, costs, 1e6), np.full((len(costs), len(costs)), UNMATCHED)])
    best = padded[linear_sum_assignment(padded)].sum()

    assert total(costs, pairs) == pytest.approx(best)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert pairs == sorted(pairs)


def test_a_good_match_is_not_given_up_for_two_bad_ones() -> None:
    costs = np.array([[0.1, 2.0], [2.0, np.inf]])
    assert assign(costs) == [(0, 0)]


def test_what_is_impossible_is_left() -> None:
    assert assign(np.array([[np.inf, np.inf], [np.inf, 1.0]])) == [(1, 1)]
    assert assign(np.array([[3.5]])) == []


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nobody_goes_with_nobody(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape)) == []
