"""Intervals from resampling persons: against a slow reference, known truths and the promises of the method."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from twinface.evaluation import bootstrap
from twinface.evaluation.bootstrap import Difference, paired_difference, share_by_person, subject_bootstrap
from twinface.evaluation.curves import ErrorCurve, error_curve
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.scores import Scores

MEASURES = {
    "auc": ErrorCurve.auc,
    "eer": ErrorCurve.eer,
    "tar": lambda curve: curve.tar(0.1),
    "threshold": lambda curve: curve.threshold(0.1),
}


def crowd(people: int, pairs: int, seed: int, dtype: type = np.float64) -> Scores:
    """Random pairs of a few persons, a third of them mated, one in twenty failed."""
    random = np.random.default_rng(seed)
    subjects = random.integers(0, people, (pairs, 2))
    subjects[::3, 1] = subjects[::3, 0]
    mated = subjects[:, 0] == subjects[:, 1]
    gaps = random.normal(np.where(mated, 0.4, 0.6), 0.08).clip(0, 2).round(3).astype(dtype)
    gaps[random.random(pairs) < 0.05] = np.nan
    return Scores(gaps, mated, subjects.astype(np.int32))


def draws(count: int, seed: int) -> list[int]:
    """Persons drawn in the first round, one by one."""
    return np.random.default_rng(seed).integers(0, count, count).tolist()


class TestSubjectBootstrap:
    @given(st.integers(5, 30), st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_a_round_is_the_curve_of_pairs_as_often_there_as_their_persons_were_drawn(
        self, people: int, seed: int
    ) -> None:
        scores = crowd(people, 100, seed)
        known = sorted(set(scores.subjects.ravel().tolist()))
        times = Counter(known[place] for place in draws(len(known), seed))
        weights = [times[one] if one == other else times[one] * times[other] for one, other in scores.subjects.tolist()]
        expected = error_curve(scores, weights)
        found = subject_bootstrap(scores, MEASURES, rounds=1, seed=seed)
        for name, measure in MEASURES.items():
            value, other = measure(error_curve(scores)), measure(expected)
            assert vars(found[name]) == pytest.approx(vars(Interval(value, min(value, other), max(value, other))))

    @given(st.integers(3, 30), st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_intervals_hold_the_value_and_the_seed_repeats_them(self, people: int, seed: int) -> None:
        scores = crowd(people, 60, seed)
        found = subject_bootstrap(scores, MEASURES, rounds=20, seed=seed)
        assert found == subject_bootstrap(scores, MEASURES, rounds=20, seed=seed)
        for name, measure in MEASURES.items():
            assert found[name].low <= found[name].value == measure(error_curve(scores)) <= found[name].high

    def test_neither_the_order_nor_the_names_of_the_persons_matter(self) -> None:
        scores = crowd(20, 300, 0)
        way = np.random.default_rng(1).permutation(300)
        turned = Scores(scores.distances[way], scores.mated[way], scores.subjects[way][:, ::-1] * 7 + 3)
        one, other = (subject_bootstrap(pairs, MEASURES, rounds=30) for pairs in (scores, turned))
        for name in MEASURES:
            assert vars(one[name]) == pytest.approx(vars(other[name]))

    def test_pairs_that_share_persons_leave_more_doubt_than_as_many_strangers(self) -> None:
        random = np.random.default_rng(0)
        common = random.normal(0, 0.05, 60)
        first, second = np.triu_indices(60)
        gaps = np.where(first == second, 0.45, 0.57) + common[first] + common[second] + random.normal(0, 0.01, 1830)
        persons = np.column_stack([first, second]).astype(np.int32)
        honest = Scores(gaps.clip(0), first == second, persons)
        naive = np.arange(1830) * 2
        blind = Scores(gaps.clip(0), first == second, np.column_stack([naive, naive + (first != second)]))
        one, other = (subject_bootstrap(pairs, {"fmr": fmr_at_half})["fmr"] for pairs in (honest, blind))
        assert one.value == other.value
        assert one.high - one.low > 2 * (other.high - other.low)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self) -> None:
        held = []
        for seed in range(60):
            random = np.random.default_rng(seed)
            persons = np.arange(800).reshape(-1, 2).astype(np.int32)
            persons[::2, 1] = persons[::2, 0]
            mated = persons[:, 0] == persons[:, 1]
            gaps = random.normal(np.where(mated, 0.4, 0.6), 0.1).clip(0, 2)
            found = subject_bootstrap(Scores(gaps, mated, persons), {"auc": ErrorCurve.auc}, rounds=100, seed=seed)
            held.append(
                found["auc"].low <= 0.921350 <= found["auc"].high
            )  # the normal distribution at 0.2 / sqrt(0.02)
        assert np.mean(held) > 0.85

    def test_a_coarse_curve_gives_almost_the_same_intervals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(0)
        subjects = random.integers(0, 400, (40_000, 2)).astype(np.int32)
        subjects[::10, 1] = subjects[::10, 0]
        mated = subjects[:, 0] == subjects[:, 1]
        scores = Scores(random.normal(np.where(mated, 0.4, 0.6), 0.08).clip(0, 2), mated, subjects)
        fine = subject_bootstrap(scores, MEASURES, rounds=20)
        monkeypatch.setattr(bootstrap, "MOST_STEPS", 4096)
        coarse = subject_bootstrap(scores, MEASURES, rounds=20)
        assert coarse != fine
        for name in MEASURES:
            assert coarse[name].value == fine[name].value
            assert vars(coarse[name]) == pytest.approx(vars(fine[name]), abs=1e-3)

    def test_rounds_without_a_kind_of_pair_are_drawn_anew(self) -> None:
        scores = Scores(np.array([0.2, 0.8]), np.array([True, False]), np.array([[0, 0], [1, 2]], np.int32))
        assert subject_bootstrap(scores, {"auc": ErrorCurve.auc}, rounds=50)["auc"] == Interval(1.0, 1.0, 1.0)

    def test_failures_stay_in_the_denominators(self) -> None:
        scores = Scores(
            np.array([np.nan] * 3 + [0.8]), np.array([True] * 3 + [False]),
            np.array([[0, 0], [1, 1], [2, 2], [0, 1]], np.int32),
        )  # fmt: skip
        assert subject_bootstrap(scores, {"tar": lambda curve: curve.tar(1.0)})["tar"] == Interval(0.0, 0.0, 0.0)

    def test_one_person_makes_no_non_mated_pairs(self) -> None:
        scores = Scores(np.array([0.1, 0.2]), np.array([True, True]), np.zeros((2, 2), np.int32))
        with pytest.raises(ValueError, match="there are no non-mated pairs"):
            subject_bootstrap(scores, MEASURES)

    def test_a_measure_that_is_not_finite_is_named(self) -> None:
        scores = Scores(np.array([np.nan, np.nan]), np.array([True, False]), np.array([[0, 0], [0, 1]], np.int32))
        with pytest.raises(ValueError, match="'threshold' is not finite"):
            subject_bootstrap(scores, MEASURES, rounds=2)

    def test_without_rounds_there_is_no_interval(self) -> None:
        with pytest.raises(ValueError, match="at least one round"):
            subject_bootstrap(crowd(5, 30, 0), MEASURES, rounds=0)

    def test_ten_million_pairs_fit_in_two_gigabytes(self) -> None:
        pytest.importorskip("resource", reason="how much memory a program took")
        subprocess.run([sys.executable, "-c", TEN_MILLION], check=True, timeout=300)


TEN_MILLION = textwrap.dedent("""
    import resource
    import sys
    from pathlib import Path

    import numpy as np

    from twinface.evaluation.bootstrap import subject_bootstrap
    from twinface.evaluation.curves import ErrorCurve
    from twinface.evaluation.scores import Scores
    from twinface.evaluation.verification import confusion

    def most_memory():
        status = Path("/proc/self/status")  # ru_maxrss would count what the parent held before this program started
        if status.exists():
            return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    random = np.random.default_rng(0)
    persons = random.integers(0, 5000, (10_000_000, 2), dtype=np.int32)
    persons[::40, 1] = persons[::40, 0]
    mated = persons[:, 0] == persons[:, 1]
    gaps = random.standard_normal(mated.size, dtype=np.float32)
    gaps *= 0.06
    gaps += np.where(mated, np.float32(0.35), np.float32(0.6))
    scores = Scores(gaps, mated, persons)
    found = subject_bootstrap(scores, {"auc": ErrorCurve.auc, "tar": lambda curve: curve.tar(0.001)}, rounds=3)
    assert abs(found["auc"].value - 0.9984) < 0.0005, found
    assert found["tar"].high - found["tar"].low < 0.01, found
    assert confusion(scores, 0.475).accuracy > 0.98
    assert most_memory() < 2e9, most_memory()
