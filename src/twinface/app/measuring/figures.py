"""The figures of verification, all with their intervals, whatever data set the pairs come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from twinface.core.decision import DecisionRule
from twinface.evaluation.bootstrap import subject_bootstrap
from twinface.evaluation.curves import ErrorCurve, error_curve
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.scores import Scores
from twinface.evaluation.verification import confusion

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
        tar: by target FMR, None where the non-mated pairs are too few to say (below 1 / FMR).
        deployed: the operating points of the system's rule, if it has one.
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

    @property
    def non_mated(self) -> int:
        """How many pairs show two persons."""
        return self.pairs - self.mated


def measure(scores: Scores, rule: DecisionRule | None, *, rounds: int = 200) -> Figures:
    """All figures; intervals come from resampling persons, as pairs that share one are not independent.

    Args:
        scores: the pairs.
        rule: whose operating points are tried.
        rounds: of the bootstrap.
    """
    mated = int(scores.mated.sum())
    non_mated = scores.mated.size - mated
    points = () if rule is None else rule.points
    curve = error_curve(scores) if mated and non_mated else None
    found: dict[str, Interval] = {}
    tellable = [target for target in TARGETS if curve is not None and non_mated * target >= 1]
    if curve is not None:
        measures: dict[str, Callable[[ErrorCurve], float]] = {"auc": ErrorCurve.auc, "eer": ErrorCurve.eer}
        for target in tellable:
            measures[f"tar {target}"] = lambda one, target=target: one.tar(target)  # type: ignore[misc]
        for point in points:
            measures[f"fmr {point.fmr}"] = lambda one, at=point.threshold: one.fmr_at(at)  # type: ignore[misc]
            measures[f"fnmr {point.fmr}"] = lambda one, at=point.threshold: one.fnmr_at(at)  # type: ignore[misc]
        found = subject_bootstrap(scores, measures, rounds=rounds)
    return Figures(
        pairs=scores.mated.size,
        mated=mated,
        subjects=int(np.count_nonzero(np.bincount(scores.subjects.ravel()))),
        failed_pairs=scores.failures,
        curve=curve,
        auc=found.get("auc"),
        eer=found.get("eer"),
        tar={target: found.get(f"tar {target}") for target in TARGETS},
        deployed=tuple(_deployed(scores, point.fmr, point.threshold, found) for point in points),
    )


def _deployed(scores: Scores, target: float, threshold: float, found: Mapping[str, Interval]) -> Deployed:
    judged = confusion(scores, threshold)
    missed = judged.false_non_matches + judged.failed_mated
    return Deployed(
        target,
        threshold,
        _share(judged.false_matches, judged.non_mated, found.get(f"fmr {target}")),
        _share(missed, judged.mated, found.get(f"fnmr {target}")),
        rate(judged.true_matches + judged.true_non_matches, scores.mated.size),
    )


def _share(errors: int, trials: int, resampled: Interval | None) -> Interval | None:
    """The resampled interval, but for no errors or nothing else, which resampling cannot widen."""
    if not trials:
        return None
    if resampled is None or errors in (0, trials):
        return rate(errors, trials)
    return resampled
