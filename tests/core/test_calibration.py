from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twinface.core import calibration, similarity
from twinface.core.calibration import (
    ENOUGH,
    FEW,
    IDENTICAL,
    LogisticCurve,
    Threshold,
    couples,
    fit_probability,
    is_tellable,
    threshold_at,
    thresholds_at,
    wilson,
)
from twinface.core.similarity import normalise

LAW = settings(max_examples=40, deadline=None)

Floats = NDArray[np.float64]


def labelled(slope: float, middle: float, count: int, seed: int) -> tuple[Floats, Floats]:
    """Distances whose labels are drawn from a known logistic curve, mated and non-mated ones."""
    random = np.random.default_rng(seed)
    distances = random.uniform(0, 2 * middle, count)
    same = random.random(count) < 1 / (1 + np.exp(-slope * (distances - middle)))
    return distances[same], distances[~same]


def everyone_with_everyone(scores: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Non-mated pairs of people, their distances taken from a symmetric table."""
    first, second = np.triu_indices(len(scores), 1)
    return scores[first, second], np.column_stack([first, second])


def strangers(count: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Pairs of which no two share a person."""
    distances = np.random.default_rng(seed).normal(0.57, 0.06, count).clip(0.1, 1.9)
    return distances, np.arange(2 * count).reshape(-1, 2)


class TestFitProbability:
    @pytest.mark.parametrize(("slope", "middle"), [(-20.0, 0.42), (-60.0, 0.42), (-8.0, 0.9)])
    def test_it_recovers_the_curve_the_labels_were_drawn_from(self, slope: float, middle: float) -> None:
        curve = fit_probability(*labelled(slope, middle, 40_000, seed=3))
        assert curve.slope == pytest.approx(slope, rel=0.05)
        assert -curve.intercept / curve.slope == pytest.approx(middle, rel=0.01)

    def test_gaussian_distances_give_the_curve_theory_gives(self) -> None:
        random = np.random.default_rng(1)
        curve = fit_probability(random.normal(0.3, 0.08, 50_000).clip(0), random.normal(0.6, 0.08, 50_000).clip(0))
        assert curve.slope == pytest.approx((0.3 - 0.6) / 0.08**2, rel=0.05)
        assert curve.probability(0.45) == pytest.approx(0.5, abs=0.02)

    @given(st.integers(2, 30))
    @settings(max_examples=10, deadline=None)
    def test_the_prior_is_one_half_however_many_pairs_there_are_of_each_kind(self, times: int) -> None:
        mated, non_mated = labelled(-30, 0.4, 4000, seed=5)
        even = fit_probability(mated, non_mated)
        uneven = fit_probability(mated, np.tile(non_mated, times))
        for distance in (0.3, 0.4, 0.5):
            assert uneven.probability(distance) == pytest.approx(even.probability(distance), abs=0.005)

    @given(st.integers(10, 200), st.integers(10, 200), st.floats(0.01, 0.5), st.floats(0.005, 0.3), st.integers(0, 99))
    @settings(max_examples=50, deadline=None)
    def test_no_curve_nearby_explains_the_labels_better(
        self, near: int, far: int, gap: float, spread: float, seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        mated, non_mated = (
            random.normal(0.5, spread, near).clip(0, 2),
            random.normal(0.5 + gap, spread, far).clip(0, 2),
        )
        if mated.mean() >= non_mated.mean():
            return
        curve = fit_probability(mated, non_mated)

        def loss(slope: float, intercept: float) -> float:
            parts = []
            for distances, target in ((mated, (near + 1) / (near + 2)), (non_mated, 1 / (far + 2))):
                odds = slope * distances + intercept
                parts.append(np.mean(np.logaddexp(0, odds) - target * odds))
            return float(np.sum(parts))

        middle = float((mated.mean() + non_mated.mean()) / 2)
        least = loss(curve.slope, curve.intercept)
        for change in (0.99, 1.01):
            turned = curve.slope * change
            assert loss(turned, curve.intercept + (curve.slope - turned) * middle) >= least - 1e-9
            shifted = curve.intercept + (change - 1)
            assert loss(curve.slope, shifted) >= least - 1e-9

    def test_classes_that_do_not_overlap_still_give_a_finite_curve_that_claims_no_certainty(self) -> None:
        curve = fit_probability(np.linspace(0.1, 0.2, 50), np.linspace(0.8, 0.9, 80))
        assert np.isfinite([curve.slope, curve.intercept]).all()
        assert curve.floor == pytest.approx(1 / 52)
        assert curve.probability(0.0) == pytest.approx(1 - 1 / 52)
        assert curve.probability(2.0) == pytest.approx(1 / 52)

    def test_gathering_many_distances_in_bins_changes_nothing_that_counts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mated, non_mated = labelled(-60, 0.42, 4 * FEW, seed=4)
        gathered = fit_probability(mated, non_mated)
        monkeypatch.setattr(calibration, "FEW", 10**9)
        plain = fit_probability(mated, non_mated)
        assert gathered != plain
        assert gathered.slope == pytest.approx(plain.slope, rel=1e-5)
        assert gathered.intercept == pytest.approx(plain.intercept, rel=1e-5)

    def test_swapped_labels_are_refused(self) -> None:
        mated, non_mated = labelled(-30, 0.4, 1000, seed=0)
        with pytest.raises(ValueError, match="are the labels swapped"):
            fit_probability(non_mated, mated)

    @pytest.mark.parametrize("few", ["mated", "non-mated"])
    def test_fewer_than_ten_pairs_of_a_kind_are_refused_naming_it(self, few: str) -> None:
        nine, many = np.full(9, 0.3 if few == "mated" else 0.6), np.full(50, 0.6 if few == "mated" else 0.3)
        with pytest.raises(ValueError, match=f"at least ten {few} pairs are needed, got 9"):
            fit_probability(*((nine, many) if few == "mated" else (many, nine)))

    @pytest.mark.parametrize("bad", [-0.1, 2.1, np.nan, np.inf])
    def test_values_that_are_no_distances_are_refused(self, bad: float) -> None:
        with pytest.raises(ValueError, match="non-mated distances must lie in"):
            fit_probability(np.full(20, 0.3), [*np.full(20, 0.6), bad])


class TestLogisticCurve:
    @LAW
    @given(st.floats(-1e4, -1e-3), st.floats(-100, 100), st.lists(st.floats(0, 2), min_size=2, max_size=9))
    def test_it_falls_with_distance_and_stays_within_its_floor(
        self, slope: float, intercept: float, distances: list[float]
    ) -> None:
        curve = LogisticCurve(slope, intercept, 0.001)
        values = [curve.probability(distance) for distance in sorted(distances)]
        assert values == sorted(values, reverse=True)
        assert all(0.001 <= value <= 0.999 for value in values)

    def test_it_is_logistic_between_the_floors(self) -> None:
        curve = LogisticCurve(-10, 5, 1e-6)
        assert curve.probability(0.5) == pytest.approx(0.5)
        assert curve.probability(0.3) == pytest.approx(1 / (1 + np.exp(-2)))

    def test_many_distances_give_what_each_of_them_gives(self) -> None:
        curve = LogisticCurve(-10, 5, 1e-6)
        many = curve.at([[0.1, 0.5], [0.9, np.nan]])
        assert many.shape == (2, 2)
        assert many[:, 0].tolist() == [curve.probability(0.1), curve.probability(0.9)]
        assert np.isnan(many[1, 1])

    @pytest.mark.parametrize(
        "values", [(0, 1, 0.1), (1, 1, 0.1), (np.nan, 1, 0.1), (-1, np.inf, 0.1), (-1, 1, 0), (-1, 1, 0.5)]
    )
    def test_a_curve_that_does_not_fall_or_has_no_floor_is_refused(self, values: tuple[float, float, float]) -> None:
        with pytest.raises(ValueError, match="slope must fall and floor lie in"):
            LogisticCurve(*values)


class TestCouples:
    @LAW
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60), st.sampled_from("iqBI"))
    def test_they_are_what_counting_gives(self, pairs: list[tuple[int, int]], kind: str) -> None:
        expected = Counter((min(pair), max(pair)) for pair in pairs)
        found, times = couples(np.array(pairs, kind).reshape(-1, 2))
        assert [tuple(one) for one in found.tolist()] == sorted(expected)
        assert times.tolist() == [expected[pair] for pair in sorted(expected)]
        assert found.dtype == times.dtype == np.int64

    def test_neither_the_order_within_pairs_nor_the_pictures_of_a_person_make_more_of_them(self) -> None:
        found, times = couples(np.array([[3, 1], [1, 3], [1, 3], [2, 1]], np.int32))
        assert found.tolist() == [[1, 2], [1, 3]]
        assert times.tolist() == [1, 3]

    def test_large_numbers_of_persons_do_not_overflow(self) -> None:
        most = np.iinfo(np.int32).max - 1
        found, _ = couples(np.array([[most, 0], [most, most - 1], [0, most]], np.int32))
        assert found.tolist() == [[0, most], [most - 1, most]]


