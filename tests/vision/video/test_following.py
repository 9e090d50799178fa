"""Faces are found again between detections where they moved, and not where they are gone."""

from __future__ import annotations

import numpy as np
import pytest

from twinface.core.types import Box
from twinface.vision.video.following import CorrelationFollower


def texture(seed: int, side: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(40, 216, (6, 6, 3))
    return blocks.astype(np.uint8).repeat(-(-side // 6), 0).repeat(-(-side // 6), 1)[:side, :side]


def scene(*faces: tuple[int, int, int], side: int = 90, noise: int = 0) -> np.ndarray:
    """Faces of their own look at x, y."""
    image = np.full((360, 640, 3), 128, np.uint8)
    for look, x, y in faces:
        left, top = max(0, x), max(0, y)
        image[top : y + side, left : x + side] = texture(look, side)[top - y :, left - x :][: 360 - top, : 640 - left]
    if noise:
        image = np.clip(image + np.random.default_rng(noise).normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    return image


@pytest.mark.parametrize("side", [24, 60, 90, 160])
def test_a_face_is_found_where_it_moved_to(side: int) -> None:
    follower = CorrelationFollower()
    follower.remember(scene((1, 200, 100), side=side), {7: Box(200, 100, side, side)}, {7})
    step = side // 6
    for place in range(1, 6):
        x, y = 200 + step * place, 100 + step * place // 2
        box = follower.follow(scene((1, x, y), side=side, noise=place))[7]
        assert (box.width, box.height) == (side, side)
        assert box.x == pytest.approx(x, abs=max(1, side / 32))
        assert box.y == pytest.approx(y, abs=max(1, side / 32))


def test_each_face_is_followed_by_its_own_look() -> None:
    follower = CorrelationFollower()
    boxes = {1: Box(100, 100, 90, 90), 2: Box(300, 100, 90, 90)}
    follower.remember(scene((1, 100, 100), (2, 300, 100)), boxes, {1, 2})
    found = follower.follow(scene((1, 130, 110), (2, 270, 90)))
    assert found[1].x == pytest.approx(130, abs=3)
    assert found[2].x == pytest.approx(270, abs=3)


def test_who_is_gone_is_not_found_and_may_come_back() -> None:
    follower = CorrelationFollower()
    follower.remember(scene((1, 100, 100)), {1: Box(100, 100, 90, 90)}, {1})
    assert follower.follow(scene()) == {}
    assert follower.follow(scene((2, 100, 100))) == {}
    assert follower.follow(scene((1, 105, 100)))[1].x == pytest.approx(105, abs=3)
    assert follower.follow(scene((1, 300, 100))) == {}


def test_a_face_at_the_border_is_followed_by_what_is_seen_of_it() -> None:
    follower = CorrelationFollower()
    follower.remember(scene((1, -30, 300)), {1: Box(-30, 300, 90, 90)}, {1})
    box = follower.follow(scene((1, -10, 290)))[1]
    assert (box.x, box.y) == (pytest.approx(-10, abs=3), pytest.approx(290, abs=3))


def test_missed_tracks_are_looked_for_on_and_ended_ones_are_forgotten() -> None:
    follower = CorrelationFollower()
    image = scene((1, 100, 100), (2, 300, 100))
    follower.remember(image, {1: Box(100, 100, 90, 90), 2: Box(300, 100, 90, 90)}, {1, 2})
    follower.remember(image, {1: Box(100, 100, 90, 90)}, {1, 2})
    assert set(follower.follow(image)) == {1, 2}
    follower.remember(image, {1: Box(100, 100, 90, 90)}, {1})
    assert set(follower.follow(image)) == {1}


@pytest.mark.parametrize("box", [Box(500, 50, 90, 90), Box(-200, -200, 90, 90), Box(100, 100, 4, 4)])
def test_there_is_nothing_to_hold_on_to(box: Box) -> None:
    """A blank wall, outside of the picture, a dot."""
    follower = CorrelationFollower()
    follower.remember(scene((1, 100, 100)), {1: box}, {1})
    assert follower.follow(scene((1, 100, 100))) == {}


def test_a_smaller_picture_is_no_trouble() -> None:
    follower = CorrelationFollower()
    follower.remember(scene((1, 500, 200)), {1: Box(500, 200, 90, 90)}, {1})
    assert follower.follow(np.zeros((40, 50, 3), np.uint8)) == {}


@pytest.mark.parametrize("wrong", [{"least": 0.0}, {"least": 1.0}, {"reach": 0.0}])
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="following"):
        CorrelationFollower(**wrong)
