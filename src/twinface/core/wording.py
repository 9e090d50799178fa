"""How results read, wherever people read them: one wording for the command line, pictures and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from twinface.core.decision import Verdict
from twinface.core.rates import scientific

if TYPE_CHECKING:
    from twinface.core.decision import Band

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

VERDICT_COLOURS: Mapping[Verdict, Colour] = MappingProxyType(
    {"same": (26, 152, 80), "different": (215, 48, 39), "inconclusive": (186, 104, 8)}
)
"""Green for one person, red for two, amber for doubt; never the only sign, as not everyone tells them apart."""

VERDICT_WORDS: Mapping[Verdict, str] = MappingProxyType(
    {"same": "same person", "different": "different persons", "inconclusive": "inconclusive"}
)

VERDICT_MARKS: Mapping[Verdict, str] = MappingProxyType({"same": "\u2713", "different": "\u2717", "inconclusive": "?"})
"""A tick, a cross, a question mark: the sign beside the colour."""

ELLIPSIS = "\u2026"


def percent(probability: float) -> str:
    """A probability as people read it; certainty is never claimed.

    One decimal from 1% to 99%, two beyond, and bounds where two decimals would say 0% or 100%:
    0.5 -> "50.0%", 0.9996 -> "99.96%", 0.99999 -> "> 99.99%", 0.0 -> "< 0.01%".

    Raises:
        ValueError: not within [0, 1].
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability: must lie in [0, 1], got {probability}")
    if probability > 0.9999:
        return "> 99.99%"
    if probability < 0.0001:
        return "< 0.01%"
    decimals = 1 if 0.01 <= probability <= 0.99 else 2
    return f"{100 * probability:.{decimals}f}%"


def fmr_label(fmr: float) -> str:
    """A target false match rate, in words and in the field's form: 0.001 -> "1 in 1,000 (FMR 1e-3)".

    Raises:
        ValueError: not within (0, 1].
    """
    if not 0.0 < fmr <= 1.0:
        raise ValueError(f"FMR: must lie in (0, 1], got {fmr}")
    pairs = 1.0 / fmr
    about = "" if abs(pairs - round(pairs)) <= 1e-6 * pairs else "about "
    return f"{about}1 in {round(pairs):,} (FMR {scientific(fmr)})"


def band_label(band: Band) -> str:
    """The band of doubt in words: "inconclusive from 0.374 to 0.452 (at least 90.0% sure is wanted)"."""
    return f"inconclusive from {band.low:.3f} to {band.high:.3f} (at least {percent(band.probability)} sure is wanted)"


def caution(verdict: Verdict, probability: float, fmr: float) -> str:
    """What to say of doubt; "" where there is none.

    Verdict and probability may seem to disagree at a strict or loose FMR, and inconclusive is no answer by itself.
    """
    if verdict == "inconclusive":
        return f"probably {'one person' if probability > 0.5 else 'two persons'}, but not surely enough to say so"
    if verdict == "different" and probability > 0.5:
        return f"probably one person, but not surely enough for FMR {scientific(fmr)}"
    if verdict == "same" and probability < 0.5:
        return f"near enough for FMR {scientific(fmr)}, but probably two persons"
    return ""


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The longest form of a text that fits, shortened in its middle: both the start and the ending tell.

    Args:
        text: for instance a file name.
        fits: whether a candidate has room; whatever holds for a text must hold for shorter ones.

    Returns:
        The text, or its start and end around an ellipsis, or the ellipsis alone where nothing has room.
    """
    if fits(text):
        return text
    low, high = 0, len(text) - 1
    while low < high:
        kept = (low + high + 1) // 2
        if fits(_around(text, kept)):
            low = kept
        else:
            high = kept - 1
    return _around(text, low)


def _around(text: str, kept: int) -> str:
    tail = kept // 2
    return text[: kept - tail] + ELLIPSIS + text[len(text) - tail :]
