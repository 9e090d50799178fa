import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from twinface.core.similarity import cosine_from_distance, distance, distances, distances_of_pairs, normalise
from twinface.core.types import Template
from twinface.errors import ContractMismatch

LAW = settings(max_examples=40, deadline=None)

Floats = NDArray[np.float64]
DIMENSION = 6

VECTORS = arrays(np.float64, DIMENSION, elements=st.floats(-100, 100)).filter(
    lambda vector: np.abs(vector).max() > 1e-3
)
TEMPLATES = VECTORS.map(lambda vector: Template(normalise(vector), "m"))


class TestNormalise:
    @LAW
    @given(arrays(np.float64, (3, 2, DIMENSION), elements=st.floats(-1e150, 1e150)))
    def test_every_vector_gets_unit_length_and_the_shape_stays(self, batch: Floats) -> None:
        assume((np.abs(batch).max(axis=-1) > 0).all())
        unit = normalise(batch)
        assert unit.dtype == np.float32
        assert unit.shape == batch.shape
        np.testing.assert_allclose(np.linalg.norm(unit.astype(np.float64), axis=-1), 1, atol=1e-6)

    @LAW
    @given(VECTORS, st.floats(1e-12, 1e12))
    def test_a_positive_factor_does_not_matter(self, vector: Floats, factor: float) -> None:
        np.testing.assert_allclose(normalise(vector * factor), normalise(vector), atol=1e-6)

    @LAW
    @given(VECTORS)
    def test_the_direction_stays_and_doing_it_again_changes_nothing(self, vector: Floats) -> None:
        unit = normalise(vector)
        assert float(unit @ vector) == pytest.approx(float(np.linalg.norm(vector)), rel=1e-6)
        np.testing.assert_allclose(normalise(unit), unit, atol=1e-6)

    @pytest.mark.parametrize("size", [5e-324, 1e-200, 1e308])
    def test_vectors_of_extreme_length_keep_their_direction(self, size: float) -> None:
        np.testing.assert_allclose(normalise([size, 0.0]), [1, 0])

    @pytest.mark.parametrize("bad", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], []])
    def test_a_vector_without_direction_is_refused(self, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="zero or holds values that are not finite"):
            normalise(bad)

    def test_one_bad_vector_spoils_the_batch(self) -> None:
        with pytest.raises(ValueError, match="zero"):
            normalise([[1.0, 0.0], [0.0, 0.0]])


class TestDistance:
    @LAW
    @given(TEMPLATES, TEMPLATES)
    def test_it_is_symmetric_and_within_zero_and_two(self, a: Template, b: Template) -> None:
        assert distance(a, b) == distance(b, a)
        assert 0 <= distance(a, b) <= 2

    @LAW
    @given(TEMPLATES)
    def test_a_template_is_at_zero_from_itself_and_two_from_its_opposite(self, a: Template) -> None:
        assert distance(a, a) == 0
        assert distance(a, Template(-a.vector, "m")) == pytest.approx(2, abs=1e-6)

    @LAW
    @given(TEMPLATES, TEMPLATES, TEMPLATES)
    def test_no_detour_is_shorter(self, a: Template, b: Template, c: Template) -> None:
        assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9

    @LAW
    @given(TEMPLATES, TEMPLATES, st.integers(0, 2**32 - 1))
    def test_turning_the_whole_space_does_not_matter(self, a: Template, b: Template, seed: int) -> None:
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(DIMENSION, DIMENSION)))
        turned = [Template(normalise(turn @ one.vector), "m") for one in (a, b)]
        assert distance(*turned) == pytest.approx(distance(a, b), abs=1e-5)

    @LAW
    @given(TEMPLATES, TEMPLATES)
    def test_the_cosine_follows_from_it(self, a: Template, b: Template) -> None:
        cosine = float(a.vector.astype(np.float64) @ b.vector)
        assert cosine_from_distance(distance(a, b)) == pytest.approx(cosine, abs=1e-6)

    def test_templates_of_different_models_never_meet(self) -> None:
        vector = normalise([1.0, 2.0])
        with pytest.raises(ContractMismatch, match=r"different models .* encode both anew") as caught:
            distance(Template(vector, "a" * 64), Template(vector, "b" * 64))
        assert "a" * 12 in str(caught.value)
        assert "b" * 12 in str(caught.value)


@pytest.mark.parametrize(("apart", "cosine"), [(0.0, 1.0), (2**0.5, 0.0), (2.0, -1.0), (1.0, 0.5)])
def test_known_cosines(apart: float, cosine: float) -> None:
    assert cosine_from_distance(apart) == pytest.approx(cosine)


class TestDistances:
    @LAW
    @given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
    def test_it_is_the_table_of_single_distances(self, rows: int, columns: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        one, other = (normalise(random.normal(size=(count, DIMENSION))) for count in (rows, columns))
        expected = [[distance(Template(a, "m"), Template(b, "m")) for b in other] for a in one]
        table = distances(one, other)
        assert table.dtype == np.float32
        np.testing.assert_allclose(table, expected, atol=1e-3)

    @LAW
    @given(VECTORS)
    def test_rounding_makes_neither_roots_of_negatives_nor_more_than_two(self, vector: Floats) -> None:
        unit = normalise(vector)[None]
        assert 0 <= distances(unit, unit)[0, 0] < 1e-3
        assert distances(unit, -unit)[0, 0] <= 2

    def test_an_empty_gallery_gives_an_empty_table(self) -> None:
        assert distances(normalise([[1.0, 0.0]]), np.zeros((0, 2), np.float32)).shape == (1, 0)


def test_distances_of_chosen_pairs_are_those_of_all() -> None:
    vectors = normalise(np.random.default_rng(0).normal(size=(6, 8)))
    vectors[3] = np.nan
    first, second = np.array([0, 1, 2, 4, 3]), np.array([5, 1, 0, 2, 0])
    found = distances_of_pairs(vectors, first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, distances(vectors, vectors)[first, second], atol=1e-3)  # near 0 that one rounds
    assert found[1] == 0
    assert np.isnan(found[4])
