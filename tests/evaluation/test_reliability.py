"""How far probabilities can be trusted, against scikit-learn and against sums done by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from twinface.core.calibration import LogisticCurve, fit_probability
from twinface.core.isotonic import fit_isotonic
from twinface.evaluation.reliability import calibration_error, cross_validate, log_loss, reliability_bins
from twinface.evaluation.scores import Scores

LAW = settings(max_examples=60, deadline=None)

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


@st.composite
def judged(draw: st.DrawFn, certain: bool = True) -> tuple[Floats, Labels]:
    """Probabilities, many on the edges of bins, with labels of both kinds."""
    edge = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
    values = st.one_of(edge, st.floats(0, 1)) if certain else st.floats(1e-6, 1 - 1e-6)
    rows = draw(st.lists(st.tuples(values, st.booleans()), max_size=60))
    rows += [(draw(values), True), (draw(values), False)]
    return np.array([p for p, _ in rows]), np.array([label for _, label in rows])


def even(mated: Labels) -> Floats:
    """Weights that make both kinds count the same."""
    return np.where(mated, 0.5 / mated.sum(), 0.5 / (~mated).sum())


def error_by_hand(p: Floats, mated: Labels, bins: int) -> float:
    weight, total = even(mated), 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [
            place for place, value in enumerate(p) if low <= value < high or (number == bins - 1 and value == 1.0)
        ]
        mass = sum(weight[place] for place in inside)
        if inside:
            predicted = sum(weight[place] * p[place] for place in inside) / mass
            observed = sum(weight[place] for place in inside if mated[place]) / mass
            total += mass * abs(predicted - observed)
    return total


class TestLogLoss:
    @LAW
    @given(judged(certain=False))
    def test_it_agrees_with_scikit_learn_at_even_weights(self, case: tuple[Floats, Labels]) -> None:
        p, mated = case
        theirs = metrics.log_loss(mated, p, sample_weight=even(mated), labels=[False, True])
        assert log_loss(p, mated) == pytest.approx(theirs, rel=1e-6, abs=1e-9)

    def test_a_coin_loses_what_a_coin_loses_however_many_pairs_there_are_of_each_kind(self) -> None:
        assert log_loss(np.full(101, 0.5), np.arange(101) < 1) == pytest.approx(np.log(2))

    def test_certainty_is_free_where_right_and_ruinous_where_wrong(self) -> None:
        assert log_loss([1.0, 0.0], np.array([True, False])) == 0
        assert log_loss([1.0, 1.0], np.array([True, False])) == np.inf


class TestReliabilityBins:
    @LAW
    @given(judged(), st.sampled_from([4, 5, 10]))
    def test_every_pair_lies_in_one_bin(self, case: tuple[Floats, Labels], count: int) -> None:
        p, mated = case
        bins = reliability_bins(p, mated, count)
        assert sum(one.pairs for one in bins) == p.size
        assert sum(one.mass for one in bins) == pytest.approx(1)
        for one, after in itertools.pairwise(bins):
            assert one.high <= after.low
        for one in bins:
            assert one.low - 1e-12 <= one.predicted <= one.high + 1e-12
            assert 0 <= one.observed_low <= one.observed <= one.observed_high <= 1

    def test_both_kinds_weigh_the_same(self) -> None:
        p = np.array([0.95, 0.95, *np.full(100, 0.05), 0.92])
        mated = np.array([True, True, *np.full(100, False), False])
        low, high = reliability_bins(p, mated)
        assert (low.pairs, low.observed) == (100, 0.0)
        assert (high.pairs, high.observed) == (3, pytest.approx(0.5 / (0.5 + 0.5 / 101)))

    def test_the_interval_is_wilsons_where_both_kinds_are_equally_many(self) -> None:
        p, mated = np.full(20, 0.5), np.arange(20) < 10
        (only,) = reliability_bins(p, mated)
        assert (only.observed_low, only.observed_high) == pytest.approx((0.2993, 0.7007), abs=1e-4)

    def test_few_pairs_leave_more_doubt(self) -> None:
        widths = []
        for count in (10, 100, 1000):
            (only,) = reliability_bins(np.full(2 * count, 0.5), np.arange(2 * count) < count)
            widths.append(only.observed_high - only.observed_low)
        assert widths == sorted(widths, reverse=True)

    def test_without_bins_there_is_nothing_to_tell(self) -> None:
        with pytest.raises(ValueError, match="at least one bin"):
            reliability_bins([0.5, 0.5], np.array([True, False]), 0)


class TestCalibrationError:
    @LAW
    @given(judged(), st.sampled_from([1, 4, 5, 8]))
    def test_it_agrees_with_the_sum_by_hand(self, case: tuple[Floats, Labels], bins: int) -> None:
        assert calibration_error(*case, bins) == pytest.approx(error_by_hand(*case, bins), abs=1e-9)

    def test_probabilities_that_labels_were_drawn_from_have_next_to_none(self) -> None:
        random = np.random.default_rng(0)
        p = random.random(100_000)
        mated = random.random(p.size) < p
        assert calibration_error(p, mated) < 0.01
        assert calibration_error(1 - p, mated) > 0.3


@pytest.mark.parametrize(
    ("p", "mated"),
    [
        ([0.5], np.array([True, False])),
        ([0.5, 0.5], np.array([1, 0])),
        ([[0.5, 0.5]], np.array([[True, False]])),
        ([0.5, 0.5], np.array([True, True])),
        ([0.5, 0.5], np.array([False, False])),
        ([], np.array([], bool)),
        ([0.5, np.nan], np.array([True, False])),
        ([0.5, 1.1], np.array([True, False])),
        ([-0.1, 0.5], np.array([True, False])),
    ],
)
def test_what_cannot_be_judged_is_refused(p: list[float], mated: Labels) -> None:
    for figure in (log_loss, reliability_bins, calibration_error):
        with pytest.raises(ValueError, match=r"^reliability: "):
            figure(p, mated)


def people(count: int, pictures: int, seed: int = 0) -> Scores:
    """All pairs of people with so many pictures each."""
    subject = np.repeat(np.arange(count, dtype=np.int32), pictures)
    one, other = np.triu_indices(subject.size, 1)
    mated = subject[one] == subject[other]
    random = np.random.default_rng(seed)
    gaps = np.where(mated, random.normal(0.32, 0.07, mated.size), random.normal(0.55, 0.07, mated.size)).clip(0, 2)
    return Scores(gaps, mated, np.column_stack([subject[one], subject[other]]))


class TestCrossValidate:
    def test_no_curve_is_judged_by_persons_it_was_fitted_to(self) -> None:
        scores = people(30, 3)
        subjects = {float(gap): pair for gap, pair in zip(scores.distances, scores.subjects.tolist(), strict=True)}
        judged: list[set[int]] = []
        known: list[set[int]] = []

        class Watched(LogisticCurve):
            def at(self, distances: object) -> Floats:
                judged.append({one for gap in np.asarray(distances).tolist() for one in subjects[gap]})
                return super().at(distances)

        def fit(near: Floats, far: Floats) -> Watched:
            known.append({one for gap in [*near.tolist(), *far.tolist()] for one in subjects[gap]})
            return Watched(-40.0, 17.0, 0.01)

        found = cross_validate({"watched": fit}, scores)["watched"]
        assert len(judged) == len(known) == 5
        for here, there in zip(judged, known, strict=True):
            assert here.isdisjoint(there)
            assert len(here | there) == 30
        assert (found.mated, found.non_mated) == (90, 5 * 15 * 9)
        assert sum(one.pairs for one in found.bins) == 90 + 5 * 15 * 9

    def test_its_figures_are_those_of_the_predictions(self) -> None:
        scores = people(30, 3)
        curve = LogisticCurve(-40.0, 17.0, 0.01)
        found = cross_validate({"given": lambda near, far: curve}, scores, folds=2)["given"]
        assert 0 < found.ece < 0.2
        assert found.log_loss == pytest.approx(log_loss(curve.at(scores.distances), scores.mated), abs=0.05)

    def test_the_truer_curve_wins(self) -> None:
        coin = LogisticCurve(-1e-9, 0, 0.1)
        fits = {"logistic": fit_probability, "isotonic": fit_isotonic, "coin": lambda near, far: coin}
        found = cross_validate(fits, people(60, 5))
        assert found["coin"].log_loss == pytest.approx(np.log(2), abs=1e-6)
        assert found["logistic"].log_loss < found["isotonic"].log_loss < found["coin"].log_loss

    def test_failures_to_acquire_are_left_out_and_the_seed_repeats(self) -> None:
        scores = people(30, 3)
        gaps = scores.distances.copy()
        gaps[::7] = np.nan
        holed = Scores(gaps, scores.mated, scores.subjects)
        one, again, other = (
            cross_validate({"logistic": fit_probability}, holed, seed=seed)["logistic"] for seed in (0, 0, 1)
        )
        assert one == again != other
        assert one.mated == np.isfinite(gaps[scores.mated]).sum()

    def test_persons_with_several_pictures_are_dealt_evenly_among_those_with_one(self) -> None:
        scores = people(20, 2)
        lone = np.arange(20, 200, dtype=np.int32)
        subjects = np.concatenate([scores.subjects, np.column_stack([lone, np.roll(lone, 1)])])
        gaps = np.concatenate([scores.distances, np.full(lone.size, 0.6)])
        sizes: list[int] = []

        def fit(near: Floats, far: Floats) -> LogisticCurve:
            sizes.append(near.size)
            return LogisticCurve(-40.0, 17.0, 0.01)

        cross_validate({"sized": fit}, Scores(gaps, np.concatenate([scores.mated, lone < 0]), subjects))
        assert sizes == [16] * 5

    def test_one_fold_leaves_nothing_to_fit(self) -> None:
        with pytest.raises(ValueError, match="at least two folds"):
            cross_validate({"logistic": fit_probability}, people(30, 3), folds=1)

    def test_too_few_persons_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least ten mated pairs are needed"):
            cross_validate({"logistic": fit_probability}, people(5, 2))
