"""Square crops of faces: the aligned one the encoder expects, and a plainer one for first guesses."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.geometry import invert, similarity_transform, transform
from twinface.core.types import Image, Landmarks
from twinface.errors import PoorQuality

LEAST_SCALE = 1e-6
"""Crop pixels per picture pixel below which landmarks are no face: it would be a million pixels wide."""

BARELY_SHRUNK = 0.99
"""Scale down to which bilinear sampling alone passes no pixel over."""

Matrix = NDArray[np.float64]


def align(image: Image, landmarks: Landmarks, points: ArrayLike, size: int) -> Image:
    """Cuts out a face, turned, scaled and shifted so that its landmarks fall on the given points.

    The transform is the similarity that fits best by least squares. Of a face larger than the crop, every picture
    pixel counts: whole blocks of pixels are averaged first, then the crop is made at twice its size and halved.
    Bilinear sampling alone would pick few of the pixels and keep their noise (on LFW pictures enlarged eightfold,
    with noise of 30 grey levels, templates move by 0.20 so, by 0.05 with averaging).

    What lies beyond the picture's edge is black, as in the crops the shipped encoder learnt from: nothing is known
    there, and repeating or mirroring the edge brings the template no nearer to that of the whole face.

    Args:
        image: RGB uint8, shape (H, W, 3).
        landmarks: of the face, in its pixels.
        points: shape (5, 2), where they are to lie in the crop, pixels.
        size: width and height of the crop, pixels.

    Returns:
        RGB uint8, shape (size, size, 3).

    Raises:
        PoorQuality: the landmarks coincide or contradict the points, or the face lies outside the picture.
        ValueError: `points` has another shape.
    """
    goal = np.asarray(points, np.float64)
    if goal.shape != (5, 2):
        raise ValueError(f"align: expected points of shape (5, 2), got {goal.shape}")
    try:
        matrix = similarity_transform(landmarks.points, goal)
    except ValueError as error:
        raise _degenerate() from error
    if not _scale(matrix) >= LEAST_SCALE:
        raise _degenerate()
    image, matrix = _surroundings(image, matrix, size)
    image, grown = _shrunk(image, int(1 / _scale(matrix)))
    matrix = matrix @ grown
    if _scale(matrix) >= BARELY_SHRUNK:
        return _warp(image, matrix, size)
    doubled = _warp(image, 2 * matrix + [[0, 0, 0.5], [0, 0, 0.5]], 2 * size)
    return np.asarray(cv2.resize(doubled, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def cut(image: Image, matrix: Matrix, size: int) -> Image:
    """The square crop a similarity transform describes, bilinear; black beyond the picture.

    Plainer than `align`, and what the landmark refiner learns from and sees. Faces at least twice as large as the crop
    are shrunk by a whole factor first, each pixel the mean of those it replaces, or bilinear sampling would pass
    pixels over.

    Args:
        image: RGB uint8, shape (H, W, 3), each side below 32,768 pixels (OpenCV 4's limit).
        matrix: from picture to crop, shape (2, 3); a rotation, one scale above 0 and a shift.
        size: width and height of the crop, pixels.

    Returns:
        RGB uint8, shape (size, size, 3); all black where the crop lies outside the picture.
    """
    factor = int(1 / _scale(matrix))
    if factor >= 2:
        low, high = _reach(matrix, size)
        sides = (image.shape[1], image.shape[0])
        left, top = np.clip(np.floor(low).astype(int) - factor, 0, sides)
        right, bottom = np.clip(np.ceil(high).astype(int) + factor, 0, sides)
        columns, rows = (right - left) // factor, (bottom - top) // factor
        if not columns or not rows:
            return np.zeros((size, size, 3), np.uint8)
        image, grown = _shrunk(image[top : top + rows * factor, left : left + columns * factor], factor)
        start = grown[:2, 2] + (left, top)
        matrix = np.column_stack([matrix[:, :2] * factor, matrix[:, :2] @ start + matrix[:, 2]])
    return _warp(image, matrix, size)


def _degenerate() -> PoorQuality:
    return PoorQuality(
        "the five landmarks coincide or contradict one another, so the face cannot be aligned; use another picture",
        "degenerate landmarks",
    )


def _scale(matrix: Matrix) -> float:
    """Crop pixels per picture pixel of a similarity transform."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _reach(matrix: Matrix, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The upper left and lower right corner, picture pixels, of the upright rectangle around the crop."""
    corners = transform(np.array([[0, 0], [size, 0], [0, size], [size, size]]), invert(matrix))
    return corners.min(axis=0), corners.max(axis=0)


def _surroundings(image: Image, matrix: Matrix, size: int) -> tuple[Image, Matrix]:
    """The upright part of the picture that the crop draws on, and the transform from there."""
    low, high = _reach(matrix, size)
    margin = 2 + 2 / _scale(matrix)
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(low - margin), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(high + margin), 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        raise PoorQuality("the face lies outside the picture; use a picture that shows it", "outside the picture")
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (left, top)
    return np.ascontiguousarray(image[top:bottom, left:right]), moved


def _shrunk(image: Image, factor: int) -> tuple[Image, Matrix]:
    """The picture with blocks of factor x factor pixels averaged, and the transform back from there, (3, 3)."""
    if factor <= 1:
        return image, np.eye(3)
    height, width = image.shape[:2]
    columns, rows = max(1, round(width / factor)), max(1, round(height / factor))
    small = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    across, down = width / columns, height / rows
    # pixel centres: a small pixel's centre x is the picture's across * x + (across - 1) / 2
    return small, np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def _warp(image: Image, matrix: Matrix, size: int) -> Image:
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.uint8)
