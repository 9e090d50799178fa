"""The measures behind the passive signs, each over the frames of one face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SLOWEST = 1.5
"""Hz below which changes of light are those of a moving head."""

BANDS = 4
"""Bands across the face, 0 (all of it) to BANDS - 1, that are looked for."""

COARSE = 0.1
"""Waves a pixel below which they are features of a face."""

ROWS = 32
"""Rows a face is reduced to for its light."""


def light(face: NDArray[np.uint8]) -> Floats:
    """Logarithm of the light of each row of a face, from its top, shape (ROWS,)."""
    rows = cv2.resize(face, (1, ROWS), interpolation=cv2.INTER_AREA)[:, 0]
    return np.log(np.maximum(rows.astype(np.float64), 1.0))


def flicker(times: Floats, lights: Floats) -> tuple[float, float]:
    """Strongest periodic change of light: of the whole face, or in bands that run over it.

    Args:
        times: seconds, shape (T,).
        lights: logarithm of the light of each row, shape (T, ROWS).

    Returns:
        Its power relative to the median of the others' and its amplitude as a share of the light.
    """
    step = float(np.median(np.diff(times)))
    span = float(times[-1] - times[0])
    frequencies = np.arange(SLOWEST, 0.5 / step, 1 / span)
    if len(frequencies) < 4:
        return 0.0, 0.0
    phases = 2 * np.pi * np.outer(np.arange(ROWS) / ROWS, np.arange(BANDS))
    waves = lights @ np.exp(-1j * phases) / ROWS
    window = np.hanning(len(times) + 2)[1:-1]
    trend = np.vander(2 * (times - times[0]) / span - 1, 4)
    waves = waves - trend @ np.linalg.lstsq(trend.astype(complex), waves, rcond=None)[0]
    turns = np.exp(-2j * np.pi * np.outer(np.concatenate([frequencies, -frequencies]), times - times[0]))
    found = np.abs(turns @ (waves * window[:, None])) * 2 / window.sum()
    half = len(frequencies)
    found[half:, 0] = found[:half, 0]  # without bands there is no direction
    power = found**2
    ratio = power / np.maximum(np.median(power, axis=0), 1e-18)
    at = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return float(ratio[at]), float(found[at])


def spectrum(face: NDArray[np.uint8]) -> Floats:
    """Power of a square piece of a face by wave, shape (S, S), constant in the middle; S as that of `face`."""
    window = np.hanning(face.shape[0] + 2)[1:-1]
    grey = face.astype(np.float64)
    waves = np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * np.outer(window, window)))
    return np.asarray(np.abs(waves) ** 2, np.float64)


def moire(power: Floats) -> float:
    """Strongest isolated wave of a mean spectrum relative to those about it.

    A picture's spectrum falls off smoothly (D. Field, JOSA A 4, 1987); the grids of a screen and a sensor beat with
    one another in one wave. Coarse waves, and those of JPEG's blocks of eight pixels, are left out.
    """
    size = power.shape[0]
    log = np.log(power + 1.0)
    peaks = log - _median(log, 2 * (size // 16) + 1)
    axis = np.arange(size) - size // 2
    distance = np.hypot(*np.meshgrid(axis, axis))
    peaks[(distance < COARSE * size) | (distance > size / 2)] = 0.0
    block = np.abs((axis + size / 16) % (size / 8) - size / 16) < 1.5
    peaks[np.outer(block, block)] = 0.0
    return float(np.exp(peaks.max()))


def _median(values: Floats, reach: int) -> Floats:
    """Median over a square of `reach`, of values taken to 8 bits; a fine scale is not needed of a floor."""
    low, high = float(values.min()), float(values.max())
    scaled = np.asarray((values - low) / max(high - low, 1e-12) * 255, np.uint8)
    return np.asarray(cv2.medianBlur(scaled, reach).astype(np.float64) / 255 * (high - low) + low, np.float64)


def sway(landmarks: Floats) -> tuple[float, float]:
    """Slow movement of a face, apart from the scatter of its landmarks.

    Scatter is new in every frame, movement goes on: the mean square of successive differences tells the former (J. von
    Neumann et al., "The mean square successive difference", Ann. Math. Stat. 12, 1941), the spread of means over five
    frames, less what scatter leaves in them, the latter.

    Args:
        landmarks: shape (T, 5, 2), pixels.

    Returns:
        Standard deviation of the movement and of the scatter of the face's middle, in eye distances.
    """
    eyes = float(np.median(np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)))
    middle = landmarks.mean(axis=1) / eyes
    scatter = float((np.diff(middle, axis=0) ** 2).mean(axis=0).sum()) / 2
    means = np.stack([np.convolve(middle[:, axis], np.full(5, 0.2), "valid") for axis in (0, 1)], axis=1)
    moved = float(means.var(axis=0).sum()) - scatter / 5
    return max(0.0, moved) ** 0.5, scatter**0.5


def repeated(digests: Sequence[bytes]) -> int:
    """Frames that are the same as an earlier one, with others between them."""
    seen: set[bytes] = set()
    before, count = b"", 0
    for digest in digests:
        if digest != before:
            count += digest in seen
            seen.add(digest)
            before = digest
    return count
