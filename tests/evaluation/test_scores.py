"""Labelled distances that contradict themselves are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twinface.evaluation.scores import Scores

GAPS, LABELS, PERSONS = np.array([0.3, 0.9], np.float32), np.array([True, False]), np.array([[0, 0], [0, 1]], np.int32)


def test_failures_to_acquire_are_counted() -> None:
    assert Scores(GAPS, LABELS, PERSONS).failures == 0
    assert Scores(np.array([np.nan, 0.5]), LABELS, PERSONS).failures == 1
    assert Scores(np.array([np.nan, np.nan]), LABELS, PERSONS).failures == 2


def test_there_may_be_no_pairs_at_all() -> None:
    assert Scores(np.zeros(0), np.zeros(0, bool), np.zeros((0, 2), np.int32)).failures == 0


def test_rounding_may_carry_a_distance_a_little_beyond_two() -> None:
    assert Scores(np.array([0.0, 2.0005]), LABELS, PERSONS).failures == 0


@pytest.mark.parametrize(
    ("distances", "mated", "subjects", "said"),
    [
        (GAPS[:1], LABELS, PERSONS, "expected shapes"),
        (GAPS, LABELS[:1], PERSONS, "expected shapes"),
        (GAPS, LABELS, PERSONS[:1], "expected shapes"),
        (GAPS, LABELS, PERSONS.ravel(), "expected shapes"),
        (GAPS.reshape(1, 2), LABELS.reshape(1, 2), PERSONS, "expected shapes"),
        (np.array([0, 1]), LABELS, PERSONS, "expected floats"),
        (GAPS, np.array([1, 0]), PERSONS, "expected floats"),
        (GAPS, LABELS, PERSONS.astype(float), "expected floats"),
        (np.array([-0.1, 0.5]), LABELS, PERSONS, "lie in"),
        (np.array([0.1, 2.1]), LABELS, PERSONS, "lie in"),
        (np.array([0.1, np.inf]), LABELS, PERSONS, "lie in"),
        (GAPS, LABELS, PERSONS - 1, "numbered from 0"),
        (GAPS, ~LABELS, PERSONS, "must show one person"),
        (GAPS, np.array([True, True]), PERSONS, "must show one person"),
    ],
)
def test_contradictions_are_refused(distances: Any, mated: Any, subjects: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scores(distances, mated, subjects)
