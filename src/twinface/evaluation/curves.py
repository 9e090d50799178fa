"""Error rates of verification at every threshold, with ties and failures to acquire counted honestly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.evaluation.scores import Scores

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """FMR and FNMR over the distance threshold; a pair matches when its distance is at or below it.

    A pair with a failure to acquire never matches, but counts in its rate's denominator: with failures the FMR ends
    below one and the FNMR above zero.

    Attributes:
        thresholds: float64, shape (K,), ascending: first -inf, where nothing matches, then every distance that occurs.
        fmr: float64, shape (K,), share of non-mated pairs that match at each threshold, from 0 upwards.
        fnmr: float64, shape (K,), share of mated pairs that do not, from 1 downwards.

    Raises:
        ValueError: shapes that do not match, or values that are no such curve.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats

    def __post_init__(self) -> None:
        shape = self.thresholds.shape
        if len(shape) != 1 or not shape[0] or self.fmr.shape != shape or self.fnmr.shape != shape:
            raise ValueError(
                f"error curve: expected one length of at least 1, got {shape}, {self.fmr.shape}, {self.fnmr.shape}"
            )
        if self.thresholds[0] != -np.inf or self.fmr[0] != 0 or self.fnmr[0] != 1:
            raise ValueError("error curve: the first threshold is -inf, with FMR 0 and FNMR 1")
        rising = (self.thresholds[1:] > self.thresholds[:-1]).all() and (self.fmr[1:] >= self.fmr[:-1]).all()
        if not (rising and (self.fnmr[1:] <= self.fnmr[:-1]).all() and self.fmr[-1] <= 1 and self.fnmr[-1] >= 0):
            raise ValueError("error curve: thresholds and FMR must rise and FNMR fall, all within range")

    def auc(self) -> float:
        """Area under TAR over FMR: how often a mated pair is nearer than a non-mated one, ties counting half.

        Failures to acquire count as infinitely far, and as ties among themselves.
        """
        fmr, tar = np.append(self.fmr, 1.0), np.append(1.0 - self.fnmr, 1.0)
        return float(np.sum(np.diff(fmr) * (tar[1:] + tar[:-1])) / 2)

    def eer(self) -> float:
        """Equal error rate: where FMR and FNMR cross on the straight line between neighbouring thresholds.

        Where failures to acquire keep the two from meeting, the curve is led on in a straight line to FMR 1, FNMR 0,
        as `auc` does.
        """
        fmr, fnmr = np.append(self.fmr, 1.0), np.append(self.fnmr, 0.0)
        lead = fmr - fnmr
        place = int(np.searchsorted(lead, 0.0))
        share = -lead[place - 1] / (lead[place] - lead[place - 1])
        return float(fmr[place - 1] + share * (fmr[place] - fmr[place - 1]))

    def tar(self, fmr: float) -> float:
        """True accept rate, 1 - FNMR, at the largest threshold whose FMR does not exceed the target."""
        return float(1.0 - self.fnmr[self._last(fmr)])

    def threshold(self, fmr: float) -> float:
        """That threshold: midway to the next distance, or the largest distance when every pair may match.

        It is -inf when no pair has a distance.
        """
        place = self._last(fmr)
        if place == self.thresholds.size - 1:
            return float(self.thresholds[place])
        return midway(float(self.thresholds[place]), float(self.thresholds[place + 1]))

    def fmr_at(self, threshold: float) -> float:
        """FMR when distances at or below the threshold match."""
        return float(self.fmr[self._at(threshold)])

    def fnmr_at(self, threshold: float) -> float:
        """FNMR when distances at or below the threshold match."""
        return float(self.fnmr[self._at(threshold)])

    def _last(self, fmr: float) -> int:
        if not 0 <= fmr <= 1:
            raise ValueError(f"error curve: a target FMR lies in [0, 1], got {fmr:g}")
        return int(np.searchsorted(self.fmr, fmr, side="right")) - 1

    def _at(self, threshold: float) -> int:
        if np.isnan(threshold):
            raise ValueError("error curve: the threshold is not a number")
        return int(np.searchsorted(self.thresholds, threshold, side="right")) - 1


def midway(last: float, following: float) -> float:
    """A threshold that accepts the distance `last` and not `following`, which is larger: midway where numbers allow.

    It parts the two in float32 as well, in which distances are often kept, unless they are equal there.

    Args:
        last: distance that may pass; -inf when none may, then the answer lies just below `following`.
        following: the next distance.
    """
    if last == -np.inf:
        return float(np.nextafter(np.float32(following), np.float32(-np.inf)))
    middle = (last + following) / 2
    for choice in (float(np.float32(middle)), last if np.float32(last) == last else middle, middle):
        if last <= choice < following:
            return choice
    return last


def error_curve(scores: Scores, weights: ArrayLike | None = None) -> ErrorCurve:
    """FMR and FNMR at every distance that occurs.

    Args:
        scores: pairs of both kinds.
        weights: how much each pair counts, shape (N,), not negative; all alike when left out. A pair of weight zero
            is as if it were not there.

    Raises:
        ValueError: there are no mated or no non-mated pairs, or weights that are none.
    """
    gap, label = scores.distances, scores.mated
    missing = np.isnan(gap)
    if weights is None:
        mated, non_mated, kept = label, ~label, ~missing
    else:
        weight = np.asarray(weights, np.float64)
        if weight.shape != gap.shape or not np.isfinite(weight).all() or (weight < 0).any():
            raise ValueError(f"error curve: expected {gap.size} weights, finite and not negative")
        mated, non_mated, kept = np.where(label, weight, 0.0), np.where(label, 0.0, weight), ~missing & (weight > 0)
    failed = float(mated[missing].sum()), float(non_mated[missing].sum())
    gap, mated, non_mated = gap[kept], mated[kept], non_mated[kept]
    order = np.argsort(gap, kind="stable")
    gap, mated, non_mated = gap[order], mated[order], non_mated[order]
    starts = np.flatnonzero(np.diff(gap, prepend=-1.0))  # a threshold cannot part equal distances
    return curve_of_steps(
        gap[starts].astype(np.float64),
        np.add.reduceat(mated, starts, dtype=np.float64) if starts.size else np.zeros(0),
        np.add.reduceat(non_mated, starts, dtype=np.float64) if starts.size else np.zeros(0),
        failed,
    )


def curve_of_steps(distances: Floats, mated: Floats, non_mated: Floats, failed: tuple[float, float]) -> ErrorCurve:
    """The curve of pairs already counted by distance.

    Args:
        distances: ascending, all different, shape (K,).
        mated: weight of the mated pairs at each distance, shape (K,).
        non_mated: likewise of the non-mated pairs.
        failed: weight of the mated and of the non-mated pairs with a failure to acquire.

    Raises:
        ValueError: there are no mated or no non-mated pairs.
    """
    near, far = (np.concatenate([[0.0], np.cumsum(count)]) for count in (mated, non_mated))
    all_mated, all_non_mated = near[-1] + failed[0], far[-1] + failed[1]
    if all_mated <= 0 or all_non_mated <= 0:
        kind = "mated" if all_mated <= 0 else "non-mated"
        raise ValueError(f"error curve: there are no {kind} pairs, so their error rate is unknown")
    return ErrorCurve(np.concatenate([[-np.inf], distances]), far / all_non_mated, (all_mated - near) / all_mated)
