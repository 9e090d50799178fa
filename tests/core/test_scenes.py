"""Cuts are seen, movement and noise are none."""

from __future__ import annotations

import numpy as np
import pytest

from twinface.core.scenes import SceneWatch, change_between


def scenery(seed: int, bright: float = 1.0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (18, 32, 3)) * bright
    return blocks.astype(np.uint8).repeat(20, 0).repeat(20, 1)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bright", [1.0, 0.1])
def test_a_cut_is_seen_and_noise_is_none(bright: float) -> None:
    watch = SceneWatch()
    one, other = scenery(1, bright), scenery(2, bright)

    assert not watch.cut(one)
    assert not any(watch.cut(noisy(one, seed)) for seed in range(5))
    assert watch.cut(noisy(other, 9))
    assert not watch.cut(noisy(other, 10))


def test_a_face_that_moves_is_no_cut() -> None:
    watch = SceneWatch()
    for step in range(10):
        image = scenery(1)
        image[100:220, 40 * step : 40 * step + 100] = 200
        assert not watch.cut(image)


def test_a_moving_camera_is_no_cut_once_it_moves() -> None:
    watch = SceneWatch()
    wide = scenery(3).repeat(4, 1)
    assert sum(watch.cut(wide[:, 10 * step : 10 * step + 640]) for step in range(100)) <= 2
    assert watch.cut(scenery(77))


def test_a_picture_of_another_size_is_another_scene() -> None:
    watch = SceneWatch()
    assert not watch.cut(scenery(1))
    assert watch.cut(scenery(1)[:200])


def test_black_frames_are_one_scene() -> None:
    watch = SceneWatch()
    black = np.zeros((36, 64, 3), np.uint8)
    assert not watch.cut(black)
    assert not watch.cut(noisy(black, 1))


def test_the_change_of_nothing_is_none() -> None:
    image = scenery(1)
    assert change_between(image, image) == 0
    assert change_between(image, scenery(2)) > 0.9


def test_another_watch_goes_on() -> None:
    first = SceneWatch()
    first.cut(scenery(1))
    assert SceneWatch(first.sample, first.usual).cut(scenery(2))
    assert not SceneWatch(first.sample, first.usual).cut(scenery(1))
