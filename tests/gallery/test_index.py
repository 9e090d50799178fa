from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twinface.core.ports import TemplateIndex
from twinface.core.similarity import normalise
from twinface.core.types import UNIT_TOLERANCE
from twinface.gallery import index as module
from twinface.gallery.index import ExactIndex

LAW = settings(max_examples=60, deadline=None)

Vectors = NDArray[np.float32]
Found = list[list[tuple[int, int, float]]]


class Reference:
    """The same, slow and plain: every distance is computed and everything is sorted."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, Vectors]] = {}

    def add(self, vectors: Vectors, samples: list[int], subjects: list[int]) -> None:
        for vector, sample, subject in zip(vectors, samples, subjects, strict=True):
            self.rows[sample] = (subject, vector.copy())

    def drop(self, samples: list[int]) -> None:
        for sample in samples:
            self.rows.pop(sample, None)

    def search(self, probes: Vectors, top: int) -> Found:
        return [self._nearest(probe.astype(np.float64), top) for probe in probes]

    def _nearest(self, probe: NDArray[np.float64], top: int) -> list[tuple[int, int, float]]:
        ranked = sorted(
            (min(2.0, float(np.linalg.norm((vector - probe)[None], axis=1)[0])), sample, subject)
            for sample, (subject, vector) in self.rows.items()
        )
        found: dict[int, tuple[int, int, float]] = {}
        for distance, sample, subject in ranked:
            found.setdefault(subject, (subject, sample, distance))
        return list(found.values())[:top]


def spread_out(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """All over the sphere."""
    return normalise(random.normal(size=(count, dimension)))


def few_directions(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Along the axes: many are equal, many opposite, and every distance is a tie."""
    vectors = np.zeros((count, dimension), np.float32)
    vectors[np.arange(count), random.integers(min(dimension, 3), size=count)] = random.choice([-1, 1], size=count)
    return vectors


