"""A camera that shows the sample portraits: they come, sway a little and go; its cable can be pulled."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Image
from twinface.core.video import VideoFrame, VideoInfo

WIDTH, HEIGHT, RATE = 640, 360, 15.0
NOISE = 3.0
"""Standard deviation of the sensor's noise, grey levels."""

PORTRAITS = ("hopper", "collins")


class SampleCamera:
    """As the port `FrameSource` wants it: live, until it is closed.

    Args:
        seed: of its noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self._portraits = {name: _portrait(name) for name in PORTRAITS}
        self._random = np.random.default_rng(seed)
        self._background = _background(self._random)
        self._closing = threading.Event()
        self._plugged = threading.Event()
        self._plugged.set()
        self._shown: tuple[str, ...] = ()

    @property
    def info(self) -> VideoInfo:
        """See the port."""
        return VideoInfo("the sample camera", True, WIDTH, HEIGHT, None, RATE)

    def portray(self, name: str, picture: Image) -> None:
        """Adds a portrait of yours, RGB uint8 (H, W, 3)."""
        self._portraits[name] = np.ascontiguousarray(picture).astype(np.float32)

    def show(self, names: Sequence[str]) -> None:
        """Who stands before it: of PORTRAITS, or added."""
        self._shown = tuple(names)

    def plug(self, *, plugged: bool) -> None:
        """Pulls its cable, or puts it back."""
        (self._plugged.set if plugged else self._plugged.clear)()

    def frames(self) -> Iterator[VideoFrame]:
        """See the port."""
        began, number = time.monotonic(), 0
        while not self._closing.wait(max(0.0, began + number / RATE - time.monotonic())):
            now = time.monotonic()
            if self._plugged.is_set():
                yield VideoFrame(self.picture(now - began), now - began, number, now)
            number = max(number + 1, int((now - began) * RATE))

    def picture(self, moment: float) -> Image:
        """What it sees: RGB uint8 (HEIGHT, WIDTH, 3).

        Args:
            moment: seconds; the portraits sway with it.
        """
        canvas = self._background.copy()
        for place, name in enumerate(self._shown):
            middle = WIDTH * (place + 1) / (len(self._shown) + 1)
            _paste(canvas, self._portraits[name], middle, moment + place)
        noisy = canvas + self._random.normal(0, NOISE, canvas.shape).astype(np.float32)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def close(self) -> None:
        """See the port."""
        self._closing.set()


def _portrait(name: str) -> NDArray[np.float32]:
    content = np.frombuffer((files("twinface.app.access") / "sample" / f"{name}.webp").read_bytes(), np.uint8)
    picture = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.float32)


def _background(random: np.random.Generator) -> NDArray[np.float32]:
    """The wall of a cabin."""
    shade = np.linspace(105, 70, HEIGHT, dtype=np.float32)[:, None, None] * np.array([0.95, 1.0, 1.05], np.float32)
    grain = cv2.GaussianBlur(random.normal(0, 20, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 12)
    return np.broadcast_to(shade, (HEIGHT, WIDTH, 3)) + 8 * np.asarray(grain, np.float32)[:, :, None]


def _paste(canvas: NDArray[np.float32], portrait: NDArray[np.float32], middle: float, moment: float) -> None:
    """Draws a portrait, swaying, with soft edges."""
    height, width = portrait.shape[:2]
    scale = HEIGHT / height * (0.92 + 0.02 * math.sin(1.1 * moment))
    turn = math.radians(1.5 * math.sin(0.9 * moment))
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    x = middle + 6 * math.sin(0.7 * moment)
    y = HEIGHT - scale * height / 2 + 3 * math.sin(1.3 * moment)
    matrix = np.array(
        [
            [cosine, -sine, x - cosine * width / 2 + sine * height / 2],
            [sine, cosine, y - sine * width / 2 - cosine * height / 2],
        ]
    )
    mask = np.zeros((height, width), np.float32)
    mask[12:, 12:-12] = 1
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 5), np.float32)
    size = (WIDTH, HEIGHT)
    drawn = cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_AREA)
    cover = np.asarray(cv2.warpAffine(mask, matrix, size), np.float32)[:, :, None]
    canvas += cover * (np.asarray(drawn, np.float32) - canvas)
