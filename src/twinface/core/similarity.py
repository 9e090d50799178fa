"""How alike two templates are. One direction: distance, smaller = more alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.types import Template
from twinface.errors import ContractMismatch


def normalise(vectors: ArrayLike) -> NDArray[np.float32]:
    """Scales vectors to unit length along the last axis.

    Args:
        vectors: shape (..., D).

    Returns:
        float32, same shape.

    Raises:
        ValueError: a vector is zero or not finite.
    """
    array = np.asarray(vectors, dtype=np.float64)
    largest = np.max(np.abs(array), axis=-1, keepdims=True, initial=0.0)
    if not np.isfinite(largest).all() or (largest == 0).any():
        raise ValueError("normalise: a vector is zero or holds values that are not finite")
    array = array / largest
    unit: NDArray[np.float32] = (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)
    return unit


def distance(a: Template, b: Template) -> float:
    """Euclidean distance of two unit templates, in [0, 2].

    Raises:
        ContractMismatch: the templates come from different models.
    """
    if a.model != b.model:
        raise ContractMismatch(
            f"templates of different models cannot be compared: {a.model[:12]} and {b.model[:12]}; encode both anew"
        )
    return min(2.0, float(np.linalg.norm(a.vector.astype(np.float64) - b.vector)))


def cosine_from_distance(distance: float) -> float:
    """Cosine of two unit vectors at a Euclidean distance: 1 - distance^2 / 2."""
    return 1.0 - distance * distance / 2.0


def distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances of every unit vector of `one` (N, D) with every one of `other` (M, D), shape (N, M)."""
    squared: NDArray[np.float32] = 2.0 - 2.0 * (one @ other.T)
    return np.sqrt(np.clip(squared, 0.0, 4.0))


def distances_of_pairs(
    templates: NDArray[np.float32], first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Euclidean distances of chosen pairs of unit vectors.

    Args:
        templates: shape (N, D); rows of NaN give NaN.
        first: places of one side, shape (M,).
        second: of the other.

    Returns:
        Shape (M,), in [0, 2].
    """
    gaps: NDArray[np.float32] = np.linalg.norm(templates[first] - templates[second], axis=1).astype(np.float32)
    return np.minimum(gaps, np.float32(2.0))
