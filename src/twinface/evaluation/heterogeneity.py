"""Whether the error rates of several groups of persons are one and the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from twinface.evaluation.subject_pairs import Tally

ENOUGH_ERRORS = 10
"""A group with fewer errors does not tell how they cluster; what the other groups tell is used."""

LEAST_P = 1e-3
"""Smaller probabilities are not told: how far the approximation holds beyond them nobody has tried."""

STEPS = 5
"""Times the common rate and its weights are brought into agreement; two are enough as a rule."""


def equal_rates(tallies: Sequence[Tally]) -> float:
    """P value of "these groups have the same error rate": how often chance alone would part them so far or farther.

    Cochran's Q: the squared deviations of the groups' rates from their weighted mean, each over its variance, follow a
    chi-square distribution with one degree of freedom less than groups if all have one rate (W. Cochran, "The
    combination of estimates from different experiments", Biometrics 10, 1954). The variance is the one the common
    rate would have, as in a score test, so that a group without any error has one too. Errors cluster: one part of
    the variance is that of independent pairs, widened by how pairs of the same persons err alike; the other comes
    from pairs that share a person and grows with the rate squared. For both the group's own estimate counts or that of
    all groups together, whichever is larger, and the latter alone where errors are few. In simulations of 3 to 300
    errors a group, some with a few persons who look like many, 2.5% to 5.5% of groups alike came out below 0.05, and
    up to 3% below 0.01: take single digits of small p values lightly. Nothing below 0.001 is told.

    Args:
        tallies: of at least two groups; groups without pairs are not allowed. Groups should not share persons.

    Raises:
        ValueError: fewer than two groups, or one without pairs.
    """
    if len(tallies) < 2 or any(tally.pairs == 0 for tally in tallies):
        raise ValueError("equal rates: at least two groups, each with pairs, are needed")
    errors, pairs, own, shared, subjects = (
        np.array([getattr(tally, name) for tally in tallies], np.float64)
        for name in ("errors", "pairs", "own", "shared", "subjects")
    )
    if errors.sum() in (0, pairs.sum()):
        return 1.0
    rates, many = errors / pairs, errors >= ENOUGH_ERRORS
    own, shared = np.maximum(own, 0.0), np.maximum(shared, 0.0)
    luck = errors * (1 - rates)
    widened = max(1.0, own.sum() / luck.sum()) if luck.sum() else 1.0
    widening = np.maximum(widened, np.where(many & (luck > 0), own / np.where(luck > 0, luck, 1.0), 0.0))
    common = shared.sum() / (np.square(errors) / subjects).sum() / subjects
    sharing = np.maximum(common, np.where(many, shared / np.maximum(np.square(errors), 1.0), 0.0))
    mean = errors.sum() / pairs.sum()
    weights = pairs
    for _ in range(STEPS):
        variance = widening * mean * (1 - mean) / pairs + sharing * mean**2
        weights = 1 / variance
        mean = float((weights * rates).sum() / weights.sum())
    return max(LEAST_P, chi_square_survival(float((weights * np.square(rates - mean)).sum()), len(tallies) - 1))


def chi_square_survival(value: float, freedom: int) -> float:
    """P(chi-square > value), by the finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.4.4, 26.4.5).

    Raises:
        ValueError: a negative value or no degree of freedom.
    """
    if not value >= 0 or freedom < 1:
        raise ValueError(f"chi-square: expected a value from 0 and degrees of freedom from 1, got {value}, {freedom}")
    half, odd = value / 2, freedom % 2
    if half == 0:
        return 1.0
    tail = math.erfc(math.sqrt(half)) if odd else 0.0
    powers = (step + odd / 2 for step in range(freedom // 2))
    tail += sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)
    return min(1.0, tail)
