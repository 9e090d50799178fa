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


def rate(errors: int, trials: int) -> Interval:
    """Share of errors with Wilson's interval; no error in N trials bounds the rate at 3 / N.

    The bound is the "rule of three" (ISO/IEC 19795-1, on sample sizes; J. Hanley, A. Lippman-Hand, JAMA 249, 1983);
    when all trials are errors it is mirrored. Trials count as independent: where they share persons, the truth is
    less sure than this, see `bootstrap.subject_bootstrap`.

    Raises:
        ValueError: no trials, or more errors than trials.
    """
    low, high = wilson(errors, trials)
    value, three = errors / trials, min(1.0, 3 / trials)
    if errors == 0:
        return Interval(value, 0.0, three)
    if errors == trials:
        return Interval(value, 1.0 - three, 1.0)
    return Interval(value, min(low, value), max(high, value))
