"""A probability curve of no given shape: only that it never rises with distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.calibration import BIN, labelled_distances, supported_floor

MOST_KNOTS = 10_000
"""Millions of pairs give some hundred."""


@dataclass(frozen=True)
class IsotonicCurve:
    """P(same person | distance) at prior 0.5: straight lines between knots, level beyond the first and the last.

    Attributes:
        distances: of the knots, rising, within [0, 2].
        probabilities: of the knots, never rising, within [0, 1].
        floor: no probability below this (or above 1 - floor) is claimed; more data would be needed.
    """

    kind: ClassVar[str] = "isotonic"
    distances: tuple[float, ...]
    probabilities: tuple[float, ...]
    floor: float

    def __post_init__(self) -> None:
        for name in ("distances", "probabilities"):
            values = getattr(self, name)
            if len(values) > MOST_KNOTS:
                raise ValueError(f"probability curve: at most {MOST_KNOTS:,} knots, got {len(values):,}")
            if any(isinstance(value, bool) or not isinstance(value, int | float | np.number) for value in values):
                raise ValueError(f"probability curve: {name} must be numbers")
            try:
                object.__setattr__(self, name, tuple(float(value) for value in values))
            except OverflowError as error:
                raise ValueError(f"probability curve: {name} must be numbers, not beyond all floats") from error
        x, y = np.array(self.distances), np.array(self.probabilities)
        if x.size != y.size or x.size < 2:
            raise ValueError(f"probability curve: two knots at least, each with both values, got {x.size} and {y.size}")
        if not (np.isfinite(x).all() and x[0] >= 0 and x[-1] <= 2 and (np.diff(x) > 0).all()):
            raise ValueError("probability curve: the knots' distances must rise within [0, 2]")
        if not (np.isfinite(y).all() and y[0] <= 1 and y[-1] >= 0 and (np.diff(y) <= 0).all()):
            raise ValueError("probability curve: the knots' probabilities must never rise, within [0, 1]")
        if not 0 < self.floor < 0.5:
            raise ValueError(f"probability curve: the floor must lie in (0, 0.5), got {self.floor}")

    def probability(self, distance: float) -> float:
        """Calibrated probability of one person, in [floor, 1 - floor]; NaN for NaN."""
        return float(self.at(distance))

    def at(self, distances: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of many distances, any shape."""
        value = np.interp(np.asarray(distances, np.float64), self.distances, self.probabilities)
        return np.asarray(np.clip(value, self.floor, 1.0 - self.floor))


def fit_isotonic(mated: ArrayLike, non_mated: ArrayLike) -> IsotonicCurve:
    """Fits the curve by isotonic regression, both classes weighing the same (prior 0.5).

    The distances are gathered in bins of width `BIN` (2^-16), each standing at its middle, so that millions take
    about a second; neighbouring bins that would rise are pooled (B. Zadrozny, C. Elkan, "Transforming classifier
    scores into accurate multiclass probability estimates", KDD 2002, section 3). Each pool leaves two knots, its ends.

    Args:
        mated: distances of mated pairs, shape (N,).
        non_mated: distances of non-mated pairs, shape (M,).

    Raises:
        ValueError: fewer than ten pairs of a kind, values out of [0, 2], or mated pairs are not the nearer ones.
    """
    near, far = labelled_distances(mated, non_mated)
    places = int(2 / BIN)
    one, other = (
        np.bincount(np.minimum((values / BIN).astype(np.int64), places - 1), minlength=places) / values.size
        for values in (near, far)
    )
    weight = one + other
    full = np.flatnonzero(weight)
    fitted = pool_adjacent_violators(one[full] / weight[full], weight[full])
    floor = supported_floor(near.size, far.size)
    capped = np.clip(fitted, floor, 1 - floor)
    knots = _corners(capped)
    if knots.size < 2:
        raise ValueError("calibration: all distances are alike; they tell nothing apart")
    return IsotonicCurve(tuple((full[knots] + 0.5) * BIN), tuple(capped[knots]), floor)


def pool_adjacent_violators(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """The sequence that never rises and is nearest to `values` in weighted least squares.

    (M. Ayer et al., "An empirical distribution function for sampling with incomplete information", Annals of
    Mathematical Statistics 26, 1955.)

    Args:
        values: shape (N,).
        weights: shape (N,), positive.

    Raises:
        ValueError: shapes that do not match, values that are not finite, weights that are not positive.
    """
    value, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if value.ndim != 1 or value.shape != weight.shape:
        raise ValueError(f"isotonic: expected two equal lengths, got shapes {value.shape} and {weight.shape}")
    if not (np.isfinite(value).all() and np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError("isotonic: values must be finite and weights positive")
    sums: list[float] = []
    masses: list[float] = []
    counts: list[int] = []
    for product, mass in zip((value * weight).tolist(), weight.tolist(), strict=True):
        count = 1
        while sums and sums[-1] * mass <= product * masses[-1]:
            product, mass, count = product + sums.pop(), mass + masses.pop(), count + counts.pop()
        sums.append(product)
        masses.append(mass)
        counts.append(count)
    pooled: NDArray[np.float64] = np.repeat(np.array(sums) / np.array(masses), counts)
    return np.minimum.accumulate(pooled)  # rounding may leave a last digit that rises


def _corners(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places where a level stretch starts or ends."""
    changes = np.flatnonzero(np.diff(values))
    return np.unique(np.concatenate([[0], changes, changes + 1, [values.size - 1]]))
