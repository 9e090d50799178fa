"""Accuracy as LFW's View 2 reports it, and what a threshold makes of pairs."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from twinface.evaluation.curves import error_curve
from twinface.evaluation.scores import Scores
from twinface.evaluation.verification import Confusion, best_threshold, confusion, folded_accuracy

LAW = settings(deadline=None)
Pairs = list[tuple[float, bool]]
SOME = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30)
SOME_FAILED = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, np.nan]), st.booleans()), min_size=1, max_size=30)


def labelled(pairs: Pairs) -> Scores:
    mated = np.array([same for _, same in pairs])
    first = np.arange(mated.size) * 2
    return Scores(np.array([gap for gap, _ in pairs]), mated, np.column_stack([first, first + ~mated]))


def slow_best(distances: np.ndarray, mated: np.ndarray) -> int:
    """The most pairs any threshold judges rightly, tried one by one."""
    tries = [-1.0, *distances.tolist()]
    return max(int(((distances <= threshold) == mated).sum()) for threshold in tries)


class TestConfusion:
    @LAW
    @given(SOME_FAILED, st.sampled_from([-np.inf, 0.1, 0.2, 0.3, 0.5, 2.0]))
    def test_every_pair_is_in_one_count(self, pairs: Pairs, threshold: float) -> None:
        expected = [0] * 6
        for gap, mated in pairs:
            if gap != gap:
                expected[4 if mated else 5] += 1
            elif gap <= threshold:
                expected[0 if mated else 1] += 1
            else:
                expected[3 if mated else 2] += 1
        assert astuple(confusion(labelled(pairs), threshold)) == tuple(expected)

    @LAW
    @given(SOME, st.sampled_from([0.1, 0.2, 0.3, 0.5]))
    def test_without_failures_the_figures_are_scikit_learns(self, pairs: Pairs, threshold: float) -> None:
        counts = confusion(labelled(pairs), threshold)
        mated, match = [same for _, same in pairs], [gap <= threshold for gap, _ in pairs]
        nan = float("nan")
        precision, recall, f1, _ = precision_recall_fscore_support(mated, match, average="binary", zero_division=nan)
        assert counts.accuracy == accuracy_score(mated, match)
        for found, expected in ((counts.precision, precision), (counts.recall, recall), (counts.f1, f1)):
            assert (nan if found is None else found) == pytest.approx(expected, nan_ok=True)

    @LAW
    @given(SOME_FAILED, st.sampled_from([0.1, 0.3, 0.5]))
    def test_a_failed_pair_is_an_error_but_no_match(self, pairs: Pairs, threshold: float) -> None:
        # in accuracy each failed pair is judged wrongly; elsewhere it is a pair that did not match
        counts = confusion(labelled(pairs), threshold)
        mated, match = [same for _, same in pairs], [gap <= threshold for gap, _ in pairs]
        wrong = [not same if gap != gap else gap <= threshold for gap, same in pairs]
        assert counts.accuracy == accuracy_score(mated, wrong)
        precision, recall, f1, _ = precision_recall_fscore_support(mated, match, average="binary", zero_division=np.nan)
        for found, expected in ((counts.precision, precision), (counts.recall, recall), (counts.f1, f1)):
            assert (np.nan if found is None else found) == pytest.approx(expected, nan_ok=True)
        if {*mated} == {True, False}:
            curve = error_curve(labelled(pairs))
            assert (counts.fmr, counts.fnmr) == pytest.approx((curve.fmr_at(threshold), curve.fnmr_at(threshold)))

    def test_a_case_by_hand(self) -> None:
        counts = Confusion(6, 1, 8, 2, failed_mated=2, failed_non_mated=1)
        assert (counts.mated, counts.non_mated) == (10, 10)
        assert counts.accuracy == 14 / 20
        assert counts.precision == 6 / 7
        assert counts.recall == 6 / 10
        assert counts.f1 == pytest.approx(2 * (6 / 7) * (6 / 10) / (6 / 7 + 6 / 10))
        assert counts.fmr == 1 / 10
        assert counts.fnmr == 4 / 10

    def test_what_has_no_denominator_is_unknown(self) -> None:
        nothing, apart = Confusion(0, 0, 0, 0), Confusion(0, 0, 5, 0)
        assert [nothing.accuracy, nothing.precision, nothing.recall, nothing.f1, nothing.fmr, nothing.fnmr] == [
            None
        ] * 6
        assert [apart.accuracy, apart.precision, apart.recall, apart.f1, apart.fmr, apart.fnmr] == [
            1, None, None, None, 0, None,
        ]  # fmt: skip

    def test_counts_add_up(self) -> None:
        assert Confusion(1, 2, 3, 4, 5, 6) + Confusion(10, 20, 30, 40, 50, 60) == Confusion(11, 22, 33, 44, 55, 66)

    def test_a_threshold_is_not_rounded_to_the_floats_of_the_distances(self) -> None:
        gaps = np.array([0.1], np.float32)  # a little above 0.1
        scores = Scores(gaps, np.array([True]), np.array([[0, 0]]))
        assert confusion(scores, 0.1).true_matches == 0
        assert confusion(scores, float(gaps[0])).true_matches == 1

    def test_a_threshold_is_a_number(self) -> None:
        with pytest.raises(ValueError, match="not a number"):
            confusion(labelled([(0.1, True)]), np.nan)


class TestBestThreshold:
    @LAW
    @given(SOME)
    def test_no_threshold_does_better(self, pairs: Pairs) -> None:
        scores = labelled(pairs)
        threshold = best_threshold(scores.distances, scores.mated)
        judged = (scores.distances <= threshold) == scores.mated
        assert int(judged.sum()) == slow_best(scores.distances, scores.mated)

    def test_it_lies_between_two_parted_kinds(self) -> None:
        best = best_threshold(np.array([0.1, 0.2, 0.6, 0.7]), np.array([True, True, False, False]))
        assert best == pytest.approx(0.4)

    def test_of_equally_good_ones_it_is_the_middle_one(self) -> None:
        best = best_threshold(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), np.array([True, False] * 3))
        assert best == pytest.approx(0.35)

    @LAW
    @given(SOME, st.lists(st.booleans(), max_size=9))
    def test_failures_do_not_move_it(self, pairs: Pairs, failed: list[bool]) -> None:
        some, more = labelled(pairs), labelled([*pairs, *((np.nan, same) for same in failed)])
        assert best_threshold(some.distances, some.mated) == best_threshold(more.distances, more.mated)

    def test_neighbouring_floats_are_parted(self) -> None:
        for dtype in (np.float32, np.float64):
            gaps = np.array([0.3, np.nextafter(dtype(0.3), dtype(1))], dtype)
            assert (gaps <= best_threshold(gaps, np.array([True, False]))).tolist() == [True, False]

    @pytest.mark.parametrize("distances", [[], [np.nan, np.nan]])
    def test_without_distances_there_is_none(self, distances: list[float]) -> None:
        with pytest.raises(ValueError, match="no pair has a distance"):
            best_threshold(np.array(distances), np.ones(len(distances), bool))


class TestFoldedAccuracy:
    def test_each_fold_is_judged_by_the_others_threshold(self) -> None:
        # fold 0 is best parted at 0.4, fold 1 at 0.8: each misjudges the other's pairs in between
        distances = [0.3, 0.5, 0.7, 0.9]
        result = folded_accuracy(distances, [True, False, True, False], [0, 0, 1, 1])
        assert result.thresholds == pytest.approx((0.8, 0.4))
        assert result.folds == (0.5, 0.5)
        assert result.mean == 0.5
        assert result.deviation == 0.0
        assert result.confusion == Confusion(1, 1, 1, 1)

    def test_a_failure_is_an_error_of_its_fold_mated_or_not(self) -> None:
        distances = [0.1, 0.9, np.nan, 0.1, 0.9, np.nan]
        result = folded_accuracy(distances, [True, False, True, True, False, False], [0, 0, 0, 1, 1, 1])
        assert result.folds == pytest.approx((2 / 3, 2 / 3))
        assert result.confusion == Confusion(2, 0, 2, 0, failed_mated=1, failed_non_mated=1)

    @LAW
    @given(
        st.lists(
            st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9, np.nan]), st.booleans(), st.integers(0, 2)),
            min_size=1, max_size=40,
        )
    )  # fmt: skip
    def test_it_is_what_counting_fold_by_fold_gives(self, pairs: list[tuple[float, bool, int]]) -> None:
        pairs = [*pairs, (0.1, True, 0), (0.9, False, 1), (0.2, True, 2)]
        result = folded_accuracy(*zip(*pairs, strict=True))
        for fold, (accuracy, threshold) in enumerate(zip(result.folds, result.thresholds, strict=True)):
            others = [(gap, same) for gap, same, number in pairs if number != fold and gap == gap]
            gaps, mated = np.array([gap for gap, _ in others]), np.array([same for _, same in others])
            assert ((gaps <= threshold) == mated).sum() == slow_best(gaps, mated)
            own = [gap == gap and (gap <= threshold) == same for gap, same, number in pairs if number == fold]
            assert accuracy == sum(own) / len(own)
        assert result.mean == pytest.approx(sum(result.folds) / 3)
        assert result.deviation == pytest.approx(np.std(result.folds, ddof=1))
        judged = [len([1 for _, _, number in pairs if number == fold]) for fold in range(3)]
        right = sum(share * count for share, count in zip(result.folds, judged, strict=True))
        assert result.confusion.mated + result.confusion.non_mated == len(pairs)
        assert result.confusion.accuracy == pytest.approx(right / len(pairs))

    @pytest.mark.parametrize(
        ("distances", "mated", "folds", "said"),
        [
            ([0.1, 0.2], [True], [0, 1], "three equal lengths"),
            ([0.1, 0.2], [True, False], [0, 0], "at least two folds"),
            ([0.1, np.nan], [True, False], [0, 1], "all failed to acquire"),
        ],
    )
    def test_what_cannot_be_folded_is_refused(
        self, distances: list[float], mated: list[bool], folds: list[int], said: str
    ) -> None:
        with pytest.raises(ValueError, match=said):
            folded_accuracy(distances, mated, folds)