class TestIsTellable:
    @LAW
    @given(st.integers(2, 10**7))
    def test_ten_couples_are_expected_beyond_the_threshold(self, needed: int) -> None:
        fmr = ENOUGH / (needed * ENOUGH)
        assert is_tellable(fmr, needed * ENOUGH)
        assert not is_tellable(fmr, needed * ENOUGH - 1)

    @pytest.mark.parametrize("fmr", [0.0, 1.0, -0.1, 1.5, np.nan])
    def test_what_is_no_rate_is_never_tellable(self, fmr: float) -> None:
        assert not is_tellable(fmr, 10**9)


class TestThresholdAt:
    @pytest.mark.parametrize("target", [0.001, 0.01, 0.029, 0.1, 0.29, 0.5])
    def test_just_as_many_pairs_pass_as_the_target_allows(self, target: float) -> None:
        distances, subjects = strangers(10_000)
        found = threshold_at(distances, subjects, target, rounds=2)
        assert (distances <= found.value).sum() == round(10_000 * target)
        assert found.fmr == (distances <= found.value).mean() <= target

    @given(st.lists(st.integers(1, 20), min_size=40, max_size=200), st.floats(0.3, 0.9))
    @settings(max_examples=60, deadline=None)
    def test_ties_never_lift_the_fmr_above_the_target_and_no_other_distance_could_pass(
        self, tenths: list[int], target: float
    ) -> None:
        distances = np.array(tenths) / 10
        found = threshold_at(distances, np.arange(2 * len(tenths)).reshape(-1, 2), target, rounds=2)
        assert found.fmr == (distances <= found.value).mean() <= target
        above = distances[distances > found.value]
        assert (distances <= above.min()).mean() > target

    def test_it_does_not_fall_as_the_target_grows(self) -> None:
        distances, subjects = strangers(2000)
        values = [threshold_at(distances, subjects, target, rounds=2).value for target in np.linspace(0.01, 0.9, 30)]
        assert values == sorted(values)
        assert len(set(values)) == len(values)

    def test_identical_faces_of_two_people_do_not_open_the_door(self) -> None:
        distances, subjects = strangers(100)
        distances[:30] = 0.3
        found = threshold_at(distances, subjects, 0.2, rounds=2)
        assert found.fmr == 0
        assert found.value < 0.3

    @pytest.mark.parametrize("gap", [0.0, 3.5e-4, 1e-3])
    def test_more_identical_pictures_than_the_target_allows_are_refused(self, gap: float) -> None:
        # given twenty pairs of one picture each, whose templates float32 tells apart or not
        distances, subjects = strangers(100)
        distances[:20] = np.linspace(0, gap, 20)
        for target in (0.1, 0.15):
            with pytest.raises(ValueError, match=f"more than one in {1 / target:.0f} non-mated pairs .* identical"):
                threshold_at(distances, subjects, target, rounds=2)
        with pytest.raises(ValueError, match="identical pictures; persons have been mixed up"):
            thresholds_at(distances, subjects, [0.5, 0.1], rounds=2)
        assert threshold_at(distances, subjects, 0.2, rounds=2).value > 0.1

    def test_identical_templates_are_identical_however_long_they_are(self) -> None:
        for dimension in (8, 128, 512, 2048):
            vectors = normalise(np.random.default_rng(dimension).normal(size=(500, dimension)))
            assert np.diag(similarity.distances(vectors, vectors)).max() < IDENTICAL

    def test_several_targets_at_once_give_what_each_alone_gives(self) -> None:
        pairs = everyone_with_everyone(np.random.default_rng(1).normal(0.57, 0.06, (80, 80)))
        targets = [0.2, 0.05, 0.01]
        together = thresholds_at(*pairs, targets, rounds=40)
        assert together == [threshold_at(*pairs, target, rounds=40) for target in targets]

    def test_the_order_of_the_pairs_does_not_matter(self) -> None:
        distances, subjects = strangers(1000)
        shuffled = np.random.default_rng(2).permutation(1000)
        one, other = (threshold_at(distances[way], subjects[way], 0.05) for way in (np.arange(1000), shuffled))
        assert one == other

    @given(st.integers(0, 50), st.sampled_from([0.02, 0.1, 0.4]))
    @settings(max_examples=25, deadline=None)
    def test_the_interval_holds_the_value_and_the_seed_repeats_it(self, seed: int, target: float) -> None:
        scores = np.random.default_rng(seed).normal(0.57, 0.06, (40, 40))
        pairs = everyone_with_everyone(scores)
        found = threshold_at(*pairs, target, rounds=30, seed=seed)
        assert found.low <= found.value <= found.high
        assert found == threshold_at(*pairs, target, rounds=30, seed=seed)

    def test_pairs_that_share_lookalikes_leave_more_doubt_than_as_many_strangers(self) -> None:
        random = np.random.default_rng(0)
        common = random.normal(0, 0.05, 60)
        scores = 0.57 + common[:, None] + common[None] + random.normal(0, 0.01, (60, 60))
        distances, subjects = everyone_with_everyone(scores)
        naive = np.arange(2 * distances.size).reshape(-1, 2)
        honest, blind = threshold_at(distances, subjects, 0.05), threshold_at(distances, naive, 0.05)

        def width(threshold: Threshold) -> float:
            return threshold.high - threshold.low

        assert honest.value == blind.value
        assert width(honest) > 2 * width(blind)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self) -> None:
        truth = 0.57 - 1.2815516 * 0.06
        held = [
            found.low <= truth <= found.high
            for found in (threshold_at(*strangers(400, seed), 0.1, rounds=100, seed=seed) for seed in range(50))
        ]
        assert np.mean(held) > 0.85

    @pytest.mark.parametrize(
        ("count", "target", "said"),
        [(999, 0.01, "1,000 couples .* got 999"), (9_999, 0.001, "10,000 .* got 9,999"), (50, 0.1, "100 .* got 50")],
    )
    def test_too_few_couples_are_refused_naming_how_many_it_takes(self, count: int, target: float, said: str) -> None:
        with pytest.raises(ValueError, match=f"FMR {target:g} takes {said}$"):
            threshold_at(*strangers(count), target)

    @pytest.mark.parametrize(("count", "target"), [(1000, 0.01), (10_000, 0.001), (100, 0.1)])
    def test_just_enough_couples_are_enough(self, count: int, target: float) -> None:
        assert threshold_at(*strangers(count), target, rounds=2).fmr == target

    def test_many_pictures_of_few_persons_are_refused_although_pairs_are_plenty(self) -> None:
        # given 20 persons, 190 couples, with 100 pairs of pictures each
        distances, subjects = everyone_with_everyone(np.random.default_rng(0).normal(0.57, 0.06, (20, 20)))
        distances, subjects = np.repeat(distances, 100), np.repeat(subjects, 100, axis=0)
        with pytest.raises(ValueError, match=r"FMR 0\.01 takes 1,000 couples of different persons, got 190$"):
            threshold_at(distances, subjects, 0.01)
        assert threshold_at(distances, subjects, 0.1, rounds=2).fmr <= 0.1

    def test_for_few_persons_pictures_make_a_threshold_no_surer(self) -> None:
        # given couples of persons who differ in how alike they look, and some 19,000 pairs either way
        def error(persons: int, shots: int, seed: int) -> float:
            random = np.random.default_rng(seed)
            known = persons * (persons - 1) // 2
            gaps = np.repeat(random.normal(0.57, 0.06, known), shots) + random.normal(0, 0.01, known * shots)
            return float(np.quantile(gaps, 0.01)) - (0.57 - 2.3263 * np.hypot(0.06, 0.01))

        few, many = (np.std([error(*sizes, seed) for seed in range(40)]) for sizes in ((20, 100), (196, 1)))

        # then the threshold for FMR 1e-2, which takes 1,000 couples, errs several times as much on 190 of them
        assert few > 3 * many

    @pytest.mark.parametrize("target", [0.0, 1.0, -0.1, 1.5, np.nan])
    def test_a_target_that_is_no_share_is_refused(self, target: float) -> None:
        with pytest.raises(ValueError, match="threshold: FMR"):
            threshold_at(*strangers(1000), target)

    def test_every_pair_has_two_people(self) -> None:
        distances, subjects = strangers(1000)
        for wrong in (subjects[:-1], subjects.ravel(), subjects[:, :1], subjects - 1, subjects + 0.5):
            with pytest.raises(ValueError, match="subjects must be 1000 pairs of integers from 0"):
                threshold_at(distances, wrong, 0.1)


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "trials", "low", "high"),
        [(5, 10, 0.2366, 0.7634), (1, 10, 0.0179, 0.4042), (81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611)],
    )
    def test_known_intervals(self, successes: int, trials: int, low: float, high: float) -> None:
        assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)

    @LAW
    @given(st.integers(1, 5000), st.data())
    def test_it_holds_the_share_and_mirrors_with_it(self, trials: int, data: st.DataObject) -> None:
        successes = data.draw(st.integers(0, trials))
        low, high = wilson(successes, trials)
        assert 0 <= low <= successes / trials <= high <= 1
        assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)

    def test_more_trials_leave_less_doubt(self) -> None:
        widths = [high - low for low, high in (wilson(count // 10, count) for count in (10, 100, 1000, 10_000))]
        assert widths == sorted(widths, reverse=True)

    @pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5), (1, -1)])
    def test_what_is_no_proportion_is_refused(self, successes: int, trials: int) -> None:
        with pytest.raises(ValueError, match="is no proportion"):
            wilson(successes, trials)
