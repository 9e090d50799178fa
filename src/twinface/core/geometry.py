"""Plane geometry of boxes and landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def iou(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Intersection over union of every box of `one` with every box of `other`.

    Args:
        one: shape (N, 4): left, top, right, bottom.
        other: shape (M, 4), likewise.

    Returns:
        float64, shape (N, M), in [0, 1]; 0 where both boxes are empty.
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared: NDArray[np.float64] = np.clip(high - low, 0, None).prod(axis=2)
    union = _area(a)[:, None] + _area(b)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float64)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1), np.float64)


def non_maximum_suppression(boxes: Floats, scores: Floats, overlap: float) -> NDArray[np.intp]:
    """Greedy suppression: the best box stays, those that overlap it by more than `overlap` go, and so on.

    Args:
        boxes: shape (N, 4): left, top, right, bottom.
        scores: shape (N,).
        overlap: IoU in [0, 1] above which the lesser box is dropped.

    Returns:
        Indices of the boxes that stay, best score first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    keep: list[int] = []
    while order.size:
        best = int(order[0])
        keep.append(best)
        order = order[1:]
        if order.size:
            order = order[iou(boxes[best : best + 1], boxes[order])[0] <= overlap]
    return np.array(keep, dtype=np.intp)


def similarity_transform(source: Floats, target: Floats) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift (no mirror) that takes `source` to `target`.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE TPAMI 13(4), 1991; here in its closed plane form.

    Args:
        source: shape (N, 2), N >= 2, not all equal.
        target: shape (N, 2).

    Returns:
        float64, shape (2, 3): matrix M with target ~ source @ M[:, :2].T + M[:, 2].

    Raises:
        ValueError: the shapes differ or the source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(f"similarity transform: expected two arrays (N, 2), got {source.shape} and {target.shape}")
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    a, b = source - middle, target - goal
    spread = (a**2).sum()
    if spread <= 1e-12 * max(1.0, float((middle**2).sum())):
        raise ValueError("similarity transform: the source points coincide")
    cosine = (a * b).sum() / spread
    sine = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, goal - linear @ middle])


def transform(points: Floats, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Applies a (2, 3) matrix to points of shape (..., 2)."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a (2, 3) transform."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])
