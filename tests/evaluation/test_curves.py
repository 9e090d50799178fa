"""Error rates at every threshold, against counting by hand, scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from twinface.core.calibration import threshold_at
from twinface.evaluation.curves import ErrorCurve, curve_of_steps, error_curve, midway
from twinface.evaluation.scores import Scores

LAW = settings(deadline=None)
SHARES = [0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.99, 1.0]


def labelled(distances: object, mated: object, dtype: type = np.float64) -> Scores:
    """Pairs of which no two share a person."""
    gaps, labels = np.asarray(distances, dtype), np.asarray(mated, bool)
    first = np.arange(labels.size) * 2
    return Scores(gaps, labels, np.column_stack([first, first + ~labels]).astype(np.int32))


@st.composite
def both_kinds(draw: st.DrawFn, failures: bool = True) -> Scores:
    """Pairs of both kinds, with many ties and, if wanted, failures to acquire."""
    gaps = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.9, *([np.nan] if failures else [])])
    gaps |= st.floats(0, 2, width=32)
    pairs = draw(st.lists(st.tuples(gaps, st.booleans()), min_size=2, max_size=40))
    assume({mated for _, mated in pairs} == {True, False})
    return labelled(*zip(*pairs, strict=True), draw(st.sampled_from([np.float32, np.float64])))


def slow_rates(scores: Scores, threshold: float) -> tuple[float, float]:
    """FMR and FNMR, pair by pair."""
    pairs = list(zip(scores.distances.tolist(), scores.mated.tolist(), strict=True))
    apart, alike = [gap for gap, mated in pairs if not mated], [gap for gap, mated in pairs if mated]
    return sum(gap <= threshold for gap in apart) / len(apart), sum(not gap <= threshold for gap in alike) / len(alike)


def slow_auc(scores: Scores) -> float:
    """Every mated pair beside every non-mated one: nearer counts one, a tie half."""
    gaps = np.where(np.isnan(scores.distances), np.inf, scores.distances).tolist()
    alike = [gap for gap, mated in zip(gaps, scores.mated, strict=True) if mated]
    apart = [gap for gap, mated in zip(gaps, scores.mated, strict=True) if not mated]
    return sum((near < far) + (near == far) / 2 for near in alike for far in apart) / (len(alike) * len(apart))


class TestErrorCurve:
    @LAW
    @given(both_kinds())
    def test_every_point_is_what_counting_gives(self, scores: Scores) -> None:
        curve = error_curve(scores)
        expected = sorted({gap for gap in scores.distances.tolist() if gap == gap})
        assert curve.thresholds.tolist() == [-np.inf, *expected]
        for threshold, fmr, fnmr in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
            assert (fmr, fnmr) == pytest.approx(slow_rates(scores, threshold))

    @LAW
    @given(both_kinds(), st.floats(-1, 3) | st.sampled_from([-np.inf, np.inf]))
    def test_the_rates_at_any_threshold_are_what_counting_gives(self, scores: Scores, threshold: float) -> None:
        curve = error_curve(scores)
        assert (curve.fmr_at(threshold), curve.fnmr_at(threshold)) == pytest.approx(slow_rates(scores, threshold))

    @LAW
    @given(both_kinds())
    def test_the_area_is_how_often_the_mated_pair_is_the_nearer_one(self, scores: Scores) -> None:
        far = np.where(np.isnan(scores.distances), 99.0, scores.distances)
        assert error_curve(scores).auc() == pytest.approx(slow_auc(scores))
        assert error_curve(scores).auc() == pytest.approx(roc_auc_score(scores.mated, -far))

    @LAW
    @given(both_kinds())
    def test_swapped_labels_mirror_the_area(self, scores: Scores) -> None:
        swapped = labelled(scores.distances, ~scores.mated)
        assert error_curve(swapped).auc() == pytest.approx(1 - error_curve(scores).auc())

    @LAW
    @given(both_kinds())
    def test_the_rates_agree_with_scikit_learn(self, scores: Scores) -> None:
        far = np.where(np.isnan(scores.distances), 99.0, scores.distances).astype(np.float64)
        fmr, tar, thresholds = roc_curve(scores.mated, -far, drop_intermediate=False)
        found = -thresholds < 99
        curve = error_curve(scores)
        assert curve.fmr == pytest.approx(fmr[found])
        assert 1 - curve.fnmr == pytest.approx(tar[found])
        assert curve.thresholds == pytest.approx(-thresholds[found])

    @LAW
    @given(both_kinds())
    def test_the_equal_error_rate_is_where_scipy_finds_the_crossing(self, scores: Scores) -> None:
        curve = error_curve(scores)
        fmr, fnmr = np.append(curve.fmr, 1.0), np.append(curve.fnmr, 0.0)

        def lead(way: float) -> float:
            steps = np.arange(fmr.size)
            return float(np.interp(way, steps, fmr) - np.interp(way, steps, fnmr))

        crossing = brentq(lead, 0, fmr.size - 1, xtol=1e-14)
        assert curve.eer() == pytest.approx(np.interp(crossing, np.arange(fmr.size), fmr), abs=1e-9)

    @LAW
    @given(both_kinds(), st.sampled_from(SHARES) | st.floats(0, 1))
    def test_the_threshold_never_exceeds_the_target_and_none_larger_would_do(self, scores: Scores, fmr: float) -> None:
        curve = error_curve(scores)
        threshold = curve.threshold(fmr)
        assert curve.fmr_at(threshold) <= fmr
        assert slow_rates(scores, threshold)[0] <= fmr
        beyond = [gap for gap in scores.distances.tolist() if gap > threshold]
        assert all(slow_rates(scores, gap)[0] > fmr for gap in beyond)
        assert curve.tar(fmr) == pytest.approx(1 - slow_rates(scores, threshold)[1])

    @LAW
    @given(both_kinds(), st.sampled_from(SHARES))
    def test_the_threshold_holds_in_the_floats_of_the_distances(self, scores: Scores, fmr: float) -> None:
        matched = scores.distances <= error_curve(scores).threshold(fmr)  # compared in float32 where they are
        assert matched[~scores.mated].mean() <= fmr

    @LAW
    @given(both_kinds())
    def test_more_false_matches_allowed_means_no_smaller_threshold(self, scores: Scores) -> None:
        curve = error_curve(scores)
        thresholds, tars = [curve.threshold(fmr) for fmr in SHARES], [curve.tar(fmr) for fmr in SHARES]
        assert thresholds == sorted(thresholds)
        assert tars == sorted(tars)

    @pytest.mark.parametrize("fmr", [0.01, 0.02, 0.1, 0.5])
    def test_without_mated_pairs_between_it_is_the_threshold_calibration_finds(self, fmr: float) -> None:
        gaps = np.random.default_rng(0).uniform(0.5, 1.5, 1000)
        pairs = labelled([*gaps, 0.1], [*[False] * 1000, True])
        known = threshold_at(gaps, pairs.subjects[:1000], fmr, rounds=2)
        assert error_curve(pairs).threshold(fmr) == pytest.approx(known.value, abs=1e-6)

    def test_a_small_case_by_hand(self) -> None:
        curve = error_curve(labelled([0.1, 0.2, 0.3, 0.2, 0.4, 0.5], [1, 1, 1, 0, 0, 0]))
        assert curve.thresholds.tolist() == [-np.inf, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert curve.fmr == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
        assert curve.fnmr == pytest.approx([1, 2 / 3, 1 / 3, 0, 0, 0])
        assert curve.auc() == pytest.approx(7.5 / 9)
        assert curve.eer() == pytest.approx(1 / 3)
        assert (curve.tar(0), curve.tar(0.33), curve.tar(0.34)) == pytest.approx((1 / 3, 1 / 3, 1))
        assert curve.threshold(0.1) == pytest.approx(0.15)
        assert curve.threshold(0.5) == pytest.approx(0.35)
        assert curve.threshold(1.0) == 0.5

    def test_all_distances_equal_tell_nothing(self) -> None:
        curve = error_curve(labelled([0.5] * 4, [1, 0, 0, 1], np.float32))
        assert (curve.auc(), curve.eer(), curve.tar(0.5), curve.tar(1.0)) == (0.5, 0.5, 0.0, 1.0)
        assert np.nextafter(np.float32(0.5), np.float32(0)) == curve.threshold(0.5) < 0.5

    def test_nothing_but_failures_tells_nothing_and_nothing_matches(self) -> None:
        curve = error_curve(labelled([np.nan] * 3, [1, 0, 0]))
        assert (curve.auc(), curve.eer(), curve.tar(1.0), curve.threshold(1.0)) == (0.5, 0.5, 0.0, -np.inf)
        assert (curve.fmr_at(2.0), curve.fnmr_at(2.0)) == (0.0, 1.0)

    def test_failures_stay_in_the_denominators(self) -> None:
        curve = error_curve(labelled([0.1, np.nan, 0.9, np.nan, np.nan, np.nan], [1, 1, 0, 0, 0, 0]))
        assert (curve.fmr_at(2.0), curve.fnmr_at(2.0)) == (0.25, 0.5)

    @pytest.mark.parametrize(("label", "kind"), [(True, "non-mated"), (False, "mated")])
    def test_a_missing_kind_of_pair_is_named(self, label: bool, kind: str) -> None:
        with pytest.raises(ValueError, match=f"there are no {kind} pairs"):
            error_curve(labelled([0.1, 0.2], [label, label]))

    @pytest.mark.parametrize("fmr", [-0.1, 1.1, np.nan])
    def test_a_target_that_is_no_rate_is_refused(self, fmr: float) -> None:
        curve = error_curve(labelled([0.1, 0.2], [True, False]))
        for measure in (curve.tar, curve.threshold):
            with pytest.raises(ValueError, match="a target FMR lies in"):
                measure(fmr)

    def test_a_threshold_is_a_number(self) -> None:
        with pytest.raises(ValueError, match="not a number"):
            error_curve(labelled([0.1, 0.2], [True, False])).fmr_at(np.nan)

    @pytest.mark.parametrize(
        ("thresholds", "fmr", "fnmr"),
        [
            ([], [], []),
            ([-np.inf, 0.5], [0, 1], [1]),
            ([0.5, 0.6], [0, 1], [1, 0]),
            ([-np.inf, 0.5], [0.1, 1], [1, 0]),
            ([-np.inf, 0.5, 0.5], [0, 0.5, 1], [1, 0.5, 0]),
            ([-np.inf, 0.5, 0.6], [0, 1, 0.5], [1, 0.5, 0]),
            ([-np.inf, 0.5, 0.6], [0, 0.5, 1], [1, 0.2, 0.5]),
            ([-np.inf, 0.5], [0, 1.1], [1, 0]),
            ([-np.inf, 0.5], [0, 1], [1, -0.1]),
            ([-np.inf, np.nan], [0, 1], [1, 0]),
        ],
    )
    def test_what_is_no_curve_is_refused(self, thresholds: list[float], fmr: list[float], fnmr: list[float]) -> None:
        with pytest.raises(ValueError, match="error curve"):
            ErrorCurve(np.array(thresholds, float), np.array(fmr, float), np.array(fnmr, float))


class TestWeights:
    @LAW
    @given(both_kinds(), st.sampled_from([1, 2, 0.5, 7]))
    def test_equal_weights_change_nothing(self, scores: Scores, weight: float) -> None:
        same(error_curve(scores, np.full(scores.mated.size, weight)), error_curve(scores))

    @LAW
    @given(both_kinds(), st.data())
    def test_a_weight_is_how_often_the_pair_is_there(self, scores: Scores, data: st.DataObject) -> None:
        size = scores.mated.size
        weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
        assume(weights[scores.mated].any() and weights[~scores.mated].any())
        repeated = labelled(*(np.repeat(values, weights) for values in (scores.distances, scores.mated)))
        same(error_curve(scores, weights), error_curve(repeated))

    def test_a_kind_without_weight_is_missing(self) -> None:
        with pytest.raises(ValueError, match="there are no non-mated pairs"):
            error_curve(labelled([0.1, 0.2], [True, False]), [1.0, 0.0])

    @pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
    def test_what_is_no_weight_is_refused(self, weights: list[float]) -> None:
        with pytest.raises(ValueError, match="expected 2 weights"):
            error_curve(labelled([0.1, 0.2], [True, False]), weights)

    def test_pairs_counted_beforehand_give_the_same_curve(self) -> None:
        scores = labelled([0.1, 0.1, 0.3, 0.3, np.nan], [1, 1, 1, 0, 0])
        counted = curve_of_steps(np.array([0.1, 0.3]), np.array([2.0, 1.0]), np.array([0.0, 1.0]), (0.0, 1.0))
        same(counted, error_curve(scores))


def same(one: ErrorCurve, other: ErrorCurve) -> None:
    for values, expected in zip(vars(one).values(), vars(other).values(), strict=True):
        assert values == pytest.approx(expected)


Gaps = st.floats(0, 2) | st.floats(0, 2, width=32)


class TestMidway:
    @LAW
    @given(Gaps, Gaps)
    def test_it_accepts_the_one_and_not_the_other(self, one: float, other: float) -> None:
        assume(one != other)
        near, far = sorted([one, other])
        assert near <= midway(near, far) < far
        assert midway(near, far) == pytest.approx((near + far) / 2, abs=1e-6)

    @LAW
    @given(Gaps)
    def test_below_the_first_distance_nothing_matches(self, gap: float) -> None:
        assert gap - 1e-6 < midway(-np.inf, gap) < gap

    @LAW
    @given(st.floats(0, 2, width=32), st.floats(0, 2, width=32))
    def test_it_parts_neighbours_in_float32_too(self, one: float, other: float) -> None:
        neighbours: NDArray[np.float32] = np.sort(np.array([one, np.nextafter(np.float32(one), np.float32(3))]))
        pair = np.array([one, other], np.float32)
        for near, far in (neighbours, np.sort(pair)):
            if near < far:
                assert np.array_equal(
                    np.array([near, far], np.float32) <= midway(float(near), float(far)), [True, False]
                )
        assert not (pair[:1] <= midway(-np.inf, float(pair[0]))).any()
