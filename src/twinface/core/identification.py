"""From one pair's false match rate to a whole gallery's: the threshold at which a stranger is rarely anybody.

A stranger's probe is compared with every template of a gallery. The chance that one of N comparisons passes is at most
N times the chance that a single one does (the union bound), whatever their dependence; so a false positive
identification rate (FPIR) is held by an FMR of FPIR / N. (P. Grother, M. Ngan, K. Hanaoka, NISTIR 8271, section 3;
ISO/IEC 19795-1.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.errors import GalleryError

DEFAULT_FPIR = 0.01
"""One stranger in a hundred may be taken for somebody."""

SMALLEST_FMR = 1e-12


@dataclass(frozen=True)
class IdentificationPoint:
    """A threshold for naming people of a gallery, with where it comes from.

    Attributes:
        model: identity of the encoder.
        dataset: what the operating points it rests on were measured on.
        fpir: the target false positive identification rate.
        templates: templates in the gallery.
        fmr: the rate of a single comparison that holds it; never above the default operating point's.
        threshold: largest accepted distance.
        extrapolated: whether the FMR is smaller than any that was measured; the line through the last two is followed.
    """

    model: str
    dataset: str
    fpir: float
    templates: int
    fmr: float
    threshold: float
    extrapolated: bool

    def accepts(self, distance: float) -> bool:
        """Whether a candidate at this distance is named. False for NaN: doubt refuses."""
        return distance <= self.threshold


def identification_point(rule: DecisionRule, templates: int, fpir: float = DEFAULT_FPIR) -> IdentificationPoint:
    """The threshold for a gallery of so many templates.

    Between the measured operating points the threshold is interpolated on the logarithm of the FMR, and below the
    last one extrapolated. Each point counts with the lower end of its confidence interval, as too low a threshold
    names too few and too high a one names strangers. A threshold never exceeds the default operating point's.

    Args:
        rule: the encoder's.
        templates: how many a probe is compared with, 0 or more.
        fpir: target false positive identification rate, in (0, 1).

    Raises:
        GalleryError: the rate is no such number, or the rule's single operating point cannot tell.
    """
    if not 0 < fpir < 1:
        raise GalleryError(f"FPIR {fpir:g}: must lie between 0 and 1, as 0.01; choose another")
    fmr = max(fpir / max(templates, 1), SMALLEST_FMR)
    default = rule.point()
    points = sorted(rule.points, key=lambda point: -point.fmr)
    threshold = _interpolated(points, fmr)
    extrapolated = fmr < points[-1].fmr
    if threshold >= default.threshold:
        threshold, fmr = default.threshold, default.fmr
    return IdentificationPoint(rule.model, default.dataset, fpir, templates, fmr, threshold, extrapolated)


def _interpolated(points: list[OperatingPoint], fmr: float) -> float:
    """The threshold at an FMR, on straight lines over log FMR through the lower ends of the points' intervals."""
    lows = [point.low for point in points]
    for place in range(1, len(lows)):  # an interval's end may stray; a smaller rate never allows a larger distance
        lows[place] = min(lows[place], lows[place - 1])
    if fmr >= points[0].fmr:
        return lows[0]
    if len(points) == 1:
        raise GalleryError(
            f"the decision rule knows FMR {points[0].fmr:g} only, and this gallery needs {fmr:.1g}; calibrate on more "
            "people, or use the rule beside the model"
        )
    at = next((place for place in range(1, len(points)) if fmr >= points[place].fmr), len(points) - 1)
    upper, lower = points[at - 1], points[at]
    share = math.log(upper.fmr / fmr) / math.log(upper.fmr / lower.fmr)
    return lows[at - 1] + share * (lows[at] - lows[at - 1])


@dataclass(frozen=True)
class Candidate:
    """Somebody of the gallery whom a face may show.

    Attributes:
        name: of the subject.
        uid: of the subject.
        distance: mean of those to her nearest template and to her mean template, [0, 2]; of one picture, the one.
        probability: calibrated P(same person | distance) as if it were of one pair, at prior 0.5.
    """

    name: str
    uid: str
    distance: float
    probability: float
