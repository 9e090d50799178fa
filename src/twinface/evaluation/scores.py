"""Distances of labelled pairs: what every verification figure is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scores:
    """Pairs of pictures, each with its distance, its label and the two persons it shows.

    Attributes:
        distances: Euclidean distances between unit templates, float32 or float64, shape (N,), in [0, 2];
            NaN marks a failure to acquire: one of the pictures gave no usable template.
        mated: bool, shape (N,), whether both pictures show one person.
        subjects: int32, shape (N, 2), the persons of each pair, numbered from 0; equal where mated.

    Raises:
        ValueError: shapes that do not match, distances out of range, or labels that contradict the persons.
    """

    distances: NDArray[np.floating]
    mated: NDArray[np.bool_]
    subjects: NDArray[np.int32]

    def __post_init__(self) -> None:
        gap, label, people = np.asarray(self.distances), np.asarray(self.mated), np.asarray(self.subjects)
        if gap.ndim != 1 or label.shape != gap.shape or people.shape != (gap.size, 2):
            raise ValueError(
                f"scores: expected shapes (N,), (N,) and (N, 2), got {gap.shape}, {label.shape} and {people.shape}"
            )
        if gap.dtype not in (np.float32, np.float64) or label.dtype != np.bool_ or people.dtype.kind not in "iu":
            raise ValueError(
                f"scores: expected floats, booleans and integers, got {gap.dtype}, {label.dtype} and {people.dtype}"
            )
        if gap.size and (np.nanmin(gap, initial=0.0) < 0 or np.nanmax(gap, initial=0.0) > 2.001):
            raise ValueError("scores: distances between unit templates lie in [0, 2]")
        if people.size and people.min() < 0:
            raise ValueError("scores: persons are numbered from 0")
        if not np.array_equal(people[:, 0] == people[:, 1], label):
            raise ValueError("scores: a mated pair must show one person, a non-mated pair two")

    @property
    def failures(self) -> int:
        """Pairs with a failure to acquire."""
        return int(np.isnan(self.distances).sum())
