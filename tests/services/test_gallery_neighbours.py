"""The tiled comparison of a gallery's templates says what a slow one says, pair by pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.similarity import normalise
from twinface.services import gallery_neighbours
from twinface.services.gallery_neighbours import (
    Neighbours,
    means,
    nearest_of_subjects,
    nearest_partner,
    neighbours,
)

LAW = settings(max_examples=100, deadline=None)
NEAR_ZERO = 1e-3
"""How far a distance from float32 products may be off."""

Gallery = tuple[np.ndarray, np.ndarray]


@st.composite
def galleries(draw: st.DrawFn) -> Gallery:
    """Templates in three dimensions, some of them equal, of subjects in any order."""
    count = draw(st.integers(0, 14))
    subjects = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = normalise(rng.standard_normal((count, 3)))
    copies = draw(st.lists(st.integers(0, max(count - 1, 0)), min_size=count, max_size=count))
    if draw(st.booleans()):
        vectors = vectors[copies]
    return vectors, np.array(subjects, np.int64)


def tiled(gallery: Gallery, block: int, within: float, most: int = 1000) -> Neighbours:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery_neighbours, "_BLOCK", block)
        patch.setattr(gallery_neighbours, "_CHUNK", 3)
        patch.setattr(gallery_neighbours, "MOST_PAIRS", most)
        return neighbours(*gallery, within)


def distances_slowly(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)


def pairs_slowly(gallery: Gallery) -> dict[tuple[int, int], float]:
    """Distances of all pairs of different subjects."""
    vectors, subjects = gallery
    gaps = distances_slowly(vectors)
    places = itertools.combinations(range(len(vectors)), 2)
    return {(one, two): gaps[one, two] for one, two in places if subjects[one] != subjects[two]}


def pairs_of(found: Neighbours) -> dict[tuple[int, int], float]:
    return dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.gaps.tolist(), strict=True))


class TestNeighbours:
    @LAW
    @given(galleries(), st.integers(1, 20))
    def test_nearest_own_and_nearest_other_are_those_of_a_slow_reference(self, gallery: Gallery, block: int) -> None:
        vectors, subjects = gallery
        gaps = distances_slowly(vectors)
        np.fill_diagonal(gaps, np.inf)
        same = subjects[:, None] == subjects[None]
        found = tiled(gallery, block, 1.0)
        for nearest, those in ((found.own, same), (found.other, ~same)):
            expected = np.where(those, gaps, np.inf).min(axis=1, initial=np.inf)
            assert nearest.dtype == np.float32
            np.testing.assert_allclose(nearest, expected, atol=NEAR_ZERO)

    @LAW
    @given(galleries(), st.integers(1, 20), st.floats(-0.1, 2.1))
    def test_pairs_are_all_those_within(self, gallery: Gallery, block: int, within: float) -> None:
        found = tiled(gallery, block, within)
        every = pairs_slowly(gallery)
        got = pairs_of(found)
        assert found.complete
        assert len(got) == found.first.size  # none twice
        assert {pair for pair, gap in every.items() if gap < within - 1e-6} <= got.keys() <= every.keys()
        for pair, gap in got.items():
            assert gap <= within
            assert gap == pytest.approx(every[pair], abs=1e-6)

    @pytest.mark.parametrize("within", [0.05, 0.3, 1.4])
    def test_the_limit_itself_is_within_and_the_next_number_beyond_is_not(self, within: float) -> None:
        angle = 2 * np.arcsin(within / 2)
        vectors = normalise([[1, 0], [np.cos(angle), np.sin(angle)]])
        gap = np.linalg.norm(vectors[0] - vectors[1])
        assert neighbours(vectors, np.arange(2), float(gap)).first.size == 1
        assert neighbours(vectors, np.arange(2), float(np.nextafter(gap, np.float32(0)))).first.size == 0

    @LAW
    @given(galleries(), st.integers(1, 20), st.integers(1, 12))
    def test_of_too_many_the_nearest_are_kept(self, gallery: Gallery, block: int, most: int) -> None:
        found = tiled(gallery, block, 2.0, most)
        every = sorted(pairs_slowly(gallery).values())
        assert found.complete == (len(every) <= most)
        np.testing.assert_allclose(sorted(found.gaps), every[:most], atol=NEAR_ZERO)

    def test_many_equal_templates_fill_no_memory(self) -> None:
        vectors = np.repeat(normalise(np.ones((1, 8))), 200, axis=0)
        found = tiled((vectors, np.arange(200)), 16, 1.0, 10)
        assert (found.first.size, found.complete) == (10, False)
        assert found.gaps.max() == 0

    def test_progress_comes_once_a_template(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_neighbours, "_BLOCK", 4)
        steps: list[int] = []
        neighbours(normalise(np.eye(10)), np.arange(10), 1.0, lambda: steps.append(1))
        assert len(steps) == 10


class TestNearest:
    @LAW
    @given(galleries(), st.floats(0.0, 2.0))
    def test_the_nearest_partner_of_every_template_that_has_one(self, gallery: Gallery, within: float) -> None:
        found = tiled(gallery, 4, within)
        expected: dict[int, float] = {}
        for pair, gap in pairs_of(found).items():
            for place in pair:
                expected[place] = min(expected.get(place, np.inf), gap)
        one, two, gaps = nearest_partner(found)
        assert one.tolist() == sorted(expected)
        assert gaps.tolist() == [expected[place] for place in one.tolist()]
        pairs = pairs_of(found)
        assert all(
            pairs[min(pair), max(pair)] == gap
            for *pair, gap in zip(one.tolist(), two.tolist(), gaps.tolist(), strict=True)
        )

    @LAW
    @given(galleries(), st.floats(0.0, 2.0), st.integers(0, 2**14 - 1))
    def test_the_nearest_pair_of_every_two_subjects(self, gallery: Gallery, within: float, mask: int) -> None:
        subjects = gallery[1]
        counted = np.array([bool(mask >> place & 1) for place in range(subjects.size)], np.bool_)
        found = tiled(gallery, 4, within)
        expected: dict[tuple[int, int], float] = {}
        for pair, gap in pairs_of(found).items():
            if counted[list(pair)].all():
                key = tuple(sorted(subjects[list(pair)].tolist()))
                expected[key] = min(expected.get(key, np.inf), gap)
        one, two, gaps = nearest_of_subjects(found, subjects, counted)
        keys = zip(subjects[one].tolist(), subjects[two].tolist(), strict=True)
        assert dict(zip(keys, gaps.tolist(), strict=True)) == expected
        assert one.size == len(expected)


class TestMeans:
    def test_of_those_that_count(self) -> None:
        vectors = np.array([[1, 0], [0, 1], [0, -1], [0, 1], [-1, 0], [0, 1]], np.float32)
        counted = np.array([True, True, True, True, False, False])
        unit = means(vectors, np.array([3, 0, 1, 3, 1, 2]), counted)
        half = np.sqrt(0.5)
        np.testing.assert_allclose(unit, [[0, 1], [0, -1], [np.nan, np.nan], [half, half]], atol=1e-6)

    def test_templates_that_cancel_out_have_none(self) -> None:
        vectors = np.array([[1, 0], [-1, 0]], np.float32)
        assert np.isnan(means(vectors, np.zeros(2, np.int64), np.ones(2, np.bool_))).all()

    def test_of_nobody(self) -> None:
        assert means(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_)).shape == (0, 4)
