"""Confidence intervals that know that pairs share persons: persons are resampled, not pairs.

R. Bolle, N. Ratha, S. Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap", CVIU 93, 2004.
In each round as many persons are drawn, with replacement, as occur; a mated pair then counts as often as its person was
drawn, a non-mated pair the product of its two persons' counts. A round that leaves a kind of pair without weight is
drawn anew, so the intervals are those given that both kinds are there. Such intervals err on the wide side: where
persons are in few non-mated pairs each, as in LFW's View 2, those pairs vary up to three times as much from round to
round as they would in new data (A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.evaluation.curves import ErrorCurve, curve_of_steps, error_curve
from twinface.evaluation.intervals import Interval, rate, short_of_perfection
from twinface.evaluation.scores import Scores

Floats = NDArray[np.float64]
Numbers = NDArray[np.int32]

MOST_STEPS = 1 << 16
"""Thresholds at which the curves of the rounds are known; up to so many different distances they are exact."""

CHUNK = 1 << 20
"""Pairs weighed at a time."""


def subject_bootstrap(
    scores: Scores, measures: Mapping[str, Callable[[ErrorCurve], float]], *, rounds: int = 200, seed: int = 0
) -> dict[str, Interval]:
    """Measures of the error curve with 95% intervals from resampling persons (percentiles over the rounds).

    The values themselves are always exact. With more than 65,536 different distances the rounds know their curves at
    so many thresholds only, spread evenly and geometrically over both error rates; the rates there are exact.
    A measure that is 0 or 1 without any error gets an interval of no width: use `intervals.rate` beside it.

    Args:
        scores: pairs of both kinds.
        measures: by name, for instance `{"eer": ErrorCurve.eer}`.
        rounds: how often persons are drawn.
        seed: of the resampling.

    Raises:
        ValueError: a kind of pair is missing, no rounds, or a measure that is not finite.
    """
    if rounds < 1:
        raise ValueError(f"bootstrap: at least one round is needed, got {rounds}")
    exact = error_curve(scores)
    points = {name: float(measure(exact)) for name, measure in measures.items()}
    steps = _steps(exact)
    del exact
    pairs = _Resampled(scores, steps)
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        curve = pairs.draw(random)
        for name, measure in measures.items():
            found[name].append(float(measure(curve)))
    for name, values in found.items():
        if not np.isfinite([points[name], *values]).all():
            raise ValueError(f"bootstrap: the measure {name!r} is not finite for every curve")
    return {name: percentiles(points[name], values) for name, values in found.items()}


def share_by_person(errors: ArrayLike, persons: ArrayLike, *, rounds: int = 1000, seed: int = 0) -> Interval:
    """Share of errors among trials of single persons, as mated pairs are; persons are resampled.

    Args:
        errors: which trials were errors, N booleans.
        persons: whose each trial is, integers from 0, shape (N,).
        rounds: how often persons are drawn.
        seed: of the resampling.

    Raises:
        ValueError: no trials, or lengths that differ.
    """
    wrong, people = np.asarray(errors, np.bool_), np.asarray(persons, np.int64)
    if wrong.ndim != 1 or not wrong.size or wrong.shape != people.shape:
        raise ValueError(f"share: expected two lengths, equal and not zero, got {wrong.shape} and {people.shape}")
    numbered, count = number(people)
    known = rate(int(wrong.sum()), wrong.size, count)
    if known.value in (0, 1):
        return known
    failed, trials = np.bincount(numbered, wrong, count), np.bincount(numbered, minlength=count)
    random = np.random.default_rng(seed)
    shares = []
    for _ in range(rounds):
        drawn = draw_people(count, random)
        shares.append(float(drawn @ failed) / float(drawn @ trials))
    return short_of_perfection(percentiles(known.value, shares), known)


def percentiles(value: float, rounds: ArrayLike) -> Interval:
    """The middle 95% of a bootstrap's rounds, widened to hold the value itself."""
    low, high = np.quantile(np.asarray(rounds, np.float64), [0.025, 0.975])
    return Interval(value, min(float(low), value), max(float(high), value))


class _Resampled:
    """Pairs counted by threshold, ready to be weighed anew many times."""

    def __init__(self, scores: Scores, steps: Floats) -> None:
        self.steps = steps
        step = np.empty(scores.mated.size, np.int32)
        for start in range(0, step.size, CHUNK):  # NaN goes behind the last step
            part = slice(start, start + CHUNK)
            step[part] = np.searchsorted(steps, scores.distances[part].astype(np.float64))
        people, self.count = number(scores.subjects)
        self.mated = step[scores.mated], people[scores.mated, 0]
        self.non_mated = step[~scores.mated], people[~scores.mated, 0], people[~scores.mated, 1]

    def draw(self, random: np.random.Generator) -> ErrorCurve:
        while True:
            drawn = draw_people(self.count, random)
            far = np.zeros(self.steps.size + 1)
            near: Floats = np.bincount(self.mated[0], drawn[self.mated[1]], far.size).astype(np.float64)
            step, one, other = self.non_mated
            for start in range(0, step.size, CHUNK):
                part = slice(start, start + CHUNK)
                far += np.bincount(step[part], drawn[one[part]] * drawn[other[part]], far.size)
            if near.any() and far.any():
                there = (near + far)[:-1] > 0
                failed = float(near[-1]), float(far[-1])
                return curve_of_steps(self.steps[there], near[:-1][there], far[:-1][there], failed)


