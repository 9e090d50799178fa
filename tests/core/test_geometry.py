import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from twinface.core.geometry import invert, iou, non_maximum_suppression, similarity_transform, transform

LAW = settings(max_examples=40, deadline=None)

Floats = NDArray[np.float64]

CANONICAL = np.array([(46.98, 43.84), (100.83, 44.58), (74.07, 77.02), (48.02, 100.67), (96.46, 101.92)])


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def boxes(draw: st.DrawFn, most: int = 8) -> Floats:
    """Boxes on a coarse grid, so that touching, equal and nested ones occur; some are empty."""
    count = draw(st.integers(0, most))
    places = draw(arrays(np.int64, (count, 2), elements=st.integers(-4, 8)))
    sizes = draw(arrays(np.int64, (count, 2), elements=st.integers(0, 8)))
    return np.concatenate([places, places + sizes], axis=1) * 1.5


@st.composite
def similarities(draw: st.DrawFn) -> Floats:
    angle, scale = draw(number(-np.pi, np.pi)), draw(number(0.01, 100))
    shift = draw(st.tuples(number(-1e4, 1e4), number(-1e4, 1e4)))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, shift])


@st.composite
def shapes_of_points(draw: st.DrawFn) -> Floats:
    points = draw(arrays(np.float64, (draw(st.integers(2, 8)), 2), elements=number(-500, 500)))
    assume(np.ptp(points, axis=0).max() > 1)
    return points


def slow_iou(one: Floats, other: Floats) -> float:
    """Counts the cells of the grid that `boxes` draws on."""

    def cells(box: Floats) -> set[tuple[int, int]]:
        left, top, right, bottom = (int(value) for value in np.rint(box / 1.5))
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    a, b = cells(one), cells(other)
    return len(a & b) / len(a | b) if a | b else 0.0


def slow_suppression(rects: Floats, scores: Floats, overlap: float) -> list[int]:
    """The definition: going from the best down, a box stays unless one that stayed overlaps it too much."""
    stay: list[int] = []
    for place in sorted(range(len(scores)), key=lambda place: (-scores[place], place)):
        if all(slow_iou(rects[place], rects[kept]) <= overlap for kept in stay):
            stay.append(place)
    return stay


class TestIou:
    @LAW
    @given(boxes(), boxes())
    def test_it_is_the_share_of_common_cells(self, one: Floats, other: Floats) -> None:
        expected = [[slow_iou(a, b) for b in other] for a in one]
        np.testing.assert_allclose(iou(one, other), np.reshape(expected, (len(one), len(other))), atol=1e-12)

    @LAW
    @given(boxes(), boxes())
    def test_it_is_symmetric_and_within_zero_and_one(self, one: Floats, other: Floats) -> None:
        found = iou(one, other)
        np.testing.assert_array_equal(found, iou(other, one).T)
        assert ((found >= 0) & (found <= 1)).all()

    @LAW
    @given(boxes())
    def test_a_box_with_itself_is_one_unless_it_is_empty(self, rects: Floats) -> None:
        empty = (rects[:, 2:] == rects[:, :2]).any(axis=1)
        np.testing.assert_array_equal(np.diag(iou(rects, rects)), np.where(empty, 0.0, 1.0))

    @LAW
    @given(boxes(), boxes(), number(0.1, 10), number(-100, 100))
    def test_scale_and_shift_of_both_do_not_matter(self, one: Floats, other: Floats, k: float, by: float) -> None:
        np.testing.assert_allclose(iou(one * k + by, other * k + by), iou(one, other), atol=1e-9)

    def test_a_known_value(self) -> None:
        assert iou(np.array([[0, 0, 2, 2.0]]), np.array([[1, 1, 3, 3.0]]))[0, 0] == pytest.approx(1 / 7)

    def test_boxes_turned_inside_out_have_no_area(self) -> None:
        inside_out = np.array([[3, 3, 1, 1.0]])
        assert iou(inside_out, np.array([[0, 0, 4, 4.0]]))[0, 0] == 0
        assert iou(inside_out, inside_out)[0, 0] == 0

    def test_no_boxes_give_an_empty_table(self) -> None:
        assert iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


