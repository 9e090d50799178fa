import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.geometry import invert, similarity_transform, transform
from twinface.core.types import Landmarks
from twinface.errors import PoorQuality
from twinface.vision.alignment import align, cut

POINTS = np.array([(46.98, 43.84), (100.83, 44.58), (74.07, 77.02), (48.02, 100.67), (96.46, 101.92)])
SIZE = 150


def smooth_picture(width=400, height=300, cell=12):
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (height // cell, width // cell, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def placed(scale=1.0, degrees=0.0, x=0.0, y=0.0) -> Landmarks:
    """The canonical points, turned about the origin, scaled and shifted."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Landmarks(POINTS @ turn.T * scale + (x, y))


def difference(one, other) -> float:
    """Mean of the absolute differences, grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


def test_face_in_place_is_cut_out_as_it_is():
    image = smooth_picture()
    crop = align(image, placed(x=60, y=20), POINTS, SIZE)
    assert crop.shape == (SIZE, SIZE, 3)
    assert crop.dtype == np.uint8
    assert np.abs(crop.astype(int) - image[20:170, 60:210]).max() <= 1


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.3, 6.0),
    degrees=st.floats(-180, 180),
    x=st.floats(600, 1000),
    y=st.floats(600, 1000),
)
def test_landmarks_fall_on_their_points(scale, degrees, x, y):
    # given a picture that is black but for a white disc around the nose tip
    middle = placed(scale, degrees, x, y)
    image = np.zeros((1800, 1800, 3), np.uint8)
    centre = [round(float(value) * 16) for value in middle.points[2]]
    radius = max(2.0, 5 * scale)
    cv2.circle(image, centre, int(radius * 16), (255, 255, 255), -1, cv2.LINE_AA, shift=4)
    if not (middle.points > 0).all() or not (middle.points < 1800).all():
        return
    # when it is aligned, then the disc is where the nose belongs
    grey = align(image, middle, POINTS, SIZE)[..., 0].astype(float)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    found = np.array([(grey * columns).sum(), (grey * rows).sum()]) / grey.sum()
    # a disc of few pixels is drawn to a fifth of one, and the crop enlarges that
    assert np.abs(found - POINTS[2]).max() < max(0.5, 0.2 / scale)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_turned_picture_gives_the_same_crop(degrees):
    image = smooth_picture(300, 300)
    landmarks = placed(x=80, y=60)
    turned = np.ascontiguousarray(np.rot90(image, k=-degrees // 90))
    x, y = landmarks.points.T
    moved = {90: (299 - y, x), 180: (299 - x, 299 - y), -90: (y, 299 - x)}[degrees]
    crop = align(turned, Landmarks(np.column_stack(moved)), POINTS, SIZE)
    assert difference(crop, align(image, landmarks, POINTS, SIZE)) < 0.5


@pytest.mark.parametrize("factor", [1.3, 2, 3, 8, 20])
def test_enlarged_picture_gives_the_same_crop(factor):
    image = smooth_picture(240, 200)
    landmarks = placed(x=40, y=20)
    large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    ratio = large.shape[1] / image.shape[1], large.shape[0] / image.shape[0]
    moved = Landmarks((landmarks.points + 0.5) * ratio - 0.5)
    assert difference(align(large, moved, POINTS, SIZE), align(image, landmarks, POINTS, SIZE)) < 1.5


@pytest.mark.parametrize(("scale", "rest"), [(2, 40), (4, 20), (10, 9)])
@pytest.mark.parametrize("degrees", [0, 30])
def test_noise_of_large_pictures_is_averaged_away(scale, rest, degrees):
    # sampling would keep nearly all of the standard deviation of 74; averaging divides it by the scale
    tile = np.random.default_rng(2).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    noise = np.tile(tile, (4, 4, 1))
    crop = align(noise, placed(scale, degrees, 800, 20), POINTS, SIZE)
    assert crop.std() < rest
    assert crop.mean() == pytest.approx(noise.mean(), abs=1)


def test_what_lies_beyond_the_edge_is_black():
    image = np.full((300, 300, 3), 200, np.uint8)
    crop = align(image, placed(x=-50, y=-30), POINTS, SIZE)
    assert not crop[:, :49].any()
    assert not crop[:29].any()
    assert (crop[31:, 51:] == 200).all()


@pytest.mark.parametrize("scale", [1, 5])
def test_rest_of_the_picture_does_not_matter(scale):
    image = smooth_picture(1600, 1400)
    landmarks = placed(scale, 0, 300, 200)
    changed = image.copy()
    changed[:, : 300 - 4 * scale] = 0
    changed[200 + (SIZE + 4) * scale :] = 255
    assert difference(align(image, landmarks, POINTS, SIZE), align(changed, landmarks, POINTS, SIZE)) == 0


def test_views_with_negative_strides_are_taken():
    image = smooth_picture()
    view = np.ascontiguousarray(image[..., ::-1])[..., ::-1]
    landmarks = placed(x=60, y=20)
    assert np.array_equal(align(view, landmarks, POINTS, SIZE), align(image, landmarks, POINTS, SIZE))


def test_tiny_picture_is_enlarged():
    crop = align(np.full((1, 1, 3), 90, np.uint8), placed(0.001), POINTS, SIZE)
    assert crop[0, 0].tolist() == [90, 90, 90]


def test_wider_picture_than_the_warp_can_address():
    image = np.full((600, 40_000, 3), 90, np.uint8)
    crop = align(image, placed(250, y=300 - 75 * 250), POINTS, SIZE)
    assert (crop[75, 1:] == 90).all()
    assert not crop[:73].any()


degenerate = {
    "all in one place": np.full((5, 2), 70.0),
    "all but in one place": POINTS * 1e-30,
    "a million times too far apart": POINTS * 1e9,
    "beyond all numbers": POINTS * 1e30,
}


@pytest.mark.parametrize("points", degenerate.values(), ids=degenerate.keys())
def test_degenerate_landmarks_are_refused(points):
    with pytest.raises(PoorQuality, match="cannot be aligned") as caught:
        align(smooth_picture(), Landmarks(points), POINTS, SIZE)
    assert caught.value.reason == "degenerate landmarks"


def test_landmarks_that_contradict_the_points_are_refused():
    # no rotation is better than another for a mirror image whose two axes weigh the same
    square = np.array([(0, 0), (2, 0), (1, 1), (0, 2), (2, 2)], float) + 10
    with pytest.raises(PoorQuality) as caught:
        align(smooth_picture(), Landmarks(square[[1, 0, 2, 4, 3]]), square, SIZE)
    assert caught.value.reason == "degenerate landmarks"


def test_points_of_another_shape_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match=r"expected points of shape \(5, 2\), got \(4, 2\)"):
        align(smooth_picture(), placed(), POINTS[:4], SIZE)


def test_face_outside_the_picture_is_refused():
    with pytest.raises(PoorQuality, match="outside the picture") as caught:
        align(smooth_picture(), placed(x=5000), POINTS, SIZE)
    assert caught.value.reason == "outside the picture"


def matrix_of(scale=1.0, degrees=0.0, x=0.0, y=0.0):
    """The transform that takes the landmarks `placed` yields to the canonical points."""
    return similarity_transform(placed(scale, degrees, x, y).points.astype(float), POINTS)


def test_cut_takes_whole_pixels_as_they_are():
    image = smooth_picture()
    crop = cut(image, np.array([[1.0, 0, -60], [0, 1, -20]]), SIZE)
    assert crop.dtype == np.uint8
    assert np.array_equal(crop, image[20:170, 60:210])


def test_cut_gives_the_means_of_two_by_two_pixels():
    # given a transform under which each crop pixel stands for two by two of the picture's
    image = np.random.default_rng(4).integers(0, 256, (120, 140, 3), dtype=np.uint8)
    matrix = np.array([[0.5, 0, -10.25], [0, 0.5, -3.25]])
    # when it is cut, then each is their mean
    blocks = image[6 : 6 + 80, 20 : 20 + 80].reshape(40, 2, 40, 2, 3).mean(axis=(1, 3))
    assert np.abs(cut(image, matrix, 40) - blocks).max() <= 1


@pytest.mark.parametrize(("scale", "rest"), [(2.1, 40), (4, 22), (10, 10)])
@pytest.mark.parametrize("degrees", [0, 30])
def test_cut_averages_the_noise_of_large_pictures_away(scale, rest, degrees):
    noise = np.tile(np.random.default_rng(2).integers(0, 256, (600, 600, 3), dtype=np.uint8), (4, 4, 1))
    crop = cut(noise, matrix_of(scale, degrees, 800, 20), SIZE)
    assert crop.std() < rest
    assert crop.mean() == pytest.approx(noise.mean(), abs=1)


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 10), (1.0, 30), (1.9, -70), (2.0, 5), (3.7, 160)])
def test_cut_shows_the_face_where_align_does(scale, degrees):
    image = smooth_picture(1600, 1600, 80)
    matrix = matrix_of(scale, degrees, 800, 800)
    landmarks = Landmarks(transform(POINTS, invert(matrix)))
    assert difference(cut(image, matrix, SIZE), align(image, landmarks, POINTS, SIZE)) < 1


@pytest.mark.parametrize("scale", [1, 4])
def test_cut_is_black_beyond_the_picture(scale):
    image = np.full((900, 900, 3), 200, np.uint8)
    crop = cut(image, matrix_of(scale, x=-50 * scale, y=-30 * scale), SIZE)
    assert not crop[:, :48].any()
    assert not crop[:28].any()
    assert (crop[32:, 52:] == 200).all()


@pytest.mark.parametrize("scale", [0.5, 1, 6])
@pytest.mark.parametrize("place", [(5000, 0), (-5000, 0), (0, 5000), (0, -5000)])
def test_cut_outside_the_picture_is_black_all_over(scale, place):
    assert not cut(np.full((300, 300, 3), 200, np.uint8), matrix_of(scale, 0, *place), SIZE).any()
