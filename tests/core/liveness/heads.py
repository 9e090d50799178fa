"""Five landmarks of heads and prints, seen by a pinhole camera."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from twinface.core.liveness.challenge import SIGN, ChallengeWatch
from twinface.core.types import Box

Points = NDArray[np.float64]

RATE = 10.0
UNIT = 60.0
"""Pixels of a face width."""

FLAT = np.array([[-0.53, -0.42, 0], [0.53, -0.42, 0], [0.02, 0.05, 0], [-0.46, 0.42, 0], [0.47, 0.42, 0]])
"""Left eye, right eye, nose, left and right mouth corner; x to the picture's right, y down, z to the camera."""


def head(nose: float = 0.55) -> Points:
    """The same with the nose before the plane, face widths."""
    points = FLAT.copy()
    points[2, 2] = nose
    return points


def bent(radius: float) -> Points:
    """The same on a cylinder about an upright axis."""
    angle = FLAT[:, 0] / radius
    return np.column_stack([radius * np.sin(angle), FLAT[:, 1], radius * (np.cos(angle) - 1)])


def seen(
    points: Points, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, shift: tuple[float, float] = (0.0, 0.0),
    near: float = 1.0, distance: float = 13.0,
) -> Points:  # fmt: skip
    """Where a camera sees them, pixels, shape (5, 2); angles in degrees, positive = right, down, clockwise."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned = points @ (about_z @ about_x @ about_y).T + [*shift, 0.0]
    return np.asarray(turned[:, :2] * UNIT * distance / (distance / near - turned[:, 2:]) + 320.0)


def smooth(random: np.random.Generator, size: float) -> Iterator[float]:
    """A value that starts at 0 and moves about in waves of a second and longer."""
    frequencies = random.uniform(0.1, 0.6, 3)
    phases = random.uniform(0, 2 * np.pi, 3)
    start = np.sin(phases).sum()
    for step in range(10_000):
        waves = np.sin(2 * np.pi * frequencies * step / RATE + phases).sum()
        yield float(size * (waves - start) / 3)


def box_of(points: Points) -> Box:
    x, y = points.min(axis=0) - UNIT / 2
    width, height = np.ptp(points, axis=0) + UNIT
    return Box(float(x), float(y), float(width), float(height))


class Actor:
    """Turns to the side that is asked for, at so many degrees a second, up to an angle."""

    def __init__(self, angle: float, speed: float = 90.0, delay: float = 0.3) -> None:
        self.angle, self.speed, self.delay = angle, speed, delay
        self.yaw, self._asked, self._since = 0.0, 0.0, 0.0

    def __call__(self, time: float, watch: ChallengeWatch) -> float:
        side = SIGN[watch.asked] if watch.asked else 0.0
        if side != self._asked:
            self._asked, self._since = side, time
        if time - self._since >= self.delay:
            step = self.speed / RATE
            self.yaw += float(np.clip(self._asked * self.angle - self.yaw, -step, step))
        return self.yaw
