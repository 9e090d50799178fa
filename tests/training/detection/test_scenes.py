"""Training scenes."""

from __future__ import annotations

import numpy as np

from twinface.training.detection.scenes import SceneOptions, ScenePainter, WeatherOptions, weather


def pictures(colour: int) -> list[np.ndarray]:
    return [np.full((60, 80, 3), colour, np.uint8)]


def test_the_same_seed_paints_the_same_scenes() -> None:
    photo = np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    one, other = (ScenePainter([[photo]], [1.0], SceneOptions(side=64), seed=5) for _ in range(2))
    another = ScenePainter([[photo]], [1.0], SceneOptions(side=64), seed=6)
    for _ in range(20):
        scene = one.paint()
        assert scene.shape == (64, 64, 3)
        assert scene.dtype == np.uint8
        np.testing.assert_array_equal(scene, other.paint())
        assert not np.array_equal(scene, another.paint())


def test_sources_are_drawn_by_their_shares() -> None:
    calm = WeatherOptions(grey=0, blur=0, jpeg=0, noise=0)
    options = SceneOptions(side=32, mosaic=0.0, weather=calm, scale=(2.0, 2.1))
    painter = ScenePainter([pictures(20), pictures(230)], [3.0, 1.0], options, seed=0)
    dark = sum(painter.paint()[16, 16].mean() < 128 for _ in range(200))
    assert 115 <= dark <= 185


def test_weather_keeps_size_and_type_and_leaves_its_input_alone() -> None:
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    before = photo.copy()
    always = WeatherOptions(grey=1, blur=1, jpeg=1, noise=1)
    for _ in range(10):
        spoilt = weather(photo, random, always)
        assert spoilt.shape == photo.shape
        assert spoilt.dtype == np.uint8
    np.testing.assert_array_equal(photo, before)
