"""Each sign on signals that are known to have it or not."""

from __future__ import annotations

import numpy as np
import pytest

from twinface.vision.liveness.limits import LIMITS
from twinface.vision.liveness.signs import ROWS, flicker, light, moire, repeated, spectrum, sway

TIMES = np.arange(30) / 10


def lights(depth: float, frequency: float, bands: float = 0.0, seed: int = 0) -> np.ndarray:
    """Light of a face that moves a little, and pulses."""
    random = np.random.default_rng(seed)
    drift = 0.05 * np.sin(2 * np.pi * 0.4 * TIMES)[:, None] * np.linspace(-1, 1, ROWS)
    rows = np.arange(ROWS) / ROWS
    pulse = depth * np.sin(2 * np.pi * (frequency * TIMES[:, None] + bands * rows))
    return 4.7 + drift + pulse + random.normal(0, 0.002, (len(TIMES), ROWS))


@pytest.mark.parametrize(("frequency", "bands"), [(2.5, 0.0), (4.1, 0.0), (3.3, 1.0), (2.2, -2.0)])
def test_a_pulsing_light_and_running_bands_are_flicker(frequency: float, bands: float) -> None:
    ratio, ripple = flicker(TIMES, lights(0.02, frequency, bands))
    assert ratio > LIMITS.flicker
    assert ripple == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("seed", range(10))
def test_a_moving_face_is_no_flicker(seed: int) -> None:
    assert flicker(TIMES, lights(0.0, 0.0, seed=seed))[0] < LIMITS.flicker


def test_flicker_is_told_where_frames_come_unevenly_too() -> None:
    times = TIMES + np.random.default_rng(0).uniform(-0.02, 0.02, len(TIMES))
    pulse = 4.7 + 0.02 * np.sin(2 * np.pi * 3.0 * times)[:, None] + np.zeros(ROWS)
    assert flicker(times, pulse)[0] > LIMITS.flicker


def test_frames_too_few_a_second_show_no_flicker() -> None:
    assert flicker(np.arange(10) / 2.5, np.full((10, ROWS), 4.0)) == (0.0, 0.0)


def test_light_is_the_rows_logarithm_and_bears_black() -> None:
    face = np.repeat(np.linspace(0, 255, 64)[:, None], 50, axis=1).astype(np.uint8)
    assert light(face).shape == (ROWS,)
    assert (np.diff(light(face)) >= 0).all()
    np.testing.assert_array_equal(light(np.zeros((40, 40), np.uint8)), 0)


def natural(size: int, seed: int) -> np.ndarray:
    """A texture whose amplitude falls off as that of photos does, with a sensor's noise."""
    random = np.random.default_rng(seed)
    axis = np.fft.fftfreq(size)
    fall = 1 / np.maximum(np.hypot(*np.meshgrid(axis, axis)), 1 / size)
    waves = np.fft.fft2(random.normal(0, 1, (size, size))) * fall
    texture = np.fft.ifft2(waves).real
    return 120 + 40 * texture / texture.std() + random.normal(0, 2, (size, size))


def mean_spectrum(wave: np.ndarray | float, size: int = 96) -> np.ndarray:
    frames = [np.clip(natural(size, seed) * (1 + wave), 0, 255).astype(np.uint8) for seed in range(10)]
    return np.mean([spectrum(frame) for frame in frames], axis=0)


def test_a_wave_over_a_picture_is_moire_and_a_picture_is_not() -> None:
    x, y = np.meshgrid(np.arange(96), np.arange(96))
    assert moire(mean_spectrum(0.08 * np.cos(2 * np.pi * (0.21 * x + 0.07 * y)))) > LIMITS.moire
    assert moire(mean_spectrum(0.0)) < LIMITS.moire / 2


def test_the_blocks_of_jpeg_are_no_moire() -> None:
    blocks = np.where(np.arange(96) % 8 == 0, 0.05, 0.0)
    assert moire(mean_spectrum(blocks[None] + blocks[:, None])) < LIMITS.moire


def test_movement_is_told_from_the_scatter_of_landmarks() -> None:
    random = np.random.default_rng(0)
    still = np.array([[0, 0], [60, 0], [30, 30], [5, 60], [55, 60]]) + random.normal(0, 0.5, (40, 5, 2))
    moved, scatter = sway(still)
    assert moved < LIMITS.sway
    assert scatter == pytest.approx(0.5 * 2**0.5 / 5**0.5 / 60, rel=0.4)
    swaying = still + 1.5 * np.sin(np.arange(40) / 6)[:, None, None]
    assert sway(swaying)[0] > 3 * LIMITS.sway


def test_frames_that_come_again_are_counted_but_not_a_frame_that_stays() -> None:
    assert repeated([b"a", b"b", b"c", b"a", b"b", b"c"]) == 3
    assert repeated([b"a", b"a", b"a", b"b", b"b"]) == 0
    assert repeated([]) == 0
