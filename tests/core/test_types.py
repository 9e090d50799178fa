from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.decision import Band, OperatingPoint
from twinface.core.types import Analysis, Box, Comparison, Face, Landmarks, Quality, Seconds, Template

LAW = settings(max_examples=40, deadline=None)

POINTS = ((40, 50), (80, 50), (60, 70), (45, 90), (75, 90))
QUALITY = Quality(40.0, 0.4, 120.0, 40.0, 0.0, 0.0)


def template(*values: float, model: str = "m") -> Template:
    return Template(np.array(values, np.float32), model)


def analysis(total: float) -> Analysis:
    return Analysis("a.jpg", np.zeros((8, 8, 3), np.uint8), (), (), Seconds(0.1, 0.2, 0.3, total))


def comparison(distance: float) -> Comparison:
    face = Face(Box(0, 0, 9, 9), Landmarks(POINTS), 0.9, QUALITY, np.zeros((8, 8, 3), np.uint8), template(1, 0))
    point = OperatingPoint("m", "set", 1e-3, 0.4, 0.39, 0.41, 1000, 100, 0.01, 0.0, 0.02)
    return Comparison(distance, 0.9, 0.99, point, "net", face, face, 1, 1, analysis(0.7), analysis(0.9))


class TestBox:
    def test_corners_and_area_follow_from_place_and_size(self) -> None:
        box = Box(10, 20, 30, 40)
        assert box.corners == (10, 20, 40, 60)
        assert box.area == 1200

    def test_it_may_reach_beyond_the_picture(self) -> None:
        assert Box(-5, -6, 10, 10).corners == (-5, -6, 5, 4)

    @pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (5, -1)])
    def test_it_has_a_size(self, size: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match=r"must be positive, got .* x "):
            Box(0, 0, *size)

    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_its_values_are_finite(self, place: int, value: float) -> None:
        values = [1.0, 1.0, 1.0, 1.0]
        values[place] = value
        with pytest.raises(ValueError, match="finite"):
            Box(*values)


class TestLandmarks:
    def test_they_are_float32_whatever_came_in(self) -> None:
        points = Landmarks(POINTS).points
        assert points.dtype == np.float32
        assert points.tolist() == [list(point) for point in POINTS]

    def test_they_are_a_copy_nobody_can_write_to(self) -> None:
        source = np.array(POINTS, np.float32)
        landmarks = Landmarks(source)
        source[0] = 0
        assert landmarks.points[0].tolist() == [40, 50]
        with pytest.raises(ValueError, match="read-only"):
            landmarks.points[0, 0] = 1

    def test_the_eye_distance_is_euclidean(self) -> None:
        assert Landmarks([(0, 0), (3, 4), *POINTS[2:]]).eye_distance == pytest.approx(5)

    @pytest.mark.parametrize("shape", [(4, 2), (5, 3), (10,), (1, 5, 2)])
    def test_another_shape_is_refused_naming_both(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"expected shape \(5, 2\), got") as caught:
            Landmarks(np.zeros(shape))
        assert str(shape) in str(caught.value)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="finite"):
            Landmarks([(value, 0), *POINTS[1:]])


class TestTemplate:
    def test_it_is_float32_of_unit_length_and_read_only(self) -> None:
        vector = Template(np.array([0.6, 0.8]), "m").vector
        assert vector.dtype == np.float32
        assert not vector.flags.writeable

    @pytest.mark.parametrize("vector", [[0.0, 0.0], [1.0, 1.0], [0.5, 0.0], []])
    def test_another_length_is_refused(self, vector: list[float]) -> None:
        with pytest.raises(ValueError, match="expected unit length, got"):
            template(*vector)

    def test_rounding_is_forgiven(self) -> None:
        assert template(1.0005, 0.0).vector[0] == np.float32(1.0005)

    def test_not_a_number_is_refused(self) -> None:
        with pytest.raises(ValueError, match="finite"):
            template(np.nan, 1.0)

    def test_a_batch_is_no_template(self) -> None:
        with pytest.raises(ValueError, match="expected shape"):
            Template(np.array([[1.0, 0.0]], np.float32), "m")


@LAW
@given(st.lists(st.floats(0, 1e3), min_size=4, max_size=4), st.lists(st.floats(0, 1e3), min_size=4, max_size=4))
def test_seconds_add_up_part_by_part(one: list[float], other: list[float]) -> None:
    total = Seconds(*one) + Seconds(*other)
    assert [total.decode, total.detect, total.encode, total.total] == [a + b for a, b in zip(one, other, strict=True)]


def test_a_face_is_usable_when_no_shortcoming_was_found() -> None:
    assert QUALITY.usable
    assert not Quality(40.0, 0.1, 120.0, 40.0, 0.0, 0.0, ("blurred",)).usable


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.0, "same"), (0.4, "same"), (np.nextafter(0.4, 1), "different"), (2.0, "different")]
)
def test_the_verdict_is_same_up_to_and_including_the_threshold(distance: float, verdict: str) -> None:
    answer = comparison(distance)
    assert answer.verdict == verdict
    assert answer.same == (verdict == "same")


@pytest.mark.parametrize(
    ("distance", "verdict"),
    [(0.35, "same"), (0.36, "inconclusive"), (0.44, "inconclusive"), (0.45, "different"), (np.nan, "inconclusive")],
)
def test_within_the_band_the_verdict_is_inconclusive_and_not_same(distance: float, verdict: str) -> None:
    answer = replace(comparison(distance), band=Band(0.9, 0.35, 0.45))
    assert answer.verdict == verdict
    assert answer.same == (verdict == "same")


def test_not_a_number_is_never_same() -> None:
    assert comparison(np.nan).verdict == "different"


def test_a_comparison_took_as_long_as_both_its_analyses() -> None:
    assert comparison(0.1).seconds == Seconds(0.2, 0.4, 0.6, 1.6)


def test_values_cannot_be_changed() -> None:
    for value, field in ((Box(0, 0, 1, 1), "x"), (QUALITY, "yaw"), (template(1.0), "model"), (comparison(0.1), "a")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)