""")


def fmr_at_half(curve: ErrorCurve) -> float:
    return curve.fmr_at(0.5)


Rights = NDArray[np.bool_]


def strangers(count: int) -> NDArray[np.int32]:
    """Mated pairs of as many persons."""
    return np.arange(count, dtype=np.int32).repeat(2).reshape(-1, 2)


class TestShareByPerson:
    @given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=60), st.integers(0, 9))
    @settings(max_examples=60, deadline=None)
    def test_it_is_what_drawing_persons_one_by_one_gives(self, trials: list[tuple[int, bool]], seed: int) -> None:
        persons, errors = [person for person, _ in trials], [wrong for _, wrong in trials]
        found = share_by_person(errors, persons, rounds=30, seed=seed)
        known = sorted(set(persons))
        value = sum(errors) / len(errors)
        if value in (0, 1):
            assert found == rate(sum(errors), len(errors), len(known))
            return
        random, shares = np.random.default_rng(seed), []
        for _ in range(30):
            drawn = [known[place] for place in random.integers(0, len(known), len(known))]
            outcomes = [wrong for one in drawn for person, wrong in trials if person == one]
            shares.append(sum(outcomes) / len(outcomes))
        low, high = np.quantile(shares, [0.025, 0.975])
        alone = rate(sum(errors), len(errors))  # an error was seen, and a trial without: perfection is no end
        low, high = low if low > 0 else alone.low, high if high < 1 else alone.high
        assert vars(found) == pytest.approx({"value": value, "low": min(low, value), "high": max(high, value)})

    @pytest.mark.parametrize("each", [1, 3, 50])
    def test_no_error_bounds_the_share_at_three_over_the_persons_and_not_the_trials(self, each: int) -> None:
        persons = np.arange(60).repeat(each)
        assert share_by_person(np.zeros(persons.size, bool), persons) == Interval(0.0, 0.0, 3 / 60)
        assert share_by_person(np.ones(persons.size, bool), persons) == Interval(1.0, 1 - 3 / 60, 1.0)

    def test_with_one_trial_a_person_it_is_the_binomial_interval(self) -> None:
        found = share_by_person(np.arange(400) < 80, np.arange(400), rounds=4000)
        exact = binomtest(80, 400).proportion_ci(0.95, method="wilson")
        assert found.value == 0.2
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.006)

    def test_trials_of_one_person_are_no_independent_evidence(self) -> None:
        errors = np.arange(400) < 80  # one person in five fails always
        alone, ten = share_by_person(errors, np.arange(400)), share_by_person(errors, np.arange(400) // 10)
        assert alone.value == ten.value
        assert ten.high - ten.low > 2.5 * (alone.high - alone.low)

    def test_neither_the_order_nor_the_names_of_the_persons_matter(self) -> None:
        random = np.random.default_rng(0)
        errors, persons = random.random(200) < 0.2, random.integers(0, 40, 200)
        way = random.permutation(200)
        assert share_by_person(errors, persons) == share_by_person(errors[way], persons[way] * 5 + 2)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self) -> None:
        held = []
        for seed in range(100):
            random = np.random.default_rng(seed)
            errors = random.random((80, 5)) < random.beta(1, 4, (80, 1))  # a fifth fails, of some persons more
            found = share_by_person(errors.ravel(), np.arange(80).repeat(5), rounds=200, seed=seed)
            held.append(found.low <= 0.2 <= found.high)
        assert np.mean(held) > 0.87

    @pytest.mark.parametrize(
        ("errors", "persons"), [([], []), ([True], [0, 1]), ([True, False], [0]), ([[True]], [[0]])]
    )
    def test_what_cannot_be_shared_is_refused(self, errors: object, persons: object) -> None:
        with pytest.raises(ValueError, match="share: expected two lengths"):
            share_by_person(np.asarray(errors, bool), np.asarray(persons, int))


class TestPairedDifference:
    @given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 9))
    @settings(max_examples=25, deadline=None)
    def test_systems_that_err_alike_do_not_differ(self, right: list[bool], seed: int) -> None:
        assert paired_difference(right, right, strangers(len(right)), rounds=20, seed=seed) == Difference(0, 0, 0, 1)

    @pytest.mark.parametrize("people", [4, 12, 60])
    def test_it_is_what_counting_gives(self, people: int) -> None:
        random = np.random.default_rng(people)
        persons = random.integers(0, people, (50, 2))
        persons[: people // 2] = np.arange(people // 2 * 2).reshape(-1, 2)  # everybody is there
        one, other = random.random(50) < 0.9, random.random(50) < 0.7
        gains = [int(a) - int(b) for a, b in zip(one, other, strict=True)]
        value = sum(gains) / 50
        parts = [((gain - value) / 50, set(pair)) for gain, pair in zip(gains, persons.tolist(), strict=True)]
        shared = sum(part * more for part, these in parts for more, those in parts if these & those)
        lone = sum(part * more for part, these in parts for more, those in parts if these == those)
        variance = max(shared, lone)
        off, source = [], np.random.default_rng(5)
        for _ in range(20):
            times = Counter(source.integers(0, people, people).tolist())
            weights = [times[a] if a == b else times[a] * times[b] for a, b in persons.tolist()]
            gained = sum(weight * gain for weight, gain in zip(weights, gains, strict=True)) / sum(weights)
            off.append(abs(gained - value))
        scale = (variance / (sum(gap**2 for gap in off) / 20)) ** 0.5
        half = np.quantile([scale * gap for gap in off], 0.95)
        p = (1 + sum(scale * gap >= abs(value) for gap in off)) / 21
        found = paired_difference(one, other, persons, rounds=20, seed=5)
        assert vars(found) == pytest.approx({"value": value, "low": value - half, "high": value + half, "p": p})

    @given(st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_swapping_the_systems_mirrors_the_answer(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        one, other = random.random(80) < 0.9, random.random(80) < 0.7
        there, back = (paired_difference(*pair, strangers(80), rounds=50) for pair in ((one, other), (other, one)))
        assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
        assert there.p == back.p

    @given(st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_the_test_and_the_interval_agree(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        one, other = random.random(200) < 0.9, random.random(200) < 0.83
        found = paired_difference(one, other, strangers(200), rounds=199)
        assert found.low <= found.value <= found.high
        if found.p > 0.06:
            assert found.low <= 0 <= found.high
        if found.p < 0.04:
            assert found.low > 0 or found.high < 0

    def test_among_independent_pairs_it_agrees_with_the_exact_test(self) -> None:
        one, other = np.ones(1000, bool), np.ones(1000, bool)
        one[:20], other[20:60] = False, False
        found = paired_difference(one, other, strangers(1000))
        assert found.value == pytest.approx(0.02)
        assert found.p == pytest.approx(binomtest(20, 60).pvalue, abs=0.01)
        assert (found.low, found.high) == pytest.approx((0.02 - 1.96 * 0.0077, 0.02 + 1.96 * 0.0077), abs=0.002)

    @pytest.mark.parametrize("crowd", ["all mated", "strangers", "some shared", "everyone with everyone"])
    def test_equal_systems_are_told_apart_about_as_often_as_p_says(self, crowd: str) -> None:
        persons = {
            "all mated": strangers(400),
            "strangers": np.arange(800).reshape(-1, 2),
            "some shared": np.random.default_rng(0).integers(0, 500, (400, 2)),
            "everyone with everyone": np.column_stack(np.triu_indices(28)),
        }[crowd]
        found = []
        for seed in range(150):
            random = np.random.default_rng(seed)
            skill = random.beta(2, 20, (2, 800)) if crowd == "everyone with everyone" else np.full((2, 800), 0.05)
            wrong = skill[:, persons].sum(axis=2)
            one, other = random.random(wrong.shape) >= wrong
            found.append(paired_difference(one, other, persons, rounds=99, seed=seed).p)
        assert np.mean(np.array(found) <= 0.05) < 0.11
        assert np.mean(found) == pytest.approx(0.5, abs=0.08)

    def test_pairs_of_one_person_are_no_independent_evidence(self) -> None:
        one, other = np.ones(200, bool), np.ones(200, bool)
        other[:20] = False
        one_person = np.concatenate([np.zeros(20, int), np.arange(1, 181)]).repeat(2).reshape(-1, 2)
        assert paired_difference(one, other, strangers(200)).p < 0.01
        assert paired_difference(one, other, one_person).p > 0.2

    def test_p_is_never_zero(self) -> None:
        found = paired_difference(np.ones(500, bool), np.arange(500) % 2, strangers(500), rounds=99)
        assert found.p == 0.01

    @pytest.mark.parametrize(
        ("one", "other", "persons", "rounds"),
        [
            ([], [], np.zeros((0, 2), int), 9),
            ([True], [True, False], [[0, 0]], 9),
            ([True], [True], [[0, 0, 0]], 9),
            ([True], [True], [[-1, 0]], 9),
            ([True], [True], [[0, 0]], 0),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, one: Rights, other: Rights, persons: object, rounds: int) -> None:
        with pytest.raises(ValueError, match="difference"):
            paired_difference(one, other, np.asarray(persons), rounds=rounds)
