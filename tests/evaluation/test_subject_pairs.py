"""Pairs that are too near for two persons, and what a tally calls independent."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.similarity import normalise
from twinface.evaluation import subject_pairs
from twinface.evaluation.subject_pairs import false_matches, false_non_matches, nearer_than


def faces(count: int, seed: int = 0) -> np.ndarray:
    return normalise(np.random.default_rng(seed).normal(size=(count, 3)))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-2, 11)), max_size=25), st.floats(0.02, 1.5), st.integers(1, 7)
)
def test_pairs_nearer_than_a_gap_are_what_comparing_one_by_one_gives(
    pictures: list[tuple[int, int]], gap: float, rows: int
) -> None:
    # given pictures as (person, one of twelve looks or two kinds of none), and blocks of any height
    failed = np.array([[np.nan, 0, 1], [np.inf, 0, 0]], np.float32)
    looks = np.vstack([faces(12), failed])
    people = np.array([person for person, _ in pictures], np.int32)
    vectors = looks[[look for _, look in pictures]] if pictures else np.zeros((0, 3), np.float32)
    between = np.linalg.norm(looks[:12, None].astype(np.float64) - looks[:12], axis=2)
    if np.abs(between - gap).min() < 1e-3:  # too near for single precision to tell
        gap += 2e-3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject_pairs, "ROWS", rows)
        found = nearer_than(vectors, people, gap)

    expected = {}
    for one, other in combinations(range(len(pictures)), 2):
        if people[one] != people[other] and np.isfinite(vectors[[one, other]]).all():
            apart = float(np.linalg.norm(vectors[one].astype(np.float64) - vectors[other]))
            if apart < gap:
                expected[one, other] = apart
    assert {(one, other): apart for one, other, apart in found} == pytest.approx(expected, abs=2e-3)
    assert [apart for *_, apart in found] == sorted(apart for *_, apart in found)


def test_one_picture_of_two_persons_is_found_first() -> None:
    vectors = faces(40)
    vectors[31] = vectors[7]
    (one, other, apart), *_ = nearer_than(vectors, np.arange(40), 0.5)
    assert (one, other) == (7, 31)
    assert apart == pytest.approx(0, abs=1e-3)


def test_one_picture_twice_of_one_person_is_nothing_to_tell() -> None:
    assert nearer_than(faces(1).repeat(5, axis=0), np.zeros(5, int), 0.5) == []


@pytest.mark.parametrize("shots", [1, 3])
def test_couples_are_independent_and_not_pairs_of_their_pictures(shots: int) -> None:
    people = np.arange(12).repeat(shots)
    tally = false_matches(faces(people.size), people, 0.5, 5, (0,))
    assert (tally.pairs, tally.independent) == (66 * shots**2, 66)


def test_of_mated_pairs_persons_are_independent() -> None:
    people = np.append(np.arange(12).repeat(4), [20, 21])  # two more with one picture
    tally = false_non_matches(faces(people.size), people, 0.5, 5, (0,))
    assert (tally.pairs, tally.independent) == (12 * 6, 12)
