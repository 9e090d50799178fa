"""Rates with their 95% confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

from twinface.core.calibration import wilson


@dataclass(frozen=True)
class Interval:
    """A measured value and its 95% confidence interval.

    Attributes:
        value: as measured.
        low: lower end.
        high: upper end.

    Raises:
        ValueError: the value does not lie between the ends.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"interval: the value must lie in it, got {self.low} <= {self.value} <= {self.high}")


def no_surer_than(found: Interval, independent: int) -> Interval:
    """An interval widened to what so many independent trials with the same share of errors would tell (Wilson).

    Resampling a handful of persons draws the same ones again and again and knows of no others.
    """
    low, high = wilson(found.value * independent, independent)  # no whole number, or one error could round to none
    return Interval(found.value, min(found.low, low), max(found.high, high))


def short_of_perfection(resampled: Interval, known: Interval) -> Interval:
    """A resampled interval of a share with both errors and successes: no end of it is 0 or 1, as both were seen.

    Args:
        resampled: as drawn; an end of 0 or 1 only says that no round drew the few errors, or the few successes.
        known: of the same share, whose ends stand in.
    """
    low = resampled.low if resampled.low > 0 else known.low
    high = resampled.high if resampled.high < 1 else known.high
    return Interval(known.value, min(low, known.value), max(high, known.value))


def rate(errors: int, trials: int, independent: int | None = None) -> Interval:
    """Share of errors with Wilson's interval; no error in N independent trials bounds the rate at 3 / N.

    The bound is the "rule of three" (ISO/IEC 19795-1, on sample sizes; J. Hanley, A. Lippman-Hand, JAMA 249, 1983);
    when all trials are errors it is mirrored. Wilson's interval takes all trials for independent: where they share
    persons, the truth is less sure than this, see `bootstrap.subject_bootstrap`.

    Args:
        errors: how many trials were errors.
        trials: how many there were.
        independent: how many of them can be called independent, for the bounds: couples of persons, not pairs of their
            pictures. All when left out.

    Raises:
        ValueError: no trials, or more errors or independent ones than trials.
    """
    low, high = wilson(errors, trials)
    if independent is not None and not 0 < independent <= trials:
        raise ValueError(f"rate: {independent} of {trials} trials cannot be the independent ones")
    value, three = errors / trials, min(1.0, 3 / (independent or trials))
    if errors == 0:
        return Interval(value, 0.0, three)
    if errors == trials:
        return Interval(value, 1.0 - three, 1.0)
    return Interval(value, min(low, value), max(high, value))
