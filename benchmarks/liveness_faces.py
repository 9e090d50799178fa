"""Heads and prints made of one photo of a face, and what a camera sees of them in any pose.

A head is the photo laid over an ellipsoid with a nose, a print is the photo on a plane or a cylinder. Lengths are in
face widths (the mean of eye and mouth distance, about 6 cm); x to the picture's right, y down, z towards the camera,
from the middle of eyes and mouth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Single = NDArray[np.float32]

WIDTH, HEIGHT = 560, 480
"""Pixels of a frame: what a camera of 1280 x 720 sees about a face."""

FACE = 62.0
"""Pixels of a face width at the nominal distance: a face half a metre to a metre from such a camera."""

DISTANCE = 13.0
"""Of the camera, in face widths: about 80 cm."""

REACH = (2.3, 2.5)
"""How far to the side and up and down the photo is used."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo of one frontal face.

    Attributes:
        pixels: RGB (H, W, 3).
        landmarks: five points in it, shape (5, 2).
    """

    pixels: Image
    landmarks: Floats

    @property
    def middle(self) -> Floats:
        """Of eyes and mouth, pixels."""
        return np.asarray(self.landmarks[[0, 1, 3, 4]].mean(axis=0), np.float64)

    @property
    def width(self) -> float:
        """Of the face, pixels."""
        eyes, mouth = self.landmarks[1] - self.landmarks[0], self.landmarks[4] - self.landmarks[3]
        return float(np.linalg.norm(eyes) + np.linalg.norm(mouth)) / 2


@dataclass(frozen=True)
class Pose:
    """Where something is held.

    Attributes:
        yaw: degrees, positive = to the picture's right.
        pitch: degrees, positive = down.
        roll: degrees, positive = clockwise.
        x: shift, face widths.
        y: likewise.
        near: factor by which it is nearer than nominal.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    near: float = 1.0

    def __add__(self, other: Pose) -> Pose:
        return Pose(
            self.yaw + other.yaw, self.pitch + other.pitch, self.roll + other.roll,
            self.x + other.x, self.y + other.y, self.near * other.near,
        )  # fmt: skip

    @property
    def rotation(self) -> Floats:
        """Shape (3, 3)."""
        a, b, c = np.radians([self.yaw, self.pitch, self.roll])
        about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
        about_x = np.array([[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]])
        about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
        return np.asarray(about_z @ about_x @ about_y, np.float32)


