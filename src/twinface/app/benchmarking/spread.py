"""How samples of a time or a size are spread. Standard library only: who imports this measures memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median, and the range that holds 80% of the samples."""

    median: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Quantiles, linear between samples.

    Raises:
        ValueError: there are none.
    """
    if not samples:
        raise ValueError("spread: there are no samples")
    ranked = sorted(samples)

    def quantile(share: float) -> float:
        place = share * (len(ranked) - 1)
        below = int(place)
        above = min(below + 1, len(ranked) - 1)
        return ranked[below] + (place - below) * (ranked[above] - ranked[below])

    return Spread(quantile(0.5), quantile(0.1), quantile(0.9))
