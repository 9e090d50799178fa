"""All pairs of pictures, against two loops."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from twinface.core.similarity import distances, normalise
from twinface.evaluation import pairing
from twinface.evaluation.pairing import Pairing, all_pairs

LAW = settings(max_examples=40, deadline=None)
People = st.lists(st.integers(0, 6), max_size=40)


def templates(count: int, failed: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """Random unit vectors; failed rows are NaN."""
    vectors = normalise(np.random.default_rng(count).normal(size=(count, 8))) if count else np.zeros((0, 8), np.float32)
    vectors[list(failed)] = np.nan
    return vectors


def pairs_of(found: Pairing) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


@LAW
@given(People, st.sampled_from([1, 7, 64, 1 << 22]))
def test_every_picture_meets_every_other_once(people: list[int], block: int) -> None:
    vectors = templates(len(people))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "BLOCK", block)
        found = all_pairs(vectors, np.array(people, int))
    expected = list(combinations(range(len(people)), 2))
    assert sorted(pairs_of(found)) == expected
    mated = sum(people[one] == people[other] for one, other in expected)
    assert (found.mated_total, found.non_mated_total) == (mated, len(expected) - mated)
    table = distances(vectors, vectors)
    for place, (one, other) in enumerate(pairs_of(found)):
        assert found.scores.mated[place] == (people[one] == people[other])
        assert found.scores.subjects[place].tolist() == [people[one], people[other]]
        assert found.scores.distances[place] == pytest.approx(table[one, other], abs=1e-6)
    assert (found.first.dtype, found.second.dtype, found.scores.distances.dtype) == (np.int32, np.int32, np.float32)


@LAW
@given(People, st.integers(1, 700), st.integers(0, 9))
def test_of_too_many_non_mated_pairs_a_sample_is_drawn_and_all_mated_ones_stay(
    people: list[int], most: int, seed: int
) -> None:
    vectors = templates(len(people))
    everything, found = (all_pairs(vectors, np.array(people, int), most=limit, seed=seed) for limit in (10_000, most))
    known = dict(zip(pairs_of(everything), everything.scores.distances.tolist(), strict=True))
    drawn = pairs_of(found)
    assert len(set(drawn)) == len(drawn) == found.mated_total + min(most, found.non_mated_total)
    assert found.scores.mated.sum() == found.mated_total == everything.mated_total
    assert found.non_mated_total == everything.non_mated_total
    assert found.scores.distances.tolist() == pytest.approx([known[pair] for pair in drawn], abs=1e-6)
    again = all_pairs(vectors, np.array(people, int), most=most, seed=seed)
    assert pairs_of(again) == drawn


@pytest.mark.parametrize("most", [5, 30, 50])
def test_every_non_mated_pair_is_as_likely_as_any_other(most: int) -> None:
    people = [0, 0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7]
    vectors = templates(len(people))
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(600):
        counts.update(pair for pair in pairs_of(all_pairs(vectors, people, most=most, seed=seed)))
    apart = [pair for pair in combinations(range(len(people)), 2) if people[pair[0]] != people[pair[1]]]
    assert chisquare([counts[pair] for pair in apart]).pvalue > 0.001


def test_the_sample_depends_on_the_seed() -> None:
    one, other = (all_pairs(templates(50), np.arange(50), most=100, seed=seed) for seed in (0, 1))
    assert pairs_of(one) != pairs_of(other)


def test_a_failure_to_acquire_fails_all_its_pairs() -> None:
    found = all_pairs(templates(6, failed=(2, 5)), [0, 0, 0, 1, 1, 2])
    for (one, other), gap in zip(pairs_of(found), found.scores.distances, strict=True):
        assert np.isnan(gap) == bool({one, other} & {2, 5})
    assert found.scores.failures == 9


def test_a_template_with_one_value_missing_is_a_failure() -> None:
    vectors = templates(3)
    vectors[1, 4] = np.nan
    assert all_pairs(vectors, [0, 1, 2]).scores.failures == 2


def test_one_person_makes_mated_pairs_only_and_one_picture_each_none() -> None:
    alone, single = all_pairs(templates(4), [3, 3, 3, 3]), all_pairs(templates(4), [3, 1, 0, 2])
    assert (alone.mated_total, alone.non_mated_total, alone.scores.mated.size) == (6, 0, 6)
    assert (single.mated_total, single.non_mated_total, single.scores.mated.size) == (0, 6, 6)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_make_no_pair(count: int) -> None:
    assert all_pairs(templates(count), np.zeros(count, int)).scores.mated.size == 0


@pytest.mark.parametrize(
    ("vectors", "people", "said"),
    [
        (templates(3), [0, 1], "expected shapes"),
        (templates(3)[0], [0], "expected shapes"),
        (templates(3), [[0, 1, 2]], "expected shapes"),
        (templates(3), [0, 1, -1], "numbered from 0"),
        (templates(3), [0, 1, 1 << 31], "numbered from 0"),
        (templates(3), [0.0, 1.0, 2.0], "numbered from 0"),
        (templates(3) * 2, [0, 1, 2], "unit length"),
        (templates(3) * 0, [0, 1, 2], "unit length"),
        (np.full((1, 4), np.inf, np.float32), [0], "unit length"),
    ],
)
def test_what_are_no_templates_of_persons_is_refused(vectors: NDArray[np.float32], people: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        all_pairs(vectors, np.asarray(people))


def test_a_pair_at_least_is_kept() -> None:
    with pytest.raises(ValueError, match="at least one non-mated pair"):
        all_pairs(templates(3), [0, 1, 2], most=0)
