"""The test of equal rates, on tallies made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from twinface.evaluation.heterogeneity import LEAST_P, chi_square_survival, equal_rates
from twinface.evaluation.subject_pairs import Tally


def independent(errors: int, pairs: int, subjects: int = 100) -> Tally:
    """Errors as independent pairs make them."""
    rate = errors / pairs
    return Tally(subjects, pairs, errors, pairs, pairs * rate * (1 - rate), 0.0, np.zeros(0))


@given(st.floats(0, 2000), st.integers(1, 40))
def test_the_survival_function_is_scipys(value: float, freedom: int) -> None:
    assert chi_square_survival(value, freedom) == pytest.approx(chi2.sf(value, freedom), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("value", "freedom"), [(-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_the_survival_function_refuses_what_is_no_statistic(value: float, freedom: int) -> None:
    with pytest.raises(ValueError, match="chi-square"):
        chi_square_survival(value, freedom)


def test_without_clusters_it_is_pearsons_test() -> None:
    table = np.array([[30, 970], [55, 1445], [22, 978]])
    p = equal_rates([independent(errors, errors + right) for errors, right in table.tolist()])
    assert p == pytest.approx(chi2_contingency(table, correction=False).pvalue, rel=1e-6)


def test_pairs_that_share_persons_make_a_difference_less_sure() -> None:
    loose = [independent(100, 10_000), independent(150, 10_000)]
    tight = [Tally(100, one.pairs, one.errors, one.pairs, one.own, 9 * one.own, np.zeros(0)) for one in loose]
    assert equal_rates(loose) < 0.01
    assert equal_rates(tight) > 0.2


def test_a_group_without_errors_takes_part() -> None:
    # given none where 40 are to be expected
    assert equal_rates([independent(0, 10_000), independent(40, 10_000)]) == LEAST_P


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_nothing_smaller_is_told_than_was_tried(one: int, other: int) -> None:
    p = equal_rates([independent(one, 1000), independent(other, 1000)])
    assert 0.001 == LEAST_P <= p <= 1
    if one + other not in (0, 2000):
        truth = chi2_contingency([[one, 1000 - one], [other, 1000 - other]], correction=False).pvalue
        assert p == pytest.approx(max(LEAST_P, truth), rel=1e-6)


@pytest.mark.parametrize("tallies", [[independent(1, 10)], [independent(1, 10), Tally(1, 0, 0, 0, 0, 0, np.zeros(0))]])
def test_there_must_be_something_to_compare(tallies: list[Tally]) -> None:
    with pytest.raises(ValueError, match="at least two groups"):
        equal_rates(tallies)
