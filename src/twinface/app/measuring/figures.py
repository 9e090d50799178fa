"""The figures of verification, all with their intervals, whatever data set the pairs come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.calibration import couples
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.evaluation.bootstrap import subject_bootstrap
from twinface.evaluation.curves import ErrorCurve, error_curve
from twinface.evaluation.intervals import Interval, no_surer_than, rate, short_of_perfection
from twinface.evaluation.scores import Scores
from twinface.evaluation.verification import confusion

FEW_SUBJECTS = 30
"""Below so many persons, figures tell of these persons, not of people, and resampling them flatters the intervals."""

TARGETS = (1e-2, 1e-3)
"""The FMRs at which TAR is reported."""


@dataclass(frozen=True)
class Deployed:
    """What an operating point does on these pairs.

    Attributes:
        target: the FMR it was made for.
        threshold: its largest accepted distance.
        fmr: found here; None without non-mated pairs.
        fnmr: found here, failures to acquire included; None without mated pairs.
        right: share of pairs judged rightly; a pair with a failure to acquire is not.
    """

    target: float
    threshold: float
    fmr: Interval | None
    fnmr: Interval | None
    right: Interval


@dataclass(frozen=True, eq=False)
class Figures:
    """What a set of labelled pairs says.

    Attributes:
        pairs: how many there are.
        mated: how many of them show one person.
        subjects: how many persons occur.
        failed_pairs: pairs with a failure to acquire.
        curve: errors over thresholds; None where one kind of pairs is missing.
        auc: area under the ROC; None likewise.
        eer: equal error rate; None likewise.
        tar: by target FMR, None where the couples of persons are too few to say (below 1 / FMR).
        deployed: the operating points of the system's rule, if it has one.
        couples: how many couples of persons the non-mated pairs are of.
    """

    pairs: int
    mated: int
    subjects: int
    failed_pairs: int
    curve: ErrorCurve | None
    auc: Interval | None
    eer: Interval | None
    tar: Mapping[float, Interval | None]
    deployed: tuple[Deployed, ...]
    couples: int

    @property
    def non_mated(self) -> int:
        """How many pairs show two persons."""
        return self.pairs - self.mated


def measure(scores: Scores, rule: DecisionRule | None, *, rounds: int = 200) -> Figures:
    """All figures; intervals come from resampling persons, as pairs that share one are not independent.

    A figure without a single error, which resampling cannot tell apart from perfection, gets the bound of
    `intervals.rate` for as many trials as there are persons (mated pairs) or couples of them (non-mated pairs).

    Args:
        scores: the pairs.
        rule: whose operating points are tried.
        rounds: of the bootstrap.
    """
    counts = _Counts.of(scores)
    points = () if rule is None else rule.points
    curve = error_curve(scores) if counts.mated and counts.non_mated else None
    found: dict[str, Interval] = {}
    if curve is not None:
        measures: dict[str, Callable[[ErrorCurve], float]] = {"auc": ErrorCurve.auc, "eer": ErrorCurve.eer}
        for target in TARGETS:
            if counts.couples * target >= 1:
                measures[f"tar {target}"] = lambda one, target=target: one.tar(target)  # type: ignore[misc]
        for point in points:
            at = float(point.threshold)
            measures[f"fmr {point.fmr}"] = lambda one, at=at: one.fmr_at(at)  # type: ignore[misc]
            measures[f"fnmr {point.fmr}"] = lambda one, at=at: one.fnmr_at(at)  # type: ignore[misc]
            measures[f"right {point.fmr}"] = lambda one, at=at: counts.right(one.fmr_at(at), one.fnmr_at(at))  # type: ignore[misc]
        found = subject_bootstrap(scores, measures, rounds=rounds)
    least = min(counts.persons, counts.couples) if curve is not None else 0
    return Figures(
        pairs=scores.mated.size,
        mated=counts.mated,
        subjects=counts.subjects,
        failed_pairs=scores.failures,
        curve=curve,
        auc=_bounded(found.get("auc"), 1.0, least, counts.few),
        eer=_bounded(found.get("eer"), 0.0, least, counts.few),
        tar={target: _bounded(found.get(f"tar {target}"), 1.0, counts.persons, counts.few) for target in TARGETS},
        deployed=tuple(_deployed(scores, counts, point, found) for point in points),
        couples=counts.couples,
    )


@dataclass(frozen=True)
class _Counts:
    """How many pairs there are of each kind, and what they rest on.

    Attributes:
        mated: mated pairs.
        non_mated: non-mated pairs.
        failed: share of all pairs that are non-mated ones with a failure to acquire.
        persons: persons with a mated pair.
        couples: couples of persons with a non-mated pair.
        subjects: persons in all.
    """

    mated: int
    non_mated: int
    failed: float
    persons: int
    couples: int
    subjects: int

    @classmethod
    def of(cls, scores: Scores) -> _Counts:
        mated = int(scores.mated.sum())
        return cls(
            mated,
            scores.mated.size - mated,
            float((np.isnan(scores.distances) & ~scores.mated).mean()) if scores.mated.size else 0.0,
            _persons(scores.subjects[scores.mated]),
            len(couples(scores.subjects[~scores.mated])[0]),
            _persons(scores.subjects),
        )

    @property
    def few(self) -> bool:
        """Whether there are too few persons to resample."""
        return self.subjects < FEW_SUBJECTS

    def right(self, fmr: float, fnmr: float) -> float:
        """Share of pairs judged rightly at these rates; no pair with a failure to acquire is."""
        wrong = (self.mated * fnmr + self.non_mated * fmr) / (self.mated + self.non_mated)
        return max(0.0, 1.0 - wrong - self.failed)


def _persons(subjects: NDArray[np.int32]) -> int:
    return int(np.count_nonzero(np.bincount(subjects.ravel())))


def _bounded(found: Interval | None, perfect: float, trials: int, few: bool) -> Interval | None:
    """The interval, or the bound that so many trials without an error give."""
    if found is None:
        return None
    if abs(found.value - perfect) > 1e-12:  # an area is a sum, and rounded
        alone = no_surer_than(Interval(found.value, found.value, found.value), trials)
        return short_of_perfection(no_surer_than(found, trials) if few else found, alone)
    none = rate(0, trials)
    return none if perfect == 0 else Interval(1.0, 1.0 - none.high, 1.0)


def _deployed(scores: Scores, counts: _Counts, point: OperatingPoint, found: Mapping[str, Interval]) -> Deployed:
    judged = confusion(scores, point.threshold)
    missed = judged.false_non_matches + judged.failed_mated
    right = judged.true_matches + judged.true_non_matches
    total = _share(
        right, scores.mated.size, found.get(f"right {point.fmr}"), counts.persons + counts.couples, counts.few
    )
    assert total is not None  # there are pairs
    return Deployed(
        point.fmr,
        point.threshold,
        _share(judged.false_matches, judged.non_mated, found.get(f"fmr {point.fmr}"), counts.couples, counts.few),
        _share(missed, judged.mated, found.get(f"fnmr {point.fmr}"), counts.persons, counts.few),
        total,
    )


def _share(errors: int, trials: int, resampled: Interval | None, independent: int, few: bool) -> Interval | None:
    """The resampled interval, but where there is no error or nothing else, or it reaches down to none."""
    if not trials:
        return None
    known = rate(errors, trials, independent)
    if resampled is None or errors in (0, trials):
        return known
    wide = short_of_perfection(resampled, known)
    return no_surer_than(wide, independent) if few else wide
