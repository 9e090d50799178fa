"""The curve without a given shape: never rising, nearest to the labels, honest about its data."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression, isotonic_regression

from twinface.core.calibration import BIN, fit_probability
from twinface.core.isotonic import MOST_KNOTS, IsotonicCurve, fit_isotonic, pool_adjacent_violators

LAW = settings(max_examples=60, deadline=None)

Floats = NDArray[np.float64]

VALUES = st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9)), min_size=1, max_size=30)


def by_minima_of_maxima(values: Floats, weights: Floats) -> Floats:
    """Each place's least, over all starts up to it, of the greatest weighted mean over all ends from it: the min-max
    formula of isotonic regression, turned around for a falling sequence."""
    count = values.size

    def mean(start: int, end: int) -> float:
        part = slice(start, end + 1)
        return float(np.average(values[part], weights=weights[part]))

    return np.array(
        [
            min(max(mean(start, end) for end in range(place, count)) for start in range(place + 1))
            for place in range(count)
        ]
    )


def sample(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return random.normal(0.32, 0.08, count).clip(0, 2), random.normal(0.55, 0.09, 3 * count).clip(0, 2)


class TestPoolAdjacentViolators:
    @LAW
    @given(VALUES)
    def test_it_agrees_with_the_min_max_formula(self, rows: list[tuple[int, int]]) -> None:
        values, weights = np.array(rows, float).T
        np.testing.assert_allclose(
            pool_adjacent_violators(values, weights), by_minima_of_maxima(values, weights), atol=1e-9
        )

    @LAW
    @given(VALUES)
    def test_it_agrees_with_scikit_learn(self, rows: list[tuple[int, int]]) -> None:
        values, weights = np.array(rows, float).T
        theirs = isotonic_regression(values, sample_weight=weights, increasing=False)
        np.testing.assert_allclose(pool_adjacent_violators(values, weights), theirs, atol=1e-9)

    @LAW
    @given(VALUES)
    def test_it_never_rises_and_keeps_the_weighted_mean(self, rows: list[tuple[int, int]]) -> None:
        values, weights = np.array(rows, float).T
        fitted = pool_adjacent_violators(values, weights)
        assert (np.diff(fitted) <= 0).all()
        assert np.average(fitted, weights=weights) == pytest.approx(np.average(values, weights=weights), abs=1e-9)

    def test_what_falls_already_stays(self) -> None:
        assert pool_adjacent_violators([3, 2, 2, 1], [1, 5, 1, 1]).tolist() == [3, 2, 2, 1]

    @pytest.mark.parametrize(
        ("values", "weights"), [([1, 2], [1]), ([[1]], [[1]]), ([np.nan], [1]), ([1], [0]), ([1], [np.inf])]
    )
    def test_what_cannot_be_pooled_is_refused(self, values: list[float], weights: list[float]) -> None:
        with pytest.raises(ValueError, match=r"^isotonic: "):
            pool_adjacent_violators(values, weights)


class TestFitIsotonic:
    def test_it_is_scikit_learns_curve_at_even_weights_within_the_floor(self) -> None:
        mated, non_mated = sample(400)
        curve = fit_isotonic(mated, non_mated)
        x = (np.floor(np.concatenate([mated, non_mated]) / BIN) + 0.5) * BIN
        label = np.arange(x.size) < mated.size
        weight = np.where(label, 0.5 / mated.size, 0.5 / non_mated.size)
        theirs = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(x, label, weight)
        np.testing.assert_allclose(curve.at(x), theirs.predict(x).clip(curve.floor, 1 - curve.floor), atol=1e-9)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(10, 300), st.integers(0, 99))
    def test_it_never_rises_nor_leaves_its_floor(self, count: int, seed: int) -> None:
        curve = fit_isotonic(*sample(count, seed))
        values = curve.at(np.linspace(0, 2, 500))
        assert (np.diff(values) <= 0).all()
        assert values.min() >= curve.floor == pytest.approx(1 / (count + 2))
        assert values.max() <= 1 - curve.floor

    def test_the_prior_is_one_half_however_many_pairs_there_are_of_each_kind(self) -> None:
        mated, non_mated = sample(500)
        even, uneven = fit_isotonic(mated, non_mated), fit_isotonic(mated, np.tile(non_mated, 7))
        np.testing.assert_allclose(even.at(np.linspace(0, 1, 50)), uneven.at(np.linspace(0, 1, 50)), atol=1e-9)

    def test_on_logistic_data_it_agrees_with_the_logistic_curve(self) -> None:
        random = np.random.default_rng(2)
        distances = random.uniform(0.2, 0.6, 200_000)
        same = random.random(distances.size) < 1 / (1 + np.exp(30 * (distances - 0.4)))
        pairs = distances[same], distances[~same]
        x = np.linspace(0.25, 0.55, 30)
        np.testing.assert_allclose(fit_isotonic(*pairs).at(x), fit_probability(*pairs).at(x), atol=0.04)

    def test_its_knots_are_few(self) -> None:
        random = np.random.default_rng(0)
        curve = fit_isotonic(random.normal(0.3, 0.05, 2000).clip(0), random.normal(0.57, 0.06, 1_000_000).clip(0))
        assert len(curve.distances) < 300

    def test_classes_that_do_not_overlap_still_claim_no_certainty(self) -> None:
        curve = fit_isotonic(np.linspace(0.1, 0.2, 50), np.linspace(0.8, 0.9, 80))
        assert curve.probability(0.0) == pytest.approx(51 / 52)
        assert curve.probability(2.0) == pytest.approx(1 / 52)
        assert curve.probability(0.5) == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize(
        ("mated", "non_mated", "said"),
        [
            (np.full(9, 0.3), np.full(50, 0.6), "at least ten mated pairs"),
            (np.full(50, 0.3), [*np.full(50, 0.6), np.nan], "must lie in"),
            (np.full(50, 0.6), np.full(50, 0.3), "labels swapped"),
            (np.full(50, 0.3), np.full(50, 0.3 + 1e-7), "alike"),
        ],
    )
    def test_what_tells_nothing_is_refused(self, mated: Floats, non_mated: Floats, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            fit_isotonic(mated, non_mated)


class TestIsotonicCurve:
    CURVE = IsotonicCurve((0.2, 0.4, 0.6), (1.0, 0.5, 0.0), 0.01)

    def test_it_is_straight_between_knots_and_level_beyond(self) -> None:
        assert [self.CURVE.probability(distance) for distance in (0.3, 0.4, 0.45)] == pytest.approx([0.75, 0.5, 0.375])
        assert [self.CURVE.probability(distance) for distance in (0.0, 2.0)] == [0.99, 0.01]

    def test_it_takes_many_distances_and_what_is_no_distance(self) -> None:
        assert self.CURVE.at([[0.3, 0.5]]).shape == (1, 2)
        assert np.isnan(self.CURVE.probability(np.nan))

    def test_lists_become_tuples_so_that_equal_curves_are_equal(self) -> None:
        knots = json.loads("[[0.2, 0.4, 0.6], [1, 0.5, 0]]")
        assert IsotonicCurve(*knots, 0.01) == self.CURVE

    @pytest.mark.parametrize(
        ("distances", "probabilities"),
        [
            ((0.2, 0.4), (1.0, 0.5, 0.0)),
            ((0.2,), (1.0,)),
            ((), ()),
            ((0.4, 0.2), (1.0, 0.0)),
            ((0.2, 0.2), (1.0, 0.0)),
            ((-0.1, 0.2), (1.0, 0.0)),
            ((0.2, 2.1), (1.0, 0.0)),
            ((0.2, np.nan), (1.0, 0.0)),
            ((0.2, 0.4), (0.4, 0.6)),
            ((0.2, 0.4), (1.1, 0.0)),
            ((0.2, 0.4), (1.0, -0.1)),
            ((0.2, 0.4), (np.nan, 0.1)),
            (("0.2", 0.4), (1.0, 0.0)),
            ((0.2, 0.4), (True, False)),
            ((0.2, 0.4), (None, 0.1)),
        ],
    )
    def test_knots_that_make_no_falling_curve_are_refused(
        self, distances: tuple[float, ...], probabilities: tuple[float, ...]
    ) -> None:
        with pytest.raises(ValueError, match=r"^probability curve: "):
            IsotonicCurve(distances, probabilities, 0.01)

    def test_what_is_no_float_is_refused_however_large(self) -> None:
        with pytest.raises(ValueError, match="beyond all floats"):
            IsotonicCurve((0.2, 10**400), (1.0, 0.0), 0.01)

    def test_it_has_no_more_knots_than_a_measurement_gives(self) -> None:
        distances = tuple(np.linspace(0, 2, MOST_KNOTS).tolist())
        assert (
            len(IsotonicCurve(distances, tuple(np.linspace(1, 0, MOST_KNOTS).tolist()), 0.01).distances) == MOST_KNOTS
        )
        with pytest.raises(ValueError, match=r"at most 10,000 knots, got 10,001"):
            IsotonicCurve((*distances, 2.0), (0.5,), 0.01)
        with pytest.raises(ValueError, match="at most 10,000 knots"):
            IsotonicCurve((0.1, 0.2), (0.5,) * 10_001, 0.01)

    @pytest.mark.parametrize("floor", [0.0, 0.5, -0.1, np.nan, np.inf])
    def test_it_has_a_floor(self, floor: float) -> None:
        with pytest.raises(ValueError, match=r"floor must lie in \(0, 0\.5\)"):
            IsotonicCurve((0.2, 0.4), (1.0, 0.0), floor)

    @LAW
    @given(st.lists(st.floats(0, 2), min_size=2, max_size=9))
    def test_it_falls_with_distance(self, distances: list[float]) -> None:
        values = [self.CURVE.probability(distance) for distance in sorted(distances)]
        assert all(after <= before + 1e-12 for before, after in itertools.pairwise(values))