def crowded(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Around one point, nearer to one another than float32 scores tell apart."""
    centre = np.random.default_rng(0).normal(size=dimension)
    return normalise(centre / np.linalg.norm(centre) + 1e-4 * random.normal(size=(count, dimension)))


def not_quite_unit(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """As long as templates may be, so that the highest score is not the nearest."""
    lengths = 1 + random.uniform(-0.0009, 0.0009, size=(count, 1))
    return (crowded(random, count, dimension) * lengths).astype(np.float32)


def towards_opposites(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Of either sign, not quite of unit length: what is cut to a distance of 2 meets what is not."""
    vectors = not_quite_unit(random, count, dimension)
    vectors[random.random(count) < 0.5] *= -1
    return vectors


MAKERS = (spread_out, few_directions, crowded, not_quite_unit, towards_opposites)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred templates fill several groups and blocks, the last ones in part."""
    monkeypatch.setattr(module, "GROUP", 4)
    monkeypatch.setattr(module, "SCRATCH", 48)
    monkeypatch.setattr(module, "PROBES", 3)


def filled(vectors: NDArray[np.floating], subjects: list[int] | None = None) -> ExactIndex:
    index = ExactIndex(vectors.shape[1])
    index.add(vectors, np.arange(len(vectors)), np.arange(len(vectors)) if subjects is None else np.array(subjects))
    return index


def axes(dimension: int) -> Vectors:
    return np.eye(dimension, dtype=np.float32)


def test_it_is_what_the_port_asks_for() -> None:
    index: TemplateIndex = ExactIndex(4)
    assert len(index) == 0


class TestSearch:
    @LAW
    @given(
        st.sampled_from(MAKERS),
        st.sampled_from(MAKERS),
        st.integers(1, 200),
        st.sampled_from([1, 2, 3, 20, 400]),
        st.integers(1, 40),
        st.integers(1, 12),
        st.integers(0, 2**32 - 1),
    )
    def test_it_finds_what_sorting_everything_finds(
        self,
        maker: Callable[..., Vectors],
        of_probes: Callable[..., Vectors],
        count: int,
        dimension: int,
        people: int,
        top: int,
        seed: int,
    ) -> None:
        random = np.random.default_rng(seed)
        vectors = maker(random, count, dimension)
        samples, subjects = random.permutation(3 * count)[:count], random.integers(people, size=count)
        index, reference = ExactIndex(dimension), Reference()
        index.add(vectors, samples, subjects)
        reference.add(vectors, samples.tolist(), subjects.tolist())
        probes = np.concatenate([vectors[:2], of_probes(random, 5, dimension)])
        assert index.search(probes, top) == reference.search(probes, top)

    @LAW
    @given(st.sampled_from(MAKERS), st.data())
    def test_coming_and_going_changes_nothing(self, maker: Callable[..., Vectors], data: st.DataObject) -> None:
        random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        index, reference = ExactIndex(6), Reference()
        for _ in range(data.draw(st.integers(1, 6))):
            vectors = maker(random, data.draw(st.integers(0, 30)), 6)
            fresh = np.setdiff1d(np.arange(200), list(reference.rows))
            samples = random.choice(fresh, size=len(vectors), replace=False)
            subjects = random.integers(12, size=len(vectors))
            index.add(vectors, samples, subjects)
            reference.add(vectors, samples.tolist(), subjects.tolist())
            gone = random.choice(200, size=data.draw(st.sampled_from([0, 1, 20, 180])), replace=False)
            index.drop(gone)
            reference.drop(gone.tolist())
            probes = maker(random, 3, 6)
            assert index.search(probes, 4) == reference.search(probes, 4)
            assert len(index) == len(reference.rows)
            assert sorted(index.samples) == sorted(reference.rows)
            assert not index._vectors[len(index) :].any()

    def test_as_large_as_in_use_it_is_exact_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        random = np.random.default_rng(3)
        centres = spread_out(random, 700, 128)
        subjects = random.permutation(np.repeat(np.arange(700), 30))
        vectors = normalise(centres[subjects] + 0.05 * random.normal(size=(21_000, 128)))
        index, reference = ExactIndex(128), Reference()
        index.add(vectors, np.arange(21_000), subjects)
        reference.add(vectors, list(range(21_000)), subjects.tolist())
        probes = np.concatenate([normalise(centres[:2] + 0.05), spread_out(random, 3, 128)])
        assert index.search(probes, 5) == reference.search(probes, 5)

    def test_a_subject_whose_templates_crowd_the_top_counts_once(self) -> None:
        random = np.random.default_rng(1)
        near = normalise(axes(8)[0] + 0.01 * random.normal(size=(90, 8)))
        index = filled(np.concatenate([near, axes(8)]), [7] * 90 + list(range(100, 108)))
        found = index.search(axes(8)[:1], 3)[0]
        assert [subject for subject, _, _ in found] == [100, 7, 101]
        assert found[0][2] == 0

    def test_of_equal_templates_the_smaller_sample_comes_first(self) -> None:
        index = ExactIndex(2)
        index.add(np.tile(axes(2)[:1], (50, 1)), np.arange(50)[::-1] + 10, np.arange(50))
        assert index.search(axes(2)[1:], 2) == [[(49, 10, 2**0.5), (48, 11, 2**0.5)]]

    def test_opposite_templates_are_two_apart_not_more(self) -> None:
        vector = normalise(np.random.default_rng(2).normal(size=(40, 128)))
        index = filled(np.concatenate([-vector, -vector * np.float32(1.0009)]))
        for place, found in enumerate(index.search(vector, 80)):
            assert len(found) == 80
            assert max(distance for _, _, distance in found) == pytest.approx(2, abs=1e-6)
            assert (place + 40, place + 40, 2.0) in found

    @pytest.mark.parametrize(("length", "longest"), [(1.0, 1.0009), (1.0009, 1.00005), (1.0009, 1.0009)])
    def test_those_who_would_be_more_than_two_apart_are_equal(self, length: float, longest: float) -> None:
        rows = -axes(3)[0] * np.linspace(longest, 1.00001, 40)[:, None]
        assert filled(rows).search(axes(3)[:1] * length, 3) == [[(0, 0, 2.0), (1, 1, 2.0), (2, 2, 2.0)]]

    def test_one_opposite_and_one_nearly_so_are_equal_to_a_long_probe(self) -> None:
        turned = [-np.cos(0.03), np.sin(0.03), 0]
        found = filled(np.array([-axes(3)[0], turned])).search(axes(3)[:1] * 1.0009, 1)
        assert found == [[(0, 0, 2.0)]]

    def test_templates_as_long_as_may_be_are_taken(self) -> None:
        longest = normalise(np.random.default_rng(4).normal(size=(50, 64))) * (1 + UNIT_TOLERANCE)
        assert len(filled(longest).search(longest, 1)) == 50

    def test_fewer_subjects_than_asked_for_are_all_found(self) -> None:
        found = filled(axes(3), [4, 5, 4]).search(axes(3)[:1], 10**9)
        assert [(subject, sample) for subject, sample, _ in found[0]] == [(4, 0), (5, 1)]

    def test_an_empty_index_finds_nobody(self) -> None:
        index = ExactIndex(3)
        assert index.search(axes(3), 5) == [[], [], []]
        assert index.search(np.zeros((0, 3), np.float32), 5) == []
        index.add(np.zeros((0, 3), np.float32), [], [])
        assert index.search(axes(3), 5) == [[], [], []]

    def test_no_probes_find_nothing(self) -> None:
        assert filled(axes(3)).search(np.zeros((0, 3), np.float32), 5) == []

    def test_what_is_found_are_plain_numbers(self) -> None:
        assert [type(one) for one in filled(axes(3)).search(axes(3), 1)[0][0]] == [int, int, float]

    def test_numbers_as_large_as_they_get_are_kept(self) -> None:
        index, largest = ExactIndex(2), np.iinfo(np.int64).max
        index.add(axes(2), [largest, -largest - 1], [largest, -1])
        assert index.search(axes(2), 1) == [[(largest, largest, 0.0)], [(-1, -largest - 1, 0.0)]]

    def test_neither_order_in_memory_nor_type_matters(self) -> None:
        vectors = spread_out(np.random.default_rng(5), 60, 6)
        expected = filled(vectors).search(vectors, 3)
        for other in (np.asfortranarray(vectors), vectors.astype(np.float64), np.repeat(vectors, 2, axis=0)[::2]):
            assert filled(other).search(other, 3) == expected

    def test_what_is_added_is_copied(self) -> None:
        vectors = axes(3)
        index = filled(vectors)
        vectors[:] = 0
        index.samples[:] = 0
        assert index.search(axes(3)[1:2], 1) == [[(1, 1, 0.0)]]


class TestErasure:
    def test_what_is_dropped_is_overwritten(self) -> None:
        vectors = spread_out(np.random.default_rng(6), 40, 5)
        index = filled(vectors)
        index.drop(np.arange(0, 40, 3))
        kept = np.array([place for place in range(40) if place % 3])
        assert len(index) == len(kept)
        assert not index._vectors[len(index) :].any()
        assert not index._samples[len(index) :].any()
        assert not index._subjects[len(index) :].any()
        np.testing.assert_array_equal(np.sort(index._vectors[: len(index)], axis=0), np.sort(vectors[kept], axis=0))

    def test_rows_are_moved_where_they_lie(self) -> None:
        index = filled(axes(6))
        matrix = index._vectors
        index.drop([0, 5, 77])
        assert index._vectors is matrix
        assert sorted(index.samples) == [1, 2, 3, 4]

    def test_a_matrix_outgrown_is_overwritten(self) -> None:
        index = filled(axes(4))
        outgrown = index._vectors
        index.add(axes(4), np.arange(4) + 4, np.arange(4))
        assert not outgrown.any()

    def test_clearing_overwrites_all_and_it_can_be_filled_again(self) -> None:
        index = filled(axes(4))
        matrix, samples = index._vectors, index._samples
        index.clear()
        assert not matrix.any()
        assert not samples.any()
        assert len(index) == 0
        assert index.search(axes(4)[:1], 1) == [[]]
        index.add(axes(4)[:1], [2], [3])
        assert index.search(axes(4)[:1], 1) == [[(3, 2, 0.0)]]

    def test_a_dropped_sample_may_come_back(self) -> None:
        index = filled(axes(3))
        index.drop([1])
        index.drop([1])
        index.add(axes(3)[2:], [1], [9])
        assert index.search(axes(3)[2:], 2) == [[(9, 1, 0.0), (2, 2, 0.0)]]

    @pytest.mark.parametrize("nobody", [[], np.zeros(0, np.int64), [99]])
    def test_dropping_nobody_changes_nothing(self, nobody: list[int]) -> None:
        index = filled(axes(3))
        index.drop(nobody)
        assert len(index) == 3


class TestMemory:
    def test_the_first_templates_get_what_they_need(self) -> None:
        assert len(filled(axes(7))._vectors) == 7

    def test_adding_one_by_one_seldom_moves_the_matrix(self) -> None:
        index = ExactIndex(2)
        matrices: list[Vectors] = []
        for sample in range(1000):
            index.add(axes(2)[:1], [sample], [sample])
            if not matrices or matrices[-1] is not index._vectors:
                matrices.append(index._vectors)
        assert len(matrices) == 11


class TestErrors:
    @pytest.mark.parametrize("dimension", [0, -1])
    def test_a_dimension_is_positive(self, dimension: int) -> None:
        with pytest.raises(ValueError, match=f"positive dimension, got {dimension}"):
            ExactIndex(dimension)

    @pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 2, 3), ()])
    def test_vectors_of_another_shape_are_refused(self, shape: tuple[int, ...]) -> None:
        index = filled(axes(3))
        message = rf"expected shape \(any number, 3\), got \({', '.join(map(str, shape))}"
        with pytest.raises(ValueError, match="vectors: " + message):
            index.add(np.ones(shape, np.float32), [5], [5])
        with pytest.raises(ValueError, match="probes: " + message):
            index.search(np.ones(shape, np.float32), 1)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 0.9, 0.0])
    def test_vectors_that_are_no_unit_vectors_are_refused(self, bad: float) -> None:
        index, vectors = filled(axes(3)), axes(3).astype(np.float64)
        vectors[1, 1] = bad
        with pytest.raises(ValueError, match="vectors: expected unit length, got"):
            index.add(vectors, [5, 6, 7], [5, 6, 7])
        with pytest.raises(ValueError, match="probes: expected unit length, got"):
            index.search(vectors, 1)
        with pytest.raises(ValueError, match="probes"):
            ExactIndex(3).search(vectors, 1)
        assert len(index) == 3

    @pytest.mark.parametrize("numbers", [[1], [1, 2, 3], [[1, 2]], 1])
    def test_every_vector_has_one_sample_and_one_subject(self, numbers: object) -> None:
        index = ExactIndex(2)
        with pytest.raises(ValueError, match=r"samples: expected shape \(2,\), got"):
            index.add(axes(2), numbers, [1, 2])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"subjects: expected shape \(2,\), got"):
            index.add(axes(2), [1, 2], numbers)  # type: ignore[arg-type]

    @pytest.mark.parametrize("numbers", [[1.0, 2.0], ["1", "2"], np.array([1, 2], np.uint64)])
    def test_numbers_are_integers(self, numbers: object) -> None:
        index = ExactIndex(2)
        with pytest.raises(ValueError, match="samples: expected integers, got"):
            index.add(axes(2), numbers, [1, 2])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="subjects: expected integers, got"):
            index.add(axes(2), [1, 2], numbers)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="samples: expected integers, got"):
            index.drop(numbers)  # type: ignore[arg-type]

    @pytest.mark.parametrize("samples", [[3, 3], [3, 0]])
    def test_a_sample_comes_once(self, samples: list[int]) -> None:
        index = filled(axes(2))
        with pytest.raises(ValueError, match="got one twice or one that is in the index"):
            index.add(axes(2), samples, [0, 1])
        assert len(index) == 2

    @pytest.mark.parametrize("top", [0, -1])
    def test_top_is_positive(self, top: int) -> None:
        with pytest.raises(ValueError, match=f"top: expected a positive number, got {top}"):
            filled(axes(2)).search(axes(2), top)
