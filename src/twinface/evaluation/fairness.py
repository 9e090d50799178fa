"""Error rates group by group: a demographic differential, its ratio and its test."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.evaluation.heterogeneity import equal_rates
from twinface.evaluation.intervals import rate
from twinface.evaluation.subject_pairs import Tally, false_matches, false_non_matches

LEAST_SUBJECTS = 30
"""A group with fewer persons is reported, but neither ranked nor tested: one look-alike would decide."""

ROUNDS = 1000
"""Bootstrap rounds for an interval's ends."""

Count = Callable[[NDArray[np.float32], NDArray[np.integer], float, int, tuple[int, ...]], Tally]


@dataclass(frozen=True)
class GroupRate:
    """The error rate within one group.

    Attributes:
        group: its name.
        subjects: persons that count: with a picture for false matches, with two for false non-matches.
        pairs: pairs of pictures judged; failures to acquire included.
        errors: pairs judged wrongly.
        rate: errors / pairs; None without pairs.
        low: lower end of the 95% interval; None without pairs.
        high: upper end.
        small: fewer than LEAST_SUBJECTS persons; left out of ratio and test.
    """

    group: str
    subjects: int
    pairs: int
    errors: int
    rate: float | None
    low: float | None
    high: float | None
    small: bool


@dataclass(frozen=True)
class Differential:
    """How much an error rate differs between groups.

    Attributes:
        groups: in the order of their names.
        ratio: highest rate over lowest, as NIST reports it (P. Grother, M. Ngan, K. Hanaoka, "Face Recognition Vendor
            Test part 3: demographic effects", NISTIR 8280, 2019); None where the lowest is 0 or fewer than two groups
            are large enough.
        ratio_at_least: where the lowest is 0 and the highest is not: highest rate over the upper end of the lowest.
        p: of the test that all groups have one rate, see `heterogeneity.equal_rates`; None where fewer than two groups
            are large enough.
        worst: group with the highest rate; None where the ratio has no groups.
        best: group with the lowest rate.
    """

    groups: tuple[GroupRate, ...]
    ratio: float | None
    ratio_at_least: float | None
    p: float | None
    worst: str | None = None
    best: str | None = None


def false_match_differential(
    templates: NDArray[np.float32],
    subjects: NDArray[np.integer],
    labels: ArrayLike,
    threshold: float,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Differential:
    """FMR within each group: over all pairs of pictures of different persons that bear the same label.

    A picture without a template never matches and counts in the denominator: the system refuses such a pair.
    Intervals come from resampling the group's persons and are never narrower than for independent pairs; without any
    error the upper end is 3 / couples of persons.

    `p` answers one question: would groups with one and the same FMR within each differ so far by chance, with other
    persons of the same kind? It is not a permutation test. Shuffling labels over persons asks whether labels have
    anything to do with who is taken for whom; they do whenever people of one group look more alike than people of
    two, as in practice they always do, even if no group is worse off than another, and the spread under shuffling,
    with groups mixed and matches rare, would then be too small to judge equal rates by.

    Args:
        templates: unit length, float32, shape (N, D); a row with NaN is a failure to acquire.
        subjects: integers, shape (N,).
        labels: N group names; "" for a picture that is in no group. A person may have pictures in several groups, as
            with age; the test then takes groups for independent that are not quite.
        threshold: largest distance that matches.
        rounds: bootstrap rounds.
        seed: of the resampling.

    Raises:
        ValueError: shapes that do not match, no rounds, or a threshold that is not finite.
    """
    return _differential(false_matches, templates, subjects, labels, threshold, rounds, seed)


def false_non_match_differential(
    templates: NDArray[np.float32],
    subjects: NDArray[np.integer],
    labels: ArrayLike,
    threshold: float,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Differential:
    """FNMR within each group: over all pairs of pictures of one person that bear the same label.

    A picture without a template never matches: its mated pairs are errors. Everything else as for
    `false_match_differential`; in the test, a person's pairs count as one cluster.

    Raises:
        ValueError: shapes that do not match, no rounds, or a threshold that is not finite.
    """
    return _differential(false_non_matches, templates, subjects, labels, threshold, rounds, seed)


def crossed(*labelings: ArrayLike) -> NDArray[np.str_]:
    """Joins labels of several kinds: ("Asian", "White") and ("female", "") -> ("Asian female", "").

    Args:
        labelings: at least one, each N names; where one is "" there is no joint group.

    Raises:
        ValueError: lengths differ or nothing is given.
    """
    names = [np.asarray(labels, np.str_) for labels in labelings]
    if not names or any(labels.ndim != 1 or labels.shape != names[0].shape for labels in names):
        raise ValueError(f"groups: expected labelings of one length, got shapes {[labels.shape for labels in names]}")
    joint = [" ".join(words) if all(words) else "" for words in zip(*names, strict=True)]
    return np.array(joint, np.str_)


def _differential(
    count: Count,
    templates: NDArray[np.float32],
    subjects: NDArray[np.integer],
    labels: ArrayLike,
    threshold: float,
    rounds: int,
    seed: int,
) -> Differential:
    vectors, people, names = np.asarray(templates, np.float32), np.asarray(subjects), np.asarray(labels, np.str_)
    if vectors.ndim != 2 or people.shape != (len(vectors),) or names.shape != people.shape:
        raise ValueError(
            f"groups: expected shapes (N, D), (N,) and (N,), got {vectors.shape}, {people.shape} and {names.shape}"
        )
    if people.dtype.kind not in "iu" or rounds < 1 or not math.isfinite(threshold):
        raise ValueError(
            f"groups: expected whole numbers, a round and a finite threshold, got {people.dtype}, {rounds}, {threshold}"
        )
    rates, tallies = [], []
    for group in sorted({str(name) for name in np.unique(names)} - {""}):
        chosen = names == group
        # seeded by the name: a group's interval does not hang on which others there are
        tally = count(vectors[chosen], people[chosen], threshold, rounds, (seed, zlib.crc32(group.encode())))
        rates.append(_group_rate(group, tally))
        tallies.append(tally)
    return _compared(rates, tallies)


def _group_rate(group: str, tally: Tally) -> GroupRate:
    small = tally.subjects < LEAST_SUBJECTS
    if not tally.pairs:
        return GroupRate(group, tally.subjects, 0, 0, None, None, None, small)
    known = rate(tally.errors, tally.pairs, tally.independent)
    low, high = known.low, known.high
    if 0 < tally.errors < tally.pairs:
        ends = np.quantile(tally.resampled, [0.025, 0.975])
        low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    return GroupRate(group, tally.subjects, tally.pairs, tally.errors, known.value, low, high, small)


def _compared(rates: list[GroupRate], tallies: list[Tally]) -> Differential:
    ranked = [one for one in rates if not one.small and one.rate is not None]
    if len(ranked) < 2:
        return Differential(tuple(rates), None, None, None)
    worst = max(ranked, key=lambda one: one.rate or 0.0)
    best = min(ranked, key=lambda one: (one.rate or 0.0, one.high or 0.0))
    high, low = worst.rate or 0.0, best.rate or 0.0
    p = equal_rates([tally for one, tally in zip(rates, tallies, strict=True) if one in ranked])
    bound = max(1.0, high / best.high) if high and not low and best.high else None
    return Differential(tuple(rates), high / low if low else None, bound, p, worst.group, best.group)
