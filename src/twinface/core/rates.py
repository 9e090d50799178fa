"""Rates as the field writes them."""

from __future__ import annotations

import math


def scientific(value: float) -> str:
    """A small number in the field's short form: 0.001 -> "1e-3", 0.00025 -> "2.5e-4"."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def rounded_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: 0.00031 -> 0.0005.

    Raises:
        ValueError: not positive.
    """
    if not value > 0:
        raise ValueError(f"rounded up: must be positive, got {value}")
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
