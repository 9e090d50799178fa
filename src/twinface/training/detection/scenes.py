"""Random training scenes for the detector: pictures cropped, scaled, turned, mirrored, coloured, blurred, tiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class WeatherOptions:
    """How often a picture is spoilt, in [0, 1]."""

    grey: float = 0.08
    blur: float = 0.15
    jpeg: float = 0.15
    noise: float = 0.1


@dataclass(frozen=True)
class SceneOptions:
    """How scenes are drawn. Chances are probabilities in [0, 1]."""

    side: int = 192
    """Scene width and height in pixels."""
    scale: tuple[float, float] = (0.22, 1.6)
    """Enlargement of a picture, drawn log-uniformly."""
    turn: float = 12.0
    """Standard deviation of the rotation, degrees."""
    mosaic: float = 0.3
    weather: WeatherOptions = field(default_factory=WeatherOptions)


class ScenePainter:
    """Draws scenes from a set of pictures.

    Args:
        sources: groups of RGB uint8 arrays of any size.
        shares: how often each group is drawn from; positive, any sum.
        options: how to draw.
        seed: for the random generator; the same seed gives the same scenes.
    """

    def __init__(
        self, sources: Sequence[Sequence[Picture]], shares: Sequence[float], options: SceneOptions, seed: int
    ) -> None:
        self._sources = sources
        self._chances = np.asarray(shares, np.float64) / np.sum(shares)
        self._options = options
        self._random = np.random.default_rng(seed)

    def paint(self) -> Picture:
        """One scene, RGB uint8, shape (side, side, 3)."""
        side = self._options.side
        if self._random.random() < self._options.mosaic:
            scene = np.empty((side, side, 3), np.uint8)
            across = int(side * self._random.uniform(0.3, 0.7))
            down = int(side * self._random.uniform(0.3, 0.7))
            for rows in (slice(0, down), slice(down, side)):
                for columns in (slice(0, across), slice(across, side)):
                    size = (rows.stop - rows.start, columns.stop - columns.start)
                    scene[rows, columns] = self._place(size, 0.6)
        else:
            scene = self._place((side, side), 1.0)
        return weather(scene, self._random, self._options.weather)

    def _place(self, size: tuple[int, int], shrink: float) -> Picture:
        """One picture, turned, scaled and moved into a window of `size` (height, width)."""
        random, options = self._random, self._options
        source = self._sources[int(random.choice(len(self._sources), p=self._chances))]
        picture = source[int(random.integers(len(source)))]
        height, width = picture.shape[:2]
        low, high = options.scale
        scale = shrink * low * (high / low) ** random.random()
        angle = np.deg2rad(random.normal(0.0, options.turn))
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        if random.random() < 0.5:
            linear[:, 0] *= -1.0
        anchor = np.array([width * random.uniform(0.3, 0.7), height * random.uniform(0.15, 0.65)])
        target = np.array([size[1] * random.uniform(0.25, 0.75), size[0] * random.uniform(0.25, 0.75)])
        matrix = np.column_stack([linear, target - linear @ anchor])
        border = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)[int(random.integers(3))]
        fill = [float(value) for value in random.integers(0, 256, 3)]
        smooth = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
        if scale < 0.7:  # shrink first: warping alone would alias
            small = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = cv2.resize(picture, small, interpolation=smooth).astype(np.uint8, copy=False)
            matrix[:, 0] *= width / small[0]
            matrix[:, 1] *= height / small[1]
        warped = cv2.warpAffine(
            picture, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill
        )
        return warped.astype(np.uint8, copy=False)


def weather(scene: Picture, random: np.random.Generator, options: WeatherOptions) -> Picture:
    """Light, colour, blur, compression and noise, drawn anew at each call; RGB uint8 in and out."""
    if random.random() < options.blur:
        scene = cv2.GaussianBlur(scene, (0, 0), float(random.uniform(0.5, 2.0))).astype(np.uint8, copy=False)
    gain, offset = random.normal(1.0, 0.2), random.normal(0.0, 18.0)
    tint = random.normal(1.0, 0.05, 3)
    levels = np.arange(256)[:, None] * gain * tint + offset
    if random.random() < 0.3:
        levels = 255.0 * (np.clip(levels, 0, 255) / 255.0) ** np.exp(random.normal(0.0, 0.35))
    table = np.clip(levels, 0, 255).astype(np.uint8)[None]
    scene = cv2.LUT(scene, table).astype(np.uint8, copy=False)
    if random.random() < options.grey:
        scene = np.repeat(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.uint8)
    if random.random() < options.noise:
        spread = random.uniform(2.0, 12.0)
        scene = np.clip(scene + random.normal(0.0, spread, scene.shape), 0, 255).astype(np.uint8)
    if random.random() < options.jpeg:
        quality = int(random.integers(25, 90))
        _, stream = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, quality])
        scene = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), np.uint8)
    return scene
