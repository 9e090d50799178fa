"""Accuracy as LFW's View 2 reports it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.evaluation.verification import best_threshold, folded_accuracy


def slow_best(distances: np.ndarray, mated: np.ndarray) -> int:
    """The most pairs any threshold judges rightly, tried one by one."""
    tries = [-1.0, *distances.tolist()]
    return max(int(((distances <= threshold) == mated).sum()) for threshold in tries)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_does_better(pairs: list[tuple[float, bool]]) -> None:
    distances, mated = np.array([gap for gap, _ in pairs]), np.array([same for _, same in pairs])
    threshold = best_threshold(distances, mated)
    assert int(((distances <= threshold) == mated).sum()) == slow_best(distances, mated)


def test_the_threshold_lies_between_two_parted_kinds() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.7]), np.array([True, True, False, False])) == pytest.approx(0.4)


def test_each_fold_is_judged_by_the_others_threshold() -> None:
    # fold 0 is best parted at 0.4, fold 1 at 0.8: each misjudges the other's pairs in between
    distances = [0.3, 0.5, 0.7, 0.9]
    result = folded_accuracy(distances, [True, False, True, False], [0, 0, 1, 1])
    assert result.thresholds == pytest.approx((0.8, 0.4))
    assert result.folds == (0.5, 0.5)
    assert result.mean == 0.5
    assert result.deviation == 0.0


def test_a_missing_face_counts_as_refused() -> None:
    result = folded_accuracy([0.1, np.nan, 0.1, np.nan], [True, True, True, False], [0, 0, 1, 1])
    assert result.folds == (0.5, 1.0)


@pytest.mark.parametrize(
    ("distances", "mated", "folds"),
    [([0.1, 0.2], [True], [0, 1]), ([0.1, 0.2], [True, False], [0, 0])],
)
def test_what_cannot_be_folded_is_refused(distances: list[float], mated: list[bool], folds: list[int]) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        folded_accuracy(distances, mated, folds)