def number(subjects: NDArray[np.integer]) -> tuple[Numbers, int]:
    """The same persons numbered from 0 without gaps, and how many there are."""
    present = np.zeros(int(subjects.max(initial=-1)) + 1, np.bool_)
    present[subjects] = True
    return (np.cumsum(present, dtype=np.int32) - 1)[subjects], int(present.sum())


def draw_people(count: int, random: np.random.Generator) -> Floats:
    """How often each of `count` persons is drawn in one round, shape (count,)."""
    return np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)


def _steps(curve: ErrorCurve) -> Floats:
    """All distances of a curve, or a choice even and geometric in both error rates; the last one always."""
    distances = curve.thresholds[1:]
    if distances.size <= MOST_STEPS:
        return distances
    quarter = MOST_STEPS // 4
    shares = np.concatenate([np.linspace(0, 1, quarter), np.geomspace(1e-9, 1, quarter)])
    chosen = [np.searchsorted(rate, shares) for rate in (curve.fmr[1:], 1 - curve.fnmr[1:])]
    chosen.append(distances.size - 1 - np.searchsorted(curve.fnmr[:0:-1], shares[quarter:]))
    places = np.unique(np.concatenate(chosen).clip(0, distances.size - 1))  # the last: where both rates are through
    steps: Floats = distances[places]
    return steps


@dataclass(frozen=True)
class Difference:
    """How much more often one system is right than another, on the same pairs.

    Attributes:
        value: accuracy of the first less that of the second.
        low: lower end of the 95% confidence interval.
        high: upper end.
        p: two-sided, of the hypothesis that they are equally accurate.
    """

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    right_a: ArrayLike, right_b: ArrayLike, subjects: ArrayLike, *, rounds: int = 2000, seed: int = 0
) -> Difference:
    """Compares the accuracies of two systems on the same pairs, by resampling persons.

    With d the difference and d* that of a round, the interval is d +- the 95% quantile of |d* - d|, and
    p = (1 + rounds with |d* - d| >= |d|) / (1 + rounds): the bootstrap centred on the hypothesis of no difference
    (P. Hall, S. Wilson, "Two guidelines for bootstrap hypothesis testing", Biometrics 47, 1991). Test and interval
    agree, p is never 0, and it is 1 for systems that err alike. Beforehand all d* - d are scaled alike, as
    the bare rounds vary too much (see the module's first lines): to the variance of pairs that share persons by
    P. Aronow, C. Samii, V. Assenova, "Cluster-robust variance estimation for dyadic data", Political Analysis 23, 2015.

    Args:
        right_a: whether the first system judged each pair rightly, N booleans.
        right_b: likewise of the second.
        subjects: the two persons of each pair, integers from 0, shape (N, 2).
        rounds: how often persons are drawn.
        seed: of the resampling.

    Raises:
        ValueError: no pairs, no rounds, or shapes that do not match.
    """
    first, second, people = np.asarray(right_a, np.bool_), np.asarray(right_b, np.bool_), np.asarray(subjects, np.int64)
    if first.ndim != 1 or not first.size or first.shape != second.shape or people.shape != (first.size, 2):
        raise ValueError(
            f"difference: expected shapes (N,), (N,) and (N, 2), got {first.shape}, {second.shape} and {people.shape}"
        )
    if people.min() < 0 or rounds < 1:
        raise ValueError(f"difference: persons are numbered from 0 and there is a round, got {rounds} rounds")
    random = np.random.default_rng(seed)
    numbered, count = number(people)
    one, other = numbered.T
    gain = first.astype(np.float64) - second
    mated = one == other
    value = float(gain.mean())
    off = np.empty(rounds)
    for place in range(rounds):
        weight = np.zeros(1)
        while not weight.any():
            drawn = draw_people(count, random)
            weight = np.where(mated, drawn[one], drawn[one] * drawn[other])
        off[place] = abs(float(weight @ gain / weight.sum()) - value)
    spread = float(np.sqrt(np.mean(off**2)))
    if spread:
        off *= np.sqrt(_variance((gain - value) / gain.size, numbered, count)) / spread
    half = float(np.quantile(off, 0.95))
    extreme = int((off >= abs(value) * (1 - 1e-12)).sum())
    return Difference(value, max(-1.0, value - half), min(1.0, value + half), (1 + extreme) / (1 + rounds))


def _variance(parts: Floats, people: Numbers, count: int) -> float:
    """Variance of a sum over pairs: products of all parts that share a person, at least what lone pairs would give."""
    low, high = people.min(axis=1).astype(np.int64), people.max(axis=1)
    mated = low == high
    shared = np.bincount(low, parts, count) + np.bincount(high[~mated], parts[~mated], count)
    codes, places = np.unique(low * count + high, return_inverse=True)
    couples = np.bincount(places, parts) ** 2
    twice = couples[codes // count != codes % count]  # two persons shared, yet one product
    return max(float((shared**2).sum() - twice.sum()), float(couples.sum()))
