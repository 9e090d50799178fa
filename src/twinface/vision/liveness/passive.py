"""Signs of a recording or a still picture in the frames of one face, with nothing asked of the person."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.types import Box, Image
from twinface.vision.liveness.limits import LIMITS, PassiveLimits
from twinface.vision.liveness.signs import Floats, flicker, light, moire, repeated, spectrum, sway

Reason = Literal["", "frozen", "looped", "flicker", "moire", "still", "too short"]

SIDES = (64, 96, 128, 192, 256)
"""Sizes of the piece of a face that is looked at for moire, pixels."""


@dataclass(frozen=True)
class PassiveVerdict:
    """What the frames of one face say.

    Attributes:
        live: whether no sign of a recording or a picture was found.
        reason: the sign that was found; empty where none was.
        measures: what was measured, by name.
    """

    live: bool
    reason: Reason
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is kept of a frame."""

    time: float
    change: float
    digest: bytes
    light: Floats
    spectrum: Floats | None
    landmarks: Floats


class PassiveWatch:
    """Gathers frames of one face and judges the last seconds of them together.

    Args:
        limits: when frames tell of a recording or a picture.
    """

    def __init__(self, limits: PassiveLimits = LIMITS) -> None:
        self._limits = limits
        self._looks: deque[_Look] = deque()
        self._before: NDArray[np.uint8] | None = None
        self._side = 0

    def feed(self, time: float, image: Image, box: Box, landmarks: ArrayLike) -> None:
        """Takes the face of one frame.

        Args:
            time: of the frame, seconds; frames that are not later than the one before are passed over.
            image: RGB uint8 (H, W, 3).
            box: of the face, pixels.
            landmarks: shape (5, 2), pixels.

        Raises:
            ValueError: another shape of the image or the landmarks, landmarks that are not finite, or a box that lies
                outside the image.
        """
        points = np.array(landmarks, np.float64)
        if image.ndim != 3 or image.shape[2] != 3 or points.shape != (5, 2):
            raise ValueError(f"liveness: expected (H, W, 3) and (5, 2), got {image.shape} and {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("liveness: the landmarks hold values that are not finite")
        if self._looks and not time > self._looks[-1].time:
            return
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        rows, columns = _inside(box, grey.shape)
        face = grey[rows, columns]
        before, self._before = self._before, grey
        known = before is not None and before.shape == grey.shape
        change = float(cv2.absdiff(face, before[rows, columns]).mean()) if before is not None and known else math.inf
        digest = hashlib.blake2b(np.ascontiguousarray(image[rows, columns]).tobytes(), digest_size=16).digest()
        self._looks.append(_Look(time, change, digest, light(face), self._spectrum(grey, box), points))
        while time - self._looks[0].time > self._limits.window:
            self._looks.popleft()

    def verdict(self) -> PassiveVerdict:
        """What the frames so far say; "too short" until there are enough that show the whole face, often enough."""
        looks = list(self._looks)
        limits = self._limits
        seconds = looks[-1].time - looks[0].time if looks else 0.0
        measures = {"seconds": seconds, "frames": float(len(looks))}
        spectra = [look.spectrum for look in looks if look.spectrum is not None]
        enough = seconds >= limits.seconds and len(looks) >= limits.rate * seconds
        if not (enough and len(spectra) >= limits.whole * len(looks)):
            return PassiveVerdict(False, "too short", measures)
        times = np.array([look.time for look in looks])
        measures["frozen"] = _longest(times, [look.change < limits.change for look in looks])
        measures["change"] = float(np.median([look.change for look in looks]))
        measures["repeats"] = float(repeated([look.digest for look in looks]))
        measures["flicker"], measures["ripple"] = flicker(times, np.stack([look.light for look in looks]))
        measures["moire"] = moire(np.mean(spectra, axis=0))
        measures["sway"], measures["scatter"] = sway(np.stack([look.landmarks for look in looks]))
        signs: dict[Reason, bool] = {
            "frozen": measures["frozen"] >= limits.frozen,
            "looped": measures["repeats"] >= limits.repeats,
            "flicker": measures["flicker"] > limits.flicker and measures["ripple"] > limits.ripple,
            "moire": measures["moire"] > limits.moire,
            "still": measures["sway"] < limits.sway,
        }
        reason: Reason = next((name for name, found in signs.items() if found), "")
        return PassiveVerdict(not reason, reason, measures)

    def _spectrum(self, grey: NDArray[np.uint8], box: Box) -> Floats | None:
        """Of the middle of the face, always the same number of pixels; None where the picture ends before."""
        if not self._side:
            self._side = max((side for side in SIDES if side <= 0.8 * min(box.width, box.height)), default=SIDES[0])
        left, top = round(box.x + (box.width - self._side) / 2), round(box.y + (box.height - self._side) / 2)
        piece = grey[max(0, top) : top + self._side, max(0, left) : left + self._side]
        return spectrum(piece) if piece.shape == (self._side, self._side) else None


def _inside(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box as far as it lies in the picture."""
    left, top, right, bottom = (round(value) for value in box.corners)
    rows, columns = slice(max(0, top), min(shape[0], bottom)), slice(max(0, left), min(shape[1], right))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        raise ValueError(f"liveness: the box lies outside the picture of {shape[1]} x {shape[0]}: {box}")
    return rows, columns


def _longest(times: Floats, flags: list[bool]) -> float:
    """Seconds of the longest run of frames that are flagged, from the frame before it."""
    longest, start = 0.0, times[0]
    for time, flag in zip(times, flags, strict=True):
        if flag:
            longest = max(longest, float(time - start))
        else:
            start = time
    return longest
