"""The nearest people: exact by the mean of two distances, whatever the number of pictures each has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twinface.core.similarity import normalise
from twinface.gallery import fusion
from twinface.gallery.fusion import FusedIndex

Rows = dict[int, tuple[int, NDArray[np.float32]]]
"""By sample: whose it is, and its template."""


def slow(rows: Rows, probe: NDArray[np.float32], top: int) -> list[tuple[int, int, float]]:
    """The same, person by person."""
    found = []
    for subject in {subject for subject, _ in rows.values()}:
        mine = {sample: vector.astype(np.float64) for sample, (owner, vector) in rows.items() if owner == subject}
        gap, sample = min((float(np.linalg.norm(vector - probe)), sample) for sample, vector in mine.items())
        mean = np.sum(list(mine.values()), axis=0)
        if len(mine) > 1 and np.linalg.norm(mean) > 1e-6:
            gap = (gap + float(np.linalg.norm(normalise(mean) - probe.astype(np.float64)))) / 2
        found.append((subject, sample, gap))
    return sorted(found, key=lambda one: (one[2], one[1]))[:top]


def same(ours: list[tuple[int, int, float]], theirs: list[tuple[int, int, float]]) -> bool:
    return [one[:2] for one in ours] == [one[:2] for one in theirs] and np.allclose(
        [one[2] for one in ours], [one[2] for one in theirs], atol=1e-7
    )


def clustered(seed: int, people: int, most: int, dimension: int = 8) -> Rows:
    """People of one to `most` pictures around a centre of their own."""
    random = np.random.default_rng(seed)
    rows: Rows = {}
    for subject in range(1, people + 1):
        centre = random.normal(size=dimension)
        for _ in range(int(random.integers(1, most + 1))):
            rows[len(rows) + 1] = (subject, normalise(centre + 0.5 * random.normal(size=dimension)))
    return rows


def filled(rows: Rows) -> FusedIndex:
    index = FusedIndex(8)
    if rows:
        index.add(np.stack([one[1] for one in rows.values()]), list(rows), [one[0] for one in rows.values()])
    return index


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.integers(1, 12), st.sampled_from([0, 1, 8]))
def test_it_finds_what_a_slow_search_finds(seed: int, people: int, most: int, top: int, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion, "AT_ONCE", at_once)
        rows = clustered(seed, people, most)
        probes = normalise(np.random.default_rng(seed + 1).normal(size=(4, 8)))
        for ours, probe in zip(filled(rows).search(probes, top), probes, strict=True):
            assert same(ours, slow(rows, probe, top))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=12))
def test_it_keeps_up_with_what_comes_and_goes(seed: int, steps: list[tuple[bool, int]]) -> None:
    random = np.random.default_rng(seed)
    rows = clustered(seed, 6, 4)
    index = filled(rows)
    following = 1000
    for comes, subject in steps:
        if comes:
            vector = normalise(random.normal(size=8))
            rows[following] = (subject, vector)
            index.add(vector[None], [following], [subject])
            following += 1
        else:
            gone = [sample for sample, (owner, _) in rows.items() if owner == subject][:2]
            index.drop(np.array(gone, np.int64))
            rows = {sample: row for sample, row in rows.items() if sample not in gone}
        probe = normalise(random.normal(size=8))
        assert same(index.search(probe[None], 5)[0], slow(rows, probe, 5))
        assert len(index) == len(rows)
        assert set(index.samples.tolist()) == set(rows)


def test_of_one_picture_it_is_the_distance_to_that() -> None:
    one, other = normalise(np.random.default_rng(0).normal(size=(2, 8)))
    index = filled({1: (7, one)})
    assert index.search(other[None], 3) == [[(7, 1, pytest.approx(float(np.linalg.norm(one - other))))]]


def test_pictures_that_cancel_out_have_no_mean() -> None:
    up = normalise(np.array([1.0, *[0] * 7]))
    index = filled({1: (7, up), 2: (7, -up)})
    assert index.search(up[None], 1) == [[(7, 1, 0.0)]]


def test_means_are_forgotten_with_their_people() -> None:
    rows = clustered(3, 5, 4)
    index = filled(rows)
    index.drop(np.array(list(rows), np.int64))
    assert len(index) == 0
    assert index.search(normalise(np.ones((1, 8))), 3) == [[]]
    assert not index._means._vectors.any()
    index.clear()
    assert len(index) == 0
