"""How far probabilities can be trusted: log loss, calibration error, reliability bins, all at prior 0.5.

Every figure weighs both kinds of pairs the same, however many there are of each, as the probabilities are meant for
a prior of one half. Pairs of the same persons count as independent: the intervals of the bins are the least doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.calibration import ProbabilityCurve, wilson
from twinface.evaluation.scores import Scores

Fit = Callable[[NDArray[np.float64], NDArray[np.float64]], ProbabilityCurve]
"""Fits a curve to distances of mated and of non-mated pairs."""

BINS = 10
"""Bins of a reliability diagram, of equal width: they stay where they are whatever the probabilities, so curves can be
compared, and equal probabilities, of which capped curves have many, never part."""

FOLDS = 5


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose probability lies in [low, high); in the last bin up to and including `high`.

    Attributes:
        low: lower edge.
        high: upper edge.
        predicted: their mean probability.
        observed: their share of mated pairs, both kinds weighing the same over all bins.
        pairs: how many they are.
        observed_low: lower end of the 95% interval of `observed` (Wilson's, moved to prior 0.5 as the share is).
        observed_high: upper end.
        mass: their share of all pairs' weight.
    """

    low: float
    high: float
    predicted: float
    observed: float
    pairs: int
    observed_low: float
    observed_high: float
    mass: float


@dataclass(frozen=True)
class HeldOut:
    """How good the probabilities of pairs are that a curve was not fitted to.

    Attributes:
        log_loss: see the function.
        ece: see `calibration_error`.
        mated: mated pairs they were measured on.
        non_mated: non-mated pairs.
        bins: their reliability.
    """

    log_loss: float
    ece: float
    mated: int
    non_mated: int
    bins: tuple[ReliabilityBin, ...]


def log_loss(probabilities: ArrayLike, mated: ArrayLike) -> float:
    """Mean negative log likelihood in nats; 0 is perfect, 0.693 is what a coin says.

    Args:
        probabilities: of one person, shape (N,), in [0, 1]; infinite loss where certainty was wrong.
        mated: labels, bool (N,), both kinds present.

    Raises:
        ValueError: shapes that do not match, values that are no probabilities, a kind is missing.
    """
    p, label = _checked(probabilities, mated)
    with np.errstate(divide="ignore"):
        return float(-0.5 * (np.log(p[label]).mean() + np.log1p(-p[~label]).mean()))


def reliability_bins(probabilities: ArrayLike, mated: ArrayLike, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The bins of a reliability diagram that hold pairs, from the lowest.

    Args:
        probabilities: as in `log_loss`.
        mated: likewise.
        bins: how many, of equal width, [0, 1] is parted in.

    Raises:
        ValueError: as `log_loss`, or no bins.
    """
    p, label = _checked(probabilities, mated)
    if bins < 1:
        raise ValueError(f"reliability: at least one bin is needed, got {bins}")
    edges = np.arange(bins + 1) / bins  # linspace would put 3/5 a little above 0.6
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
    near, far = (np.bincount(place[kind], minlength=bins) for kind in (label, ~label))
    sum_near, sum_far = (np.bincount(place[kind], p[kind], minlength=bins) for kind in (label, ~label))
    mated_weight, other_weight = 0.5 / near.sum(), 0.5 / far.sum()
    found = []
    for one in np.flatnonzero(near + far):
        count = int(near[one] + far[one])
        mass = near[one] * mated_weight + far[one] * other_weight
        share, low, high = (
            _at_even_prior(value, mated_weight, other_weight)
            for value in (near[one] / count, *wilson(int(near[one]), count))
        )
        predicted = (sum_near[one] * mated_weight + sum_far[one] * other_weight) / mass
        found.append(
            ReliabilityBin(
                float(edges[one]), float(edges[one + 1]), float(predicted), share, count,
                min(low, share), max(high, share), float(mass),
            )
        )  # fmt: skip
    return tuple(found)


def calibration_error(probabilities: ArrayLike, mated: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap between predicted and observed over the bins, by their mass.

    (M. Naeini, G. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.)

    Raises:
        ValueError: as `reliability_bins`.
    """
    return _gap(reliability_bins(probabilities, mated, bins))


def _gap(bins: tuple[ReliabilityBin, ...]) -> float:
    return float(sum(one.mass * abs(one.observed - one.predicted) for one in bins))


def cross_validate(fits: Mapping[str, Fit], scores: Scores, *, folds: int = FOLDS, seed: int = 0) -> dict[str, HeldOut]:
    """Judges ways of fitting a curve by pairs of persons it was not fitted to.

    The persons are dealt into folds, those with mated pairs evenly. A pair is judged where both its persons are in
    the fold, by a curve fitted to the pairs with neither in it; pairs between are left out of that fold.

    Args:
        fits: by name.
        scores: the pairs; failures to acquire are left out.
        folds: how many.
        seed: of the dealing.

    Returns:
        By name, over all folds.

    Raises:
        ValueError: fewer than two folds, or too few pairs for a fit or for a judgement.
    """
    if folds < 2:
        raise ValueError(f"reliability: at least two folds are needed, got {folds}")
    valid = ~np.isnan(scores.distances)
    gap, label = scores.distances[valid].astype(np.float64), scores.mated[valid]
    fold = _deal(scores.subjects[valid], label, folds, seed)
    predicted: dict[str, list[NDArray[np.float64]]] = {name: [] for name in fits}
    labels = []
    for number in range(folds):
        here = fold == number
        test, train = here.all(axis=1), ~here.any(axis=1)
        labels.append(label[test])
        for name, fit in fits.items():
            curve = fit(gap[train & label], gap[train & ~label])
            predicted[name].append(curve.at(gap[test]))
    truth = np.concatenate(labels)
    mated = int(truth.sum())
    held = {}
    for name, parts in predicted.items():
        p = np.concatenate(parts)
        bins = reliability_bins(p, truth)
        held[name] = HeldOut(log_loss(p, truth), _gap(bins), mated, truth.size - mated, bins)
    return held


def _deal(subjects: NDArray[np.int32], mated: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int16]:
    """The folds of each pair's two persons, shape (N, 2)."""
    count = int(subjects.max(initial=-1)) + 1
    several, once = np.zeros(count, bool), np.zeros(count, bool)
    several[subjects[mated, 0]] = True
    once[subjects.ravel()] = True
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(np.flatnonzero(kind)) for kind in (several, once & ~several)])
    fold = np.zeros(count, np.int16)
    fold[order] = np.arange(order.size) % folds
    dealt: NDArray[np.int16] = fold[subjects]
    return dealt


def _checked(probabilities: ArrayLike, mated: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, label = np.asarray(probabilities, np.float64), np.asarray(mated)
    if p.ndim != 1 or p.shape != label.shape or label.dtype != np.bool_:
        raise ValueError(
            f"reliability: expected N probabilities and N booleans, got {p.shape} and {label.shape} {label.dtype}"
        )
    if label.all() or not label.any():
        raise ValueError("reliability: both mated and non-mated pairs are needed")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("reliability: probabilities must lie in [0, 1]")
    return p, label


def _at_even_prior(share: float, mated_weight: float, other_weight: float) -> float:
    """A share of mated pairs as it would be if both kinds were equally many; Bayes' rule."""
    near, far = share * mated_weight, (1 - share) * other_weight
    return float(near / (near + far))
