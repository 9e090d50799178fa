"""From distances to probabilities and thresholds, fitted on labelled pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ProbabilityCurve:
    """P(same person | distance) at prior 0.5: a falling logistic curve.

    Attributes:
        slope: per unit of distance, negative.
        intercept: log odds at distance zero.
        floor: no probability below this (or above 1 - floor) is claimed; more data would be needed.
    """

    slope: float
    intercept: float
    floor: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.slope, self.intercept]).all() and self.slope < 0 and 0 < self.floor < 0.5):
            raise ValueError(f"probability curve: slope must fall and floor lie in (0, 0.5), got {self}")

    def probability(self, distance: float) -> float:
        """Calibrated probability of one person, in [floor, 1 - floor]."""
        odds = self.slope * distance + self.intercept
        value = 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
        return float(np.clip(value, self.floor, 1.0 - self.floor))


def fit_probability(mated: ArrayLike, non_mated: ArrayLike, steps: int = 50) -> ProbabilityCurve:
    """Fits the curve by logistic regression, both classes weighing the same (prior 0.5).

    The targets are Platt's, which keep the fit finite when the classes do not overlap
    (J. Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2); solved by Newton's method.

    Args:
        mated: distances of mated pairs, shape (N,).
        non_mated: distances of non-mated pairs, shape (M,).
        steps: at most so many Newton steps.

    Raises:
        ValueError: fewer than ten pairs of a kind, values out of [0, 2], or mated pairs are not the nearer ones.
    """
    near, far = _distances(mated, "mated"), _distances(non_mated, "non-mated")
    if near.mean() >= far.mean():
        raise ValueError("calibration: mated pairs are not nearer than non-mated ones; are the labels swapped?")
    x = np.concatenate([near, far])
    target = np.concatenate(
        [np.full(near.size, (near.size + 1) / (near.size + 2)), np.full(far.size, 1.0 / (far.size + 2))]
    )
    weight = np.concatenate([np.full(near.size, 0.5 / near.size), np.full(far.size, 0.5 / far.size)])
    middle, spread = float((near.mean() + far.mean()) / 2), float(x.std())
    design = np.column_stack([(x - middle) / spread, np.ones_like(x)])
    solution = np.array([-1.0, 0.0])
    for _ in range(steps):
        guess = 1.0 / (1.0 + np.exp(-np.clip(design @ solution, -700, 700)))
        gradient = design.T @ (weight * (guess - target))
        curvature = (design * (weight * guess * (1 - guess))[:, None]).T @ design
        change = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        solution -= np.clip(change, -2.0, 2.0)
        if np.abs(change).max() < 1e-10:
            break
    slope = float(solution[0] / spread)
    floor = 1.0 / (min(near.size, far.size) + 2)
    return ProbabilityCurve(slope, float(solution[1] - slope * middle), float(floor))


@dataclass(frozen=True)
class Threshold:
    """A distance threshold and how surely it is known.

    Attributes:
        value: largest accepted distance.
        low: lower end of its 95% confidence interval.
        high: upper end.
        fmr: the FMR measured at `value` on the same pairs.
    """

    value: float
    low: float
    high: float
    fmr: float


def threshold_at(
    distances: ArrayLike, subjects: ArrayLike, target_fmr: float, *, rounds: int = 200, seed: int = 0
) -> Threshold:
    """Largest threshold at which the FMR on non-mated pairs does not exceed the target.

    Pairs that share a person are not independent, so the interval comes from resampling persons, not pairs
    (R. Bolle, N. Ratha, S. Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap",
    CVIU 93, 2004).

    Args:
        distances: of non-mated pairs, shape (M,).
        subjects: shape (M, 2), the two persons of each pair as integers from 0.
        target_fmr: in (0, 1).
        rounds: bootstrap rounds.
        seed: of the resampling.

    Raises:
        ValueError: too few pairs to place the threshold (fewer than 10 / target_fmr), or shapes that do not match.
    """
    values = _distances(distances, "non-mated")
    people = np.asarray(subjects, np.int64)
    if people.shape != (values.size, 2) or people.min() < 0:
        raise ValueError(
            f"threshold: subjects must be {values.size} pairs of integers from 0, got shape {people.shape}"
        )
    if not 0 < target_fmr < 1 or values.size * target_fmr < 10:
        raise ValueError(
            f"threshold: FMR {target_fmr:g} needs at least {10 / max(target_fmr, 1e-12):.0f} non-mated pairs, "
            f"got {values.size}"
        )
    order = np.argsort(values, kind="stable")
    tail = order[: min(values.size, int(values.size * target_fmr * 20) + 1000)]
    near, pairs = values[tail], people[tail]
    value = _cut(near, np.ones(near.size), target_fmr * values.size)
    random = np.random.default_rng(seed)
    count = int(people.max()) + 1
    codes, times = np.unique(people[:, 0] * count + people[:, 1], return_counts=True)
    one, other = np.divmod(codes, count)
    cuts = []
    for _ in range(rounds):
        drawn = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        weights = drawn[pairs[:, 0]] * drawn[pairs[:, 1]]
        everyone = float((drawn[one] * drawn[other] * times).sum())
        cuts.append(_cut(near, weights, target_fmr * everyone))
    low, high = np.quantile(cuts, [0.025, 0.975])
    return Threshold(value, float(min(low, value)), float(max(high, value)), float((values <= value).mean()))


def _cut(ordered: NDArray[np.float64], weights: NDArray[np.float64], allowed: float) -> float:
    """Midway between the last distance that may pass and the next one; just below the next where ties leave no room."""
    total = np.cumsum(weights)
    place = int(np.searchsorted(total, allowed * (1 + 1e-12), side="right"))
    if place == 0:
        return float(np.nextafter(ordered[0], -1))
    if place >= ordered.size:
        return float(ordered[-1])
    last, following = ordered[place - 1], ordered[place]
    middle = float((last + following) / 2)
    return middle if middle < following else float(np.nextafter(following, -1))


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"wilson: {successes} of {trials} is no proportion")
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * float(np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)))
    return max(0.0, middle - half) if successes else 0.0, min(1.0, middle + half) if successes < trials else 1.0


def _distances(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64).ravel()
    if array.size < 10:
        raise ValueError(f"calibration: at least ten {name} pairs are needed, got {array.size}")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 2.001:
        raise ValueError(f"calibration: {name} distances must lie in [0, 2]")
    return array
