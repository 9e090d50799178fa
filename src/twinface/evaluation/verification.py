"""Accuracy, precision and recall of verification at a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.evaluation.curves import midway
from twinface.evaluation.scores import Scores


@dataclass(frozen=True)
class Confusion:
    """What became of every pair at a threshold; each pair is in one of the six counts.

    A failure to acquire is an error of its pair, mated or not: nobody was recognised and nobody was told apart. It is
    no match, so it never counts among false matches, yet it stays in every denominator of its kind.

    Attributes:
        true_matches: mated pairs at or below the threshold.
        false_matches: non-mated pairs at or below it.
        true_non_matches: non-mated pairs above it.
        false_non_matches: mated pairs above it.
        failed_mated: mated pairs with a failure to acquire.
        failed_non_mated: non-mated pairs with one.
    """

    true_matches: int
    false_matches: int
    true_non_matches: int
    false_non_matches: int
    failed_mated: int = 0
    failed_non_mated: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.true_matches + other.true_matches,
            self.false_matches + other.false_matches,
            self.true_non_matches + other.true_non_matches,
            self.false_non_matches + other.false_non_matches,
            self.failed_mated + other.failed_mated,
            self.failed_non_mated + other.failed_non_mated,
        )

    @property
    def mated(self) -> int:
        """All mated pairs."""
        return self.true_matches + self.false_non_matches + self.failed_mated

    @property
    def non_mated(self) -> int:
        """All non-mated pairs."""
        return self.false_matches + self.true_non_matches + self.failed_non_mated

    @property
    def accuracy(self) -> float | None:
        """Share of all pairs judged rightly; None without pairs."""
        return _share(self.true_matches + self.true_non_matches, self.mated + self.non_mated)

    @property
    def precision(self) -> float | None:
        """Share of the matches that are mated; None without matches."""
        return _share(self.true_matches, self.true_matches + self.false_matches)

    @property
    def recall(self) -> float | None:
        """Share of all mated pairs that match; None without mated pairs."""
        return _share(self.true_matches, self.mated)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None with neither matches nor mated pairs."""
        return _share(2 * self.true_matches, self.true_matches + self.false_matches + self.mated)

    @property
    def fmr(self) -> float | None:
        """Share of all non-mated pairs that match; None without non-mated pairs."""
        return _share(self.false_matches, self.non_mated)

    @property
    def fnmr(self) -> float | None:
        """Share of all mated pairs that do not match, failures among them; None without mated pairs."""
        return _share(self.false_non_matches + self.failed_mated, self.mated)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def confusion(scores: Scores, threshold: float) -> Confusion:
    """Counts what a threshold makes of the pairs: distances at or below it match.

    Raises:
        ValueError: the threshold is not a number.
    """
    return _confusion(scores.distances, scores.mated, threshold)


def _confusion(distances: NDArray[np.floating], mated: NDArray[np.bool_], threshold: float) -> Confusion:
    if np.isnan(threshold):
        raise ValueError("confusion: the threshold is not a number")
    failed = np.isnan(distances)
    match = distances.astype(np.float64) <= threshold  # in float32 the threshold would be rounded, perhaps upwards
    apart = ~match & ~failed
    return Confusion(
        int((match & mated).sum()),
        int((match & ~mated).sum()),
        int((apart & ~mated).sum()),
        int((apart & mated).sum()),
        int((failed & mated).sum()),
        int((failed & ~mated).sum()),
    )


@dataclass(frozen=True)
class FoldedAccuracy:
    """Accuracy by cross-validation, as LFW's View 2 reports it.

    Attributes:
        mean: over the folds, in [0, 1].
        deviation: standard deviation over the folds; its standard error is this / sqrt(folds).
        folds: accuracy of each fold.
        thresholds: distance threshold chosen for each fold on the others.
        confusion: counts of all folds together, each judged by its own threshold.
    """

    mean: float
    deviation: float
    folds: tuple[float, ...]
    thresholds: tuple[float, ...]
    confusion: Confusion


def folded_accuracy(distances: ArrayLike, mated: ArrayLike, folds: ArrayLike) -> FoldedAccuracy:
    """Each fold is judged by the threshold that is best on all the others (LFW report, section 4, View 2).

    Args:
        distances: of N pairs; NaN marks a failure to acquire: an error of its fold, mated or not, and passed over
            where thresholds are chosen.
        mated: N booleans.
        folds: N fold numbers, at least two different ones.

    Raises:
        ValueError: the lengths differ, there is only one fold, or all pairs outside a fold failed.
    """
    gap = np.asarray(distances, np.float64)
    label, fold = np.asarray(mated, bool), np.asarray(folds)
    if not gap.shape == label.shape == fold.shape or gap.ndim != 1:
        raise ValueError(f"accuracy: expected three equal lengths, got {gap.shape}, {label.shape}, {fold.shape}")
    numbers = np.unique(fold)
    if numbers.size < 2:
        raise ValueError("accuracy: at least two folds are needed to choose a threshold on the others")
    pooled = Confusion(0, 0, 0, 0)
    accuracies, thresholds = [], []
    for number in numbers:
        judged = fold == number
        threshold = best_threshold(gap[~judged], label[~judged])
        counts = _confusion(gap[judged], label[judged], threshold)
        accuracies.append((counts.true_matches + counts.true_non_matches) / int(judged.sum()))
        thresholds.append(threshold)
        pooled += counts
    return FoldedAccuracy(
        float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)), tuple(accuracies), tuple(thresholds), pooled
    )


def best_threshold(distances: NDArray[np.floating], mated: NDArray[np.bool_]) -> float:
    """The threshold with the fewest errors when distances at or below it count as mated; the middle of a tie.

    Pairs with a failure to acquire (NaN) are passed over: no threshold judges them rightly.

    Raises:
        ValueError: no pair has a distance.
    """
    found = ~np.isnan(distances)
    ordered, label = distances[found].astype(np.float64), mated[found]
    if not ordered.size:
        raise ValueError("threshold: no pair has a distance to choose a threshold by; all failed to acquire")
    order = np.argsort(ordered, kind="stable")
    ordered, label = ordered[order], label[order]
    right = np.concatenate([[0], np.cumsum(label)]) + np.concatenate([np.cumsum(~label[::-1])[::-1], [0]])
    edges = np.concatenate([[-np.inf], ordered, [np.inf]])
    cut = np.flatnonzero(edges[1:] > edges[:-1])  # a threshold cannot part equal distances
    best = cut[right[cut] == right[cut].max()]
    place = int(best[len(best) // 2])
    return float(edges[place]) if edges[place + 1] == np.inf else midway(float(edges[place]), float(edges[place + 1]))
