"""How fit a face is for comparison: size, sharpness, light, pose and completeness, with named shortcomings.

Share of faces with any shortcoming, landmarks by YuNet, crops of 150x150:

- the 3,443 pictures of LFW's View 1 training pairs as they are: 0.23% (7 profiles, 1 blurred, 1 too small);
- every fourth of them (861; `benchmarks/quality.py --every 4`): 0.23%, with noise of 10 grey levels 0.23%, blurred by
  2 px of the crop 1.6%, by 3 px 60%, by 4 px 99.9% (and with that noise 99.8%), light x 0.3 10%, x 0.08 100%,
  overexposed by 170 grey levels 97%, contrast x 0.1 100%, shrunk to 13 px between the eyes 1.6%, to 11 px 100%,
  cut at the nose 100%;
- true profiles: by eye, 26 of CelebA's 78 faces with a yaw beyond 50 show one eye only; 24 of them are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, pi

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Box, Image, Landmarks, Quality

NOSE_DEPTH = 0.55
"""How far the nose tip stands out before the plane of eyes and mouth, in units of the frontal face's width (the mean of
eye and mouth distance). Fitted to 1,297 turned LFW faces, where width^2 = a - offset^2 / NOSE_DEPTH^2 (0.550); 1,755
CelebA faces give 0.561."""

BELL = 0.43
"""Standard deviation of the window for sharpness, in half crops."""


@dataclass(frozen=True)
class QualityLimits:
    """Where a shortcoming begins. The defaults are measured; see the module's first lines.

    Attributes:
        eye_distance: least pixels between the eyes ("too small"); LFW's first percentile is 31.
        sharpness: least sharpness ("blurred"); LFW's 0.5th percentile is 0.26, a blur of 3 px
            in the crop brings the median to 0.19.
        yaw: largest sideways turn in degrees ("profile"); LFW's 99th percentile is 45.
        roll: largest in-plane turn in degrees ("tilted"): alignment undoes it, but detectors err beyond.
        dark: least mean grey ("too dark"); LFW's least is 47.
        bright: largest mean grey ("too bright"); LFW's largest is 186.
        contrast: least standard deviation of grey ("low contrast"); LFW's least is 18.
        inside: least share of the box inside the picture ("cut off"); tight UTKFace crops reach down to 0.88.
    """

    eye_distance: float = 12.0
    sharpness: float = 0.2
    yaw: float = 55.0
    roll: float = 60.0
    dark: float = 25.0
    bright: float = 230.0
    contrast: float = 10.0
    inside: float = 0.7


def assess(
    landmarks: Landmarks, crop: Image, shape: tuple[int, int], box: Box, limits: QualityLimits | None = None
) -> Quality:
    """Measures a face and names what is wrong with it.

    Args:
        landmarks: five points in pixels of the picture.
        crop: the aligned crop, RGB uint8 (S, S, 3).
        shape: height and width of the picture, pixels.
        box: the face's box in pixels of the picture.
        limits: where shortcomings begin; None for the measured defaults.

    Returns:
        The measures; `reasons` holds, in this order, those of "too small", "cut off", "profile", "tilted",
        "too dark", "too bright", "low contrast" and "blurred" that apply.
    """
    limits = limits or QualityLimits()
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    brightness, contrast = float(grey.mean()), float(grey.std())
    yaw, roll, fine = yaw_of(landmarks), roll_of(landmarks), sharpness(grey)
    shortcomings = {
        "too small": landmarks.eye_distance < limits.eye_distance,
        "cut off": _cut_off(landmarks, shape, box, limits.inside),
        "profile": abs(yaw) > limits.yaw,
        "tilted": abs(roll) > limits.roll,
        "too dark": brightness < limits.dark,
        "too bright": brightness > limits.bright,
        "low contrast": contrast < limits.contrast,
        "blurred": fine < limits.sharpness,
    }
    reasons = tuple(name for name, holds in shortcomings.items() if holds)
    return Quality(landmarks.eye_distance, fine, brightness, contrast, yaw, roll, reasons)


def sharpness(grey: NDArray[np.float32]) -> float:
    """Contrast of fine detail relative to that of coarse detail, in [0, 1]; sharp LFW faces have about 0.43.

    Two octaves of Gaussian differences (1 to 2 and 4 to 8 px in a crop of 150, scaled with the crop) are compared by
    their energy under a central window. In scenes whose contrast is the same at all scales (D. Field, "Relations
    between the statistics of natural images and the response properties of cortical cells", JOSA A 4, 1987) the ratio
    is 1; blur lowers it, and gain does not change it. White noise would look like fine detail; its energy is known
    from the finest band, where the picture itself has little, and is taken off; noise that was enlarged or compressed
    since is coarser and still counts as detail.

    Args:
        grey: aligned crop, float32 (S, S), 0..255.
    """
    unit = grey.shape[0] / 150
    half = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
    one, two = _blurred(grey, unit), _blurred(grey, 2 * unit)
    noise_fine = (1 + 1 / 4 - 4 / 5) / (4 * pi * unit**2)
    noise_finest = 1 - 3 / (4 * pi * unit**2)
    fine = _energy(one - two) - noise_fine / noise_finest * _energy(grey - one)
    coarse = _energy(_blurred(half, 2 * unit) - _blurred(half, 4 * unit))
    return min(1.0, float(max(0.0, fine) / coarse) ** 0.5) if coarse > 1e-6 else 0.0


def _blurred(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _energy(band: NDArray[np.float32]) -> float:
    """Mean square under a bell around the crop's middle: hair, background and borders count little."""
    bell = np.exp(-0.5 * (np.linspace(-1, 1, band.shape[0], dtype=np.float32) / BELL) ** 2)
    return float(bell @ band**2 @ bell / bell.sum() ** 2)


def yaw_of(landmarks: Landmarks) -> float:
    """Sideways turn in degrees, 0 = frontal, positive = nose to the picture's right; beyond 90 if eyes are swapped.

    The model: eyes and mouth corners lie in a plane, the nose tip stands `NOSE_DEPTH` face widths before it. Turned by
    yaw, the width shrinks with its cosine and the nose leaves the midline (middle of the eyes to middle of the mouth)
    by the depth times its sine. Both are read across the midline, so roll, size and most of pitch do not matter.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.points.astype(np.float64)
    top, down = _midline(landmarks)
    across = np.array([down[1], -down[0]])
    width = float((right_eye - left_eye + right_mouth - left_mouth) @ across) / 2
    return degrees(atan2(float((nose - top) @ across), NOSE_DEPTH * width))


def roll_of(landmarks: Landmarks) -> float:
    """In-plane turn in degrees, 0 = upright, positive = clockwise: of eye line, mouth line and midline together."""
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks.points.astype(np.float64)
    top, down = _midline(landmarks)
    height = float(((left_mouth + right_mouth) / 2 - top) @ down)
    axis = right_eye - left_eye + right_mouth - left_mouth + height * np.array([down[1], -down[0]])
    return degrees(atan2(float(axis[1]), float(axis[0])))


def _midline(landmarks: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle of the eyes, and the unit vector from there to the middle of the mouth."""
    points = landmarks.points.astype(np.float64)
    top = points[:2].mean(axis=0)
    line = points[3:].mean(axis=0) - top
    length = float(np.linalg.norm(line))
    return top, line / length if length > 0 else np.array([0.0, 1.0])


def _cut_off(landmarks: Landmarks, shape: tuple[int, int], box: Box, least: float) -> bool:
    """Whether a landmark lies outside the picture or too little of the box inside."""
    height, width = shape
    x, y = landmarks.points.T
    if x.min() < 0 or y.min() < 0 or x.max() > width or y.max() > height:
        return True
    left, top, right, bottom = box.corners
    seen = max(0.0, min(right, width) - max(left, 0.0)) * max(0.0, min(bottom, height) - max(top, 0.0))
    return seen < least * box.area