class TestNonMaximumSuppression:
    @LAW
    @given(boxes(12), st.data())
    def test_it_keeps_what_the_definition_keeps(self, rects: Floats, data: st.DataObject) -> None:
        scores = data.draw(arrays(np.float64, len(rects), elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])))
        overlap = data.draw(st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]))
        assert non_maximum_suppression(rects, scores, overlap).tolist() == slow_suppression(rects, scores, overlap)

    @LAW
    @given(boxes(12), st.data())
    def test_doing_it_again_changes_nothing(self, rects: Floats, data: st.DataObject) -> None:
        scores = data.draw(arrays(np.float64, len(rects), elements=number(0, 1)))
        stay = non_maximum_suppression(rects, scores, 0.3)
        again = non_maximum_suppression(rects[stay], scores[stay], 0.3)
        assert again.tolist() == list(range(len(stay)))

    def test_the_lesser_of_two_equal_boxes_goes(self) -> None:
        rects = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [20, 20, 29, 29.0]])
        assert non_maximum_suppression(rects, np.array([0.5, 0.9, 0.7]), 0.3).tolist() == [1, 2]

    def test_of_equals_the_first_stays(self) -> None:
        rects = np.array([[0, 0, 9, 9], [0, 0, 9, 9.0]])
        assert non_maximum_suppression(rects, np.array([0.5, 0.5]), 0.3).tolist() == [0]

    def test_a_box_is_dropped_only_by_one_that_stays(self) -> None:
        chain = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10.0]])
        assert non_maximum_suppression(chain, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]

    def test_an_overlap_of_just_the_limit_is_allowed(self) -> None:
        rects = np.array([[0, 0, 2, 1], [1, 0, 3, 1.0]])
        assert len(non_maximum_suppression(rects, np.array([0.9, 0.8]), 1 / 3)) == 2

    def test_nothing_in_nothing_out(self) -> None:
        assert non_maximum_suppression(np.zeros((0, 4)), np.zeros(0), 0.3).tolist() == []


class TestSimilarityTransform:
    @LAW
    @given(shapes_of_points(), similarities())
    def test_it_recovers_the_transform_that_was_applied(self, points: Floats, matrix: Floats) -> None:
        found = similarity_transform(points, transform(points, matrix))
        np.testing.assert_allclose(transform(points, found), transform(points, matrix), rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(found[:, :2], matrix[:, :2], rtol=1e-6, atol=1e-8 * 100)

    @given(similarities(), arrays(np.float64, (5, 2), elements=number(-5, 5)))
    @settings(max_examples=30, deadline=None)
    def test_no_transform_nearby_fits_noisy_landmarks_better(self, matrix: Floats, noise: Floats) -> None:
        source = transform(CANONICAL, matrix)
        target = CANONICAL + noise
        found = similarity_transform(source, target)

        def error(candidate: Floats) -> float:
            return float(((transform(source, candidate) - target) ** 2).sum())

        least = error(found)
        centre, scale = source.mean(axis=0), float(np.hypot(*found[:, 0]))
        for turn, grow, x, y in np.vstack([np.eye(4), -np.eye(4)]) * 1e-2:
            linear = found[:, :2] @ np.array([[1 + grow, -turn], [turn, 1 + grow]])
            shift = transform(centre, found) - linear @ centre + np.array([x, y])
            assert error(np.column_stack([linear, shift])) >= least - 1e-6
        assert scale > 0

    @LAW
    @given(similarities())
    def test_a_mirror_image_is_never_matched_by_mirroring(self, matrix: Floats) -> None:
        mirrored = transform(CANONICAL * (-1, 1), matrix)
        assert np.linalg.det(similarity_transform(mirrored, CANONICAL)[:, :2]) >= 0

    def test_opencv_would_read_the_matrix_the_same_way(self) -> None:
        quarter = similarity_transform(np.array([[0, 0], [1, 0.0]]), np.array([[5, 5], [5, 7.0]]))
        np.testing.assert_allclose(quarter, [[0, -2, 5], [2, 0, 5]], atol=1e-12)

    def test_points_that_coincide_are_refused(self) -> None:
        with pytest.raises(ValueError, match="coincide"):
            similarity_transform(np.full((5, 2), 123.4), CANONICAL)

    @pytest.mark.parametrize("shape", [(4, 2), (5, 3), (10,), (5, 2, 1)])
    def test_shapes_that_do_not_match_are_refused_naming_both(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"expected two arrays \(N, 2\)") as caught:
            similarity_transform(np.zeros(shape), CANONICAL)
        assert str(shape) in str(caught.value)

    def test_one_point_is_not_enough(self) -> None:
        with pytest.raises(ValueError, match="expected two arrays"):
            similarity_transform(np.zeros((1, 2)), np.zeros((1, 2)))


class TestInvert:
    @LAW
    @given(similarities(), shapes_of_points())
    def test_it_undoes_the_transform(self, matrix: Floats, points: Floats) -> None:
        there_and_back = transform(transform(points, matrix), invert(matrix))
        np.testing.assert_allclose(there_and_back, points, rtol=1e-6, atol=1e-5)

    @LAW
    @given(similarities())
    def test_twice_is_nothing(self, matrix: Floats) -> None:
        np.testing.assert_allclose(invert(invert(matrix)), matrix, rtol=1e-6, atol=1e-6)

    def test_there_is_no_way_back_from_a_point(self) -> None:
        with pytest.raises(np.linalg.LinAlgError):
            invert(np.zeros((2, 3)))


def test_transform_takes_points_in_any_stack() -> None:
    stack = np.arange(24.0).reshape(3, 4, 2)
    shifted = transform(stack, np.array([[2, 0, 1], [0, 2, -1.0]]))
    np.testing.assert_array_equal(shifted, stack * 2 + (1, -1))
