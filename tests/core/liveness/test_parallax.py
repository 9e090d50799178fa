"""What five landmarks say of planes and of noses."""

from __future__ import annotations

import numpy as np
import pytest
from heads import FLAT, UNIT, bent, head, seen

from twinface.core.liveness.parallax import as_points, depth, homography, move, together


def test_a_homography_takes_its_four_points_where_they_go_and_a_fifth_of_the_plane_along() -> None:
    matrix = np.array([[1.1, 0.2, 30], [-0.1, 0.9, 12], [1e-3, -5e-4, 1]])
    points = np.array([[0, 0], [50, 3], [48, 60], [-2, 55], [20, 30]], np.float64)
    there = np.column_stack([points, np.ones(5)]) @ matrix.T
    there = there[:, :2] / there[:, 2:]
    found = homography(points[:4], there[:4])
    np.testing.assert_allclose(found, matrix, rtol=1e-9)


def test_points_on_a_line_have_no_homography() -> None:
    line = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.float64)
    with pytest.raises(ValueError, match="lie on a line"):
        homography(line, line)


@pytest.mark.parametrize("pose", [{"yaw": 50.0}, {"pitch": -40.0}, {"roll": 70.0}, {"yaw": 40.0, "near": 2.0}])
def test_however_a_print_is_held_its_nose_stays_where_the_plane_says(pose: dict[str, float]) -> None:
    found = move(seen(FLAT, distance=6.0), seen(FLAT, **pose, distance=6.0))
    np.testing.assert_allclose(found.parallax, 0, atol=1e-9)
    assert abs(found.yaw) < 1e-6


@pytest.mark.parametrize("yaw", [-40.0, -25.0, 10.0, 25.0, 40.0])
@pytest.mark.parametrize("roll", [-20.0, 0.0, 30.0])
def test_a_heads_nose_tells_which_way_and_how_far_it_turned(yaw: float, roll: float) -> None:
    found = move(seen(head()), seen(head(), yaw=yaw, roll=roll))
    assert found.yaw == pytest.approx(yaw, abs=4)


def test_rolling_shifting_and_coming_nearer_is_no_turn() -> None:
    found = move(seen(head()), seen(head(), roll=35, shift=(0.5, -0.3), near=1.3))
    assert abs(found.yaw) < 3


@pytest.mark.parametrize("nose", [0.4, 0.55, 0.7])
@pytest.mark.parametrize("pitch", [-12.0, 0.0, 12.0])
def test_the_depth_of_a_nose_is_found_from_turns_of_unknown_angle(nose: float, pitch: float) -> None:
    reference = seen(head(nose), pitch=pitch)
    k, error = depth([move(reference, seen(head(nose), yaw, pitch)) for yaw in (-35, -25, -10, 0, 15, 28, 40)])
    assert k**-0.5 == pytest.approx(nose, rel=0.12)
    assert error < 1


@pytest.mark.parametrize("radius", [0.6, 0.8, 1.2])
def test_a_bent_prints_nose_is_shallower_than_any_head_s(radius: float) -> None:
    reference = seen(bent(radius))
    k, _ = depth([move(reference, seen(bent(radius), yaw)) for yaw in (-35, -20, 0, 20, 35)])
    assert k**-0.5 < 0.3


def test_views_of_one_pose_are_averaged_wherever_the_face_was() -> None:
    first = seen(head())
    elsewhere = [seen(head(), roll=angle, shift=(angle / 20, 0.2), distance=1e6) for angle in (0, 5, -8)]
    np.testing.assert_allclose(together([first, *elsewhere]), first, atol=0.02 * UNIT)


def test_the_depth_of_a_face_that_never_turned_is_unknown() -> None:
    assert depth([]) == (0.0, np.inf)
    random = np.random.default_rng(0)
    still = [seen(head()) + random.normal(0, 0.5, (5, 2)) for _ in range(30)]
    _, error = depth([move(still[0], points) for points in still])
    assert error > 5  # of k, which lies between 1.4 and 5.4 for heads


@pytest.mark.parametrize("wrong", [np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_other_landmarks_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        as_points(wrong)