@dataclass(frozen=True, eq=False)
class Relief:
    """Something with a photo on it.

    Attributes:
        photo: its picture, RGB with opacity, uint8 (H, W, 4).
        where: pixels of the photo, x and y, on a fine grid, each (R, C).
        points: where they lie in space, shape (R, C, 3).
        pivot: what it turns about, shape (3,).
        folds: whether parts of it may hide others.
    """

    photo: Image
    where: tuple[Single, Single]
    points: Single
    pivot: Single
    folds: bool = False

    def render(self, pose: Pose, scene: Image) -> Image:
        """The scene with it in front, RGB (HEIGHT, WIDTH, 3)."""
        turned = np.asarray((self.points - self.pivot) @ pose.rotation.T + self.pivot, np.float32)
        away = DISTANCE / pose.near - turned[..., 2]
        zoom = FACE * DISTANCE / away
        x = np.asarray(WIDTH / 2 + zoom * (turned[..., 0] + pose.x), np.float32)
        y = np.asarray(HEIGHT / 2 + zoom * (turned[..., 1] + pose.y), np.float32)
        map_x, map_y = self._seen(x, y, away)
        layer = cv2.remap(self.photo, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        opacity = layer[..., 3:].astype(np.float32) / 255
        return np.asarray(layer[..., :3] * opacity + scene * (1 - opacity), np.uint8)

    def _seen(self, x: Single, y: Single, away: Single) -> tuple[Single, Single]:
        """Which pixel of the photo each pixel of the frame shows, -1 where none.

        A grid point tells of the four pixels about it, the way to their middles bridged along the surface; what is
        nearest to the camera is written last.
        """
        u, v = self.where
        xv, xu = (np.asarray(one, np.float32) for one in np.gradient(x))
        yv, yu = (np.asarray(one, np.float32) for one in np.gradient(y))
        area = xu * yv - xv * yu
        faced = (x >= 0) & (x < WIDTH - 1) & (y >= 0) & (y < HEIGHT - 1) & (area > 0.02)
        if self.folds:
            depth = away[faced]
            levels = ((depth.max() - depth) / (np.ptp(depth) + 1e-9) * 65535).astype(np.uint16)
            order = np.argsort(levels, kind="stable")
        else:
            order = np.arange(int(faced.sum()))
        x, y, u, v, xu, xv, yu, yv = (one[faced][order] for one in (x, y, u, v, xu, xv, yu, yv))
        scale = np.float32(self.where[0][0, 1] - self.where[0][0, 0]) / area[faced][order]
        column, row = x.astype(np.int32), y.astype(np.int32)
        places, seen = [], []
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            dx, dy = column + right - x, row + down - y
            du, dv = (yv * dx - xv * dy) * scale, (xu * dy - yu * dx) * scale
            places.append((row + down) * WIDTH + column + right)
            seen.append(np.stack([u + np.clip(du, -3, 3), v + np.clip(dv, -3, 3)]))
        flat = np.full((2, HEIGHT * WIDTH), -1.0, np.float32)
        flat[:, np.stack(places, 1).reshape(-1)] = np.stack(seen, 2).reshape(2, -1)
        maps = flat.reshape(2, HEIGHT, WIDTH)
        known = maps[0] >= 0
        cover = np.asarray(cv2.blur(known.astype(np.float32), (5, 5)), np.float32)
        holes = ~known & (cover > 0.4)
        for one in maps:  # where a steep surface is seen from the side
            one[holes] = (cv2.blur(np.where(known, one, 0), (5, 5)) / np.maximum(cover, 0.04))[holes]
        return maps[0], maps[1]


@dataclass(frozen=True)
class Shape:
    """Of a head, in face widths: 13 to 15 cm broad, 10 to 14 cm from the ears to the front.

    Attributes:
        nose: how far its tip stands before the plane of eyes and mouth.
        half_width: of the ellipsoid.
        half_height: likewise.
        half_depth: likewise.
        bridge: half width of the nose.
    """

    nose: float = 0.57
    half_width: float = 1.15
    half_height: float = 1.8
    half_depth: float = 2.0
    bridge: float = 0.4

    @classmethod
    def random(cls, random: np.random.Generator) -> Shape:
        """Of somebody."""
        return cls(
            random.uniform(0.45, 0.7), random.uniform(1.05, 1.25), random.uniform(1.7, 1.9),
            random.uniform(1.7, 2.3), random.uniform(0.3, 0.5),
        )  # fmt: skip


def _grid(portrait: Portrait, step: float) -> list[Single]:
    """Pixels of the photo about the face on a fine grid, and where they lie, face widths."""
    height, width = portrait.pixels.shape[:2]
    (cx, cy), unit = portrait.middle, portrait.width
    across = np.arange(max(0.0, cx - REACH[0] * unit), min(width - 1.0, cx + REACH[0] * unit), step)
    down = np.arange(max(0.0, cy - REACH[1] * unit), min(height - 1.0, cy + REACH[1] * unit), step)
    u, v = np.meshgrid(across, down)
    return [np.asarray(one, np.float32) for one in (u, v, (u - cx) / unit, (v - cy) / unit)]


def _step(portrait: Portrait) -> float:
    """Of a grid dense enough that no pixel of a frame stays empty, pixels of the photo."""
    return 0.85 * portrait.width / FACE


def _opaque(pixels: Image, opacity: Image | None = None) -> Image:
    if opacity is None:
        opacity = np.full(pixels.shape[:2], 255, np.uint8)
    return np.dstack([pixels, opacity])


def head(portrait: Portrait, shape: Shape) -> Relief:
    """A head with this face: an ellipsoid with a nose."""
    u, v, x, y = _grid(portrait, _step(portrait))
    top = -0.15

    def ellipsoid(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        left = 1 - (a / shape.half_width) ** 2 - ((b - top) / shape.half_height) ** 2
        return np.asarray(shape.half_depth * np.sqrt(np.clip(left, 0, None)))

    marks = (portrait.landmarks - portrait.middle) / portrait.width
    plane = float(ellipsoid(marks[[0, 1, 3, 4], 0], marks[[0, 1, 3, 4], 1]).mean())
    nx, ny = marks[2]
    tip = shape.nose - (float(ellipsoid(marks[2:3, 0], marks[2:3, 1])[0]) - plane)
    ramp = np.clip((y + 0.45) / (ny + 0.45), 0, 1) * np.clip((ny + 0.2 - y) / 0.2, 0, 1)
    bump = np.exp(-0.5 * ((x - nx * np.clip(ramp, 0, 1)) / (0.6 * shape.bridge)) ** 2) * ramp
    sigma = 0.05 * portrait.width / _step(portrait)
    bump = np.asarray(cv2.GaussianBlur(bump, (0, 0), sigma), np.float64)
    bump *= tip / bump.max()
    z = ellipsoid(x, y) - plane + bump
    photo_x, photo_y = np.meshgrid(*(np.arange(size) for size in portrait.pixels.shape[1::-1]))
    (cx, cy), unit = portrait.middle, portrait.width
    off = (((photo_x - cx) / unit) / shape.half_width) ** 2 + (((photo_y - cy) / unit - top) / shape.half_height) ** 2
    opacity = np.clip((0.94 - off) / 0.1, 0, 1) * 255
    photo = _opaque(portrait.pixels, opacity.astype(np.uint8))
    return Relief(
        photo, (u, v), np.dstack([x, y, z]).astype(np.float32), np.array([0.0, 0.6, -1.3], np.float32), folds=True
    )


def paper(portrait: Portrait, radius: float = math.inf) -> Relief:
    """A print of the photo in life size: flat, or bent about an upright axis with a radius in face widths."""
    u, v, x, y = _grid(portrait, _step(portrait))
    if math.isinf(radius):
        return Relief(_opaque(portrait.pixels), (u, v), np.dstack([x, y, np.zeros_like(x)]), np.zeros(3, np.float32))
    angle = np.clip(x / radius, -0.5 * math.pi, 0.5 * math.pi)
    bent = np.dstack([radius * np.sin(angle), y, radius * (np.cos(angle) - 1)]).astype(np.float32)
    return Relief(_opaque(portrait.pixels), (u, v), bent, np.array([0.0, 0.0, -0.5 * radius], np.float32), folds=True)
