"""Verification figures from distances and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class FoldedAccuracy:
    """Accuracy by cross-validation, as LFW's View 2 reports it.

    Attributes:
        mean: over the folds, in [0, 1].
        deviation: standard deviation over the folds; its standard error is this / sqrt(folds).
        folds: accuracy of each fold.
        thresholds: distance threshold chosen for each fold on the others.
    """

    mean: float
    deviation: float
    folds: tuple[float, ...]
    thresholds: tuple[float, ...]


def folded_accuracy(distances: ArrayLike, mated: ArrayLike, folds: ArrayLike) -> FoldedAccuracy:
    """Each fold is judged by the threshold that is best on all the others (LFW report, section 4, View 2).

    Args:
        distances: of N pairs; NaN marks a pair of which a face was not found, counted as refused.
        mated: N booleans.
        folds: N fold numbers, at least two different ones.

    Raises:
        ValueError: the lengths differ or there is only one fold.
    """
    gap = np.asarray(distances, np.float64)
    label, fold = np.asarray(mated, bool), np.asarray(folds)
    if not gap.shape == label.shape == fold.shape or gap.ndim != 1:
        raise ValueError(f"accuracy: expected three equal lengths, got {gap.shape}, {label.shape}, {fold.shape}")
    numbers = np.unique(fold)
    if numbers.size < 2:
        raise ValueError("accuracy: at least two folds are needed to choose a threshold on the others")
    gap = np.where(np.isnan(gap), np.inf, gap)
    accuracies, thresholds = [], []
    for number in numbers:
        others = fold != number
        threshold = best_threshold(gap[others], label[others])
        accuracies.append(float(((gap[~others] <= threshold) == label[~others]).mean()))
        thresholds.append(threshold)
    return FoldedAccuracy(
        float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)), tuple(accuracies), tuple(thresholds)
    )


def best_threshold(distances: NDArray[np.float64], mated: NDArray[np.bool_]) -> float:
    """The threshold with the fewest errors when distances at or below it count as mated; the middle of a tie."""
    order = np.argsort(distances, kind="stable")
    ordered, label = distances[order], mated[order]
    right = (
        np.concatenate([[0], np.cumsum(label)])
        + np.concatenate([[0], np.cumsum(~label)])[-1]
        - np.concatenate([[0], np.cumsum(~label)])
    )
    edges = np.concatenate([[-np.inf], ordered, [np.inf]])
    cut = np.flatnonzero(edges[1:] > edges[:-1])  # a threshold cannot part equal distances
    best = cut[right[cut] == right[cut].max()]
    place = int(best[len(best) // 2])
    low, high = edges[place], edges[place + 1]
    if not np.isfinite(high):
        return float(low)
    return float((low + high) / 2) if np.isfinite(low) else float(np.nextafter(high, -np.inf))
