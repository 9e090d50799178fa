"""Rates with honest intervals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from twinface.evaluation.intervals import Interval, no_surer_than, rate

LAW = settings(deadline=None)


@LAW
@given(st.integers(2, 100_000), st.data())
def test_between_none_and_all_it_is_wilsons_interval(trials: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(1, trials - 1))
    reference = binomtest(errors, trials).proportion_ci(0.95, method="wilson")
    found = rate(errors, trials)
    assert found.value == errors / trials
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-7)


@pytest.mark.parametrize(("trials", "high"), [(1, 1.0), (3, 1.0), (4, 0.75), (300, 0.01), (3_000_000, 1e-6)])
def test_no_error_in_n_trials_bounds_the_rate_at_three_nths(trials: int, high: float) -> None:
    assert rate(0, trials) == Interval(0.0, 0.0, high)
    assert rate(trials, trials) == Interval(1.0, 1.0 - high, 1.0)


@LAW
@given(st.integers(1, 100_000), st.data())
def test_the_bound_counts_independent_trials_alone(trials: int, data: st.DataObject) -> None:
    independent = data.draw(st.integers(1, trials))
    assert rate(0, trials, independent) == Interval(0.0, 0.0, min(1.0, 3 / independent))
    assert rate(trials, trials, independent) == Interval(1.0, 1.0 - min(1.0, 3 / independent), 1.0)
    errors = data.draw(st.integers(0, trials))
    if 0 < errors < trials:  # Wilson's interval takes them all
        assert rate(errors, trials, independent) == rate(errors, trials)


@LAW
@given(st.integers(4, 300), st.data())
def test_few_trials_widen_an_interval_to_wilsons_and_never_narrow_it(trials: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(1, trials - 1))
    value = errors / trials
    reference = binomtest(errors, trials).proportion_ci(0.95, method="wilson")
    narrow, wide = no_surer_than(Interval(value, value, value), trials), Interval(value, 0.0, 1.0)
    assert (narrow.low, narrow.high) == pytest.approx((reference.low, reference.high), abs=1e-7)
    assert no_surer_than(wide, trials) == wide


@LAW
@given(st.integers(2, 10_000), st.integers(2, 500))
def test_an_error_that_was_seen_stays_one_among_fewer_trials(pairs: int, persons: int) -> None:
    # given one error, or all but one, in pairs of so many persons: less than half an error of theirs perhaps
    few, most = 1 / pairs, 1 - 1 / pairs
    assert 0 < no_surer_than(Interval(few, few, few), persons).low <= few
    assert most <= no_surer_than(Interval(most, most, most), persons).high < 1


@pytest.mark.parametrize("independent", [0, -1, 11])
def test_independent_trials_are_some_of_them(independent: int) -> None:
    with pytest.raises(ValueError, match=f"{independent} of 10 trials cannot be the independent ones"):
        rate(0, 10, independent)


@LAW
@given(st.integers(4, 100_000))
def test_the_bound_is_where_no_error_would_be_a_one_in_twenty_chance(trials: int) -> None:
    assert (1 - rate(0, trials).high) ** trials <= 0.05


@LAW
@given(st.integers(1, 5000), st.data())
def test_errors_and_successes_mirror_each_other(trials: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, trials))
    one, other = rate(errors, trials), rate(trials - errors, trials)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


@pytest.mark.parametrize(("errors", "trials"), [(0, 0), (1, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(errors: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is no proportion"):
        rate(errors, trials)


@pytest.mark.parametrize("ends", [(0.6, 0.9), (0.1, 0.4), (float("nan"), 1.0)])
def test_an_interval_holds_its_value(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="the value must lie in it"):
        Interval(0.5, *ends)
