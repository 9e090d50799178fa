"""From distances to probabilities and thresholds, fitted on labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

BIN = 2.0**-16
"""Width of the bins, in units of distance, that many distances are gathered in before a curve is fitted to them."""

FEW = 65_536
"""Up to so many distances of a kind are fitted as they are."""


class ProbabilityCurve(Protocol):
    """P(same person | distance) at prior 0.5: it never rises with distance and never claims certainty."""

    kind: ClassVar[str]
    """Its name in decision files."""

    @property
    def floor(self) -> float:
        """No probability below this (or above 1 - floor) is claimed; more data would be needed."""
        ...

    def probability(self, distance: float) -> float:
        """Calibrated probability of one person, in [floor, 1 - floor]; NaN for NaN."""
        ...

    def at(self, distances: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of many distances, any shape."""
        ...


@dataclass(frozen=True)
class LogisticCurve:
    """A falling logistic curve.

    Attributes:
        slope: per unit of distance, negative.
        intercept: log odds at distance zero.
        floor: no probability below this (or above 1 - floor) is claimed; more data would be needed.
    """

    kind: ClassVar[str] = "logistic"
    slope: float
    intercept: float
    floor: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.slope, self.intercept]).all() and self.slope < 0 and 0 < self.floor < 0.5):
            raise ValueError(f"probability curve: slope must fall and floor lie in (0, 0.5), got {self}")

    def probability(self, distance: float) -> float:
        """Calibrated probability of one person, in [floor, 1 - floor]."""
        return float(self.at(distance))

    def at(self, distances: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of many distances, any shape."""
        odds = self.slope * np.asarray(distances, np.float64) + self.intercept
        value = 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
        return np.asarray(np.clip(value, self.floor, 1.0 - self.floor))


def fit_probability(mated: ArrayLike, non_mated: ArrayLike, steps: int = 50) -> LogisticCurve:
    """Fits the curve by logistic regression, both classes weighing the same (prior 0.5).

    The targets are Platt's, which keep the fit finite when the classes do not overlap
    (J. Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2); solved by Newton's method.
    More than `FEW` distances of a kind are gathered in bins of width `BIN`, each standing for its mean.

    Args:
        mated: distances of mated pairs, shape (N,).
        non_mated: distances of non-mated pairs, shape (M,).
        steps: at most so many Newton steps.

    Raises:
        ValueError: fewer than ten pairs of a kind, values out of [0, 2], or mated pairs are not the nearer ones.
    """
    near, far = labelled_distances(mated, non_mated)
    (one, ones), (other, others) = _gathered(near), _gathered(far)
    x = np.concatenate([one, other])
    target = np.concatenate(
        [np.full(one.size, (near.size + 1) / (near.size + 2)), np.full(other.size, 1.0 / (far.size + 2))]
    )
    weight = np.concatenate([ones * (0.5 / near.size), others * (0.5 / far.size)])
    middle = float((near.mean() + far.mean()) / 2)
    spread = float(np.sqrt((weight * (x - middle) ** 2).sum()))
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
    return LogisticCurve(slope, float(solution[1] - slope * middle), supported_floor(near.size, far.size))


def supported_floor(mated: int, non_mated: int) -> float:
    """The smallest probability that so many pairs can support: Laplace's rule of succession for the rarer kind."""
    return 1.0 / (min(mated, non_mated) + 2)


def labelled_distances(mated: ArrayLike, non_mated: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances of both kinds, checked, as float64.

    Raises:
        ValueError: fewer than ten pairs of a kind, values out of [0, 2], or mated pairs are not the nearer ones.
    """
    near, far = _distances(mated, "mated"), _distances(non_mated, "non-mated")
    if near.mean() >= far.mean():
        raise ValueError("calibration: mated pairs are not nearer than non-mated ones; are the labels swapped?")
    return near, far


def _gathered(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances with how many each stands for."""
    if values.size <= FEW:
        return values, np.ones(values.size)
    place = (values / BIN).astype(np.int64)
    counts = np.bincount(place)
    full = np.flatnonzero(counts)
    return np.bincount(place, values)[full] / counts[full], counts[full].astype(np.float64)


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


ENOUGH = 10
"""Couples of persons that should lie beyond a threshold before it is called one for some FMR."""

IDENTICAL = 2e-3
"""Distances up to this are zero, as far as float32 can tell: equal templates come out up to 1.1e-3 apart."""


def couples(subjects: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different couples of persons that pairs are of: what an FMR rests on, however many pictures they have.

    Args:
        subjects: the two persons of each pair, integers from 0, shape (M, 2), in any order.

    Returns:
        The couples, shape (K, 2), smaller number first, and how many pairs each has, shape (K,).
    """
    if not len(subjects):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    count = int(subjects.max()) + 1
    codes = np.sort(subjects.min(axis=1).astype(np.int64) * count + subjects.max(axis=1))
    starts = np.flatnonzero(np.diff(codes, prepend=-1))  # np.unique takes ten times as long
    return np.column_stack(np.divmod(codes[starts], count)), np.diff(starts, append=codes.size)


def is_tellable(fmr: float, couple_count: int) -> bool:
    """Whether so many couples of persons can place a threshold for an FMR."""
    return 0 < fmr < 1 and couple_count * fmr >= ENOUGH * (1 - 1e-9)


def threshold_at(
    distances: ArrayLike, subjects: ArrayLike, target_fmr: float, *, rounds: int = 200, seed: int = 0
) -> Threshold:
    """`thresholds_at` for one target."""
    return thresholds_at(distances, subjects, [target_fmr], rounds=rounds, seed=seed)[0]


def thresholds_at(
    distances: ArrayLike, subjects: ArrayLike, target_fmrs: Sequence[float], *, rounds: int = 200, seed: int = 0
) -> list[Threshold]:
    """For each target the largest threshold at which the FMR on non-mated pairs does not exceed it.

    Pairs that share a person are not independent, so the interval comes from resampling persons, not pairs
    (R. Bolle, N. Ratha, S. Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap",
    CVIU 93, 2004).

    Args:
        distances: of non-mated pairs, shape (M,).
        subjects: shape (M, 2), the two persons of each pair as integers from 0.
        target_fmrs: each in (0, 1).
        rounds: bootstrap rounds.
        seed: of the resampling.

    Raises:
        ValueError: too few couples of persons to place a threshold (fewer than 10 / target), shapes that do not match,
            or more identical pictures of different persons than a target allows.
    """
    values = _distances(distances, "non-mated")
    people = np.asarray(subjects)
    if people.shape != (values.size, 2) or people.dtype.kind not in "iu" or people.min() < 0:
        raise ValueError(
            f"threshold: subjects must be {values.size} pairs of integers from 0, got shape {people.shape}"
        )
    pairs_of, times = couples(people)
    one, other = pairs_of.T
    for target in target_fmrs:
        if not is_tellable(target, times.size):
            raise ValueError(
                f"threshold: FMR {target:g} takes {ENOUGH / max(target, 1e-12):,.0f} couples of different persons, "
                f"got {times.size:,}"
            )
    order = np.argsort(values, kind="stable")
    tails = [order[: min(values.size, int(values.size * target * 20) + 1000)] for target in target_fmrs]
    near = [values[tail] for tail in tails]
    cuts: list[list[float]] = [
        [_cut(some, np.ones(some.size), target * values.size)] for some, target in zip(near, target_fmrs, strict=True)
    ]
    count = int(people.max()) + 1
    pairs = [(people[tail, 0], people[tail, 1]) for tail in tails]
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        everyone = float((drawn[one] * drawn[other] * times).sum())
        for found, some, (a, b), target in zip(cuts, near, pairs, target_fmrs, strict=True):
            found.append(_cut(some, (drawn[a] * drawn[b]).astype(np.float64), target * everyone))
    thresholds = []
    for target, (value, *redrawn) in zip(target_fmrs, cuts, strict=True):
        if value <= IDENTICAL:
            raise ValueError(
                f"threshold: more than one in {1 / target:,.0f} non-mated pairs are of identical pictures; "
                "persons have been mixed up"
            )
        low, high = np.quantile(redrawn, [0.025, 0.975])
        thresholds.append(
            Threshold(value, float(min(low, value)), float(max(high, value)), float((values <= value).mean()))
        )
    return thresholds


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


def wilson(successes: float, trials: int, z: float = 1.959964) -> tuple[float, float]:
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
