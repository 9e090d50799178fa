"""Finds faces again in the frames between two detections: by correlation with how they looked at the last one.

For whoever shows running tracks on every frame and detects on some. A face costs some 0.15 milliseconds a frame. The
look is never renewed between detections, so that errors do not add up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Box, Image

SIDE = 32
"""Pixels of a face's longer side in which it is looked for: a shift is told to a thirtieth of the face or better."""

FLAT = 2.0
"""Standard deviation of grey, 0..255, up to which there is nothing to hold on to."""

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels of a picture."""


@dataclass(frozen=True, eq=False)
class _Look:
    """A face as it was when detected.

    Attributes:
        box: where it is now.
        area: of the patch, inside the picture, as of now.
        patch: grey, uint8, longer side of the face about SIDE pixels.
        scale: pixels of the patch for one of the picture.
    """

    box: Box
    area: Area
    patch: NDArray[np.uint8]
    scale: float


class CorrelationFollower:
    """Follows faces by normalised cross-correlation; implements `services.tracks.Follower`.

    Args:
        least: smallest correlation at which a face is found again, in (0, 1).
        reach: how far it may be from where it was last, in units of its longer side.
    """

    def __init__(self, least: float = 0.6, reach: float = 0.5) -> None:
        if not (0 < least < 1 and reach > 0):
            raise ValueError(f"following: least must lie in (0, 1) and reach be positive, got {least} and {reach}")
        self._least = least
        self._reach = reach
        self._looks: dict[int, _Look] = {}

    def remember(self, image: Image, boxes: Mapping[int, Box], running: Collection[int]) -> None:
        """Looks at the faces detected in a picture, by number of their track; tracks that do not run are forgotten.

        A track that runs and was not detected is looked for as it was before.
        """
        looks = {number: _look(image, box) for number, box in boxes.items()}
        known = {number: look for number, look in self._looks.items() if number in running and number not in boxes}
        self._looks = known | {number: look for number, look in looks.items() if look is not None}

    def follow(self, image: Image) -> dict[int, Box]:
        """Where the faces are in a later picture, RGB uint8 (H, W, 3), by number; those not found are left out."""
        found = {}
        for number, look in self._looks.items():
            moved = self._moved(image, look)
            if moved is not None:
                self._looks[number] = moved
                found[number] = moved.box
        return found

    def _moved(self, image: Image, look: _Look) -> _Look | None:
        left, top, right, bottom = look.area
        margin = round(self._reach * max(look.box.width, look.box.height))
        window = _inside(image, (left - margin, top - margin, right + margin, bottom + margin))
        grey = _grey(image, window, look.scale)
        height, width = look.patch.shape
        if grey is None or grey.shape[0] < height or grey.shape[1] < width:
            return None
        scores = cv2.matchTemplate(grey, look.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(scores)
        if not best >= self._least:
            return None
        across = window[0] - left + (column + _peak(scores[row], column)) / look.scale
        down = window[1] - top + (row + _peak(scores[:, column], row)) / look.scale
        box = Box(look.box.x + across, look.box.y + down, look.box.width, look.box.height)
        x, y = round(left + across), round(top + down)
        return _Look(box, (x, y, x + right - left, y + bottom - top), look.patch, look.scale)


def _look(image: Image, box: Box) -> _Look | None:
    """How a face looks; None where there is nothing to hold on to."""
    left, top, right, bottom = box.corners
    area = _inside(image, (round(left), round(top), round(right), round(bottom)))
    scale = min(1.0, SIDE / max(box.width, box.height))
    patch = _grey(image, area, scale)
    if patch is None or min(patch.shape) < SIDE // 4 or float(patch.std()) <= FLAT:
        return None
    return _Look(box, area, patch, scale)


def _inside(image: Image, area: Area) -> Area:
    height, width = image.shape[:2]
    return max(0, area[0]), max(0, area[1]), min(width, area[2]), min(height, area[3])


def _grey(image: Image, area: Area, scale: float) -> NDArray[np.uint8] | None:
    """An area of a picture, shrunk; None where it is outside."""
    left, top, right, bottom = area
    if right - left < 2 or bottom - top < 2:
        return None
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _peak(scores: NDArray[Any], place: int) -> float:
    """How far the top of the parabola through a peak and its two neighbours is from it, in [-0.5, 0.5]."""
    if not 0 < place < len(scores) - 1:
        return 0.0
    before, here, after = (float(scores[place + step]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < -1e-6 else 0.0
