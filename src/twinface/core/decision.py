"""Operating points and verdicts. Nothing else in TwinFace holds a threshold."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from twinface.core.calibration import ProbabilityCurve
from twinface.errors import ContractMismatch


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with where it comes from.

    Attributes:
        model: identity of the encoder it belongs to.
        dataset: what it was measured on.
        fmr: the target false match rate.
        threshold: largest accepted distance.
        low: lower end of the threshold's 95% confidence interval.
        high: upper end.
        non_mated: non-mated pairs it was measured on.
        mated: mated pairs its FNMR was measured on.
        fnmr: share of mated pairs it refuses.
        fnmr_low: lower end of the FNMR's 95% confidence interval.
        fnmr_high: upper end.
    """

    model: str
    dataset: str
    fmr: float
    threshold: float
    low: float
    high: float
    non_mated: int
    mated: int
    fnmr: float
    fnmr_low: float
    fnmr_high: float

    def __post_init__(self) -> None:
        if not self.dataset.isprintable():
            raise ValueError(f"operating point: the data set's name must be printable, got {self.dataset!r}")
        if not (0 < self.fmr < 1 and self.low <= self.threshold <= self.high and self.low > -1 and self.high < 3):
            raise ValueError(f"operating point: FMR must lie in (0, 1), threshold in its interval, got {self}")
        if not (0 <= self.fnmr_low <= self.fnmr <= self.fnmr_high <= 1 and self.non_mated > 0 and self.mated > 0):
            raise ValueError(f"operating point: FNMR must lie in its interval, counts be positive, got {self}")

    def accepts(self, distance: float) -> bool:
        """Whether a distance counts as the same person. False for NaN: doubt refuses."""
        return distance <= self.threshold


@dataclass(frozen=True)
class DecisionRule:
    """Everything needed to judge a distance between templates of one encoder.

    Attributes:
        model: identity of the encoder.
        curve: distance to probability.
        points: operating points, largest FMR first.
        default_fmr: the point used when none is asked for.
    """

    model: str
    curve: ProbabilityCurve
    points: tuple[OperatingPoint, ...]
    default_fmr: float

    def __post_init__(self) -> None:
        if not self.points:
            raise ContractMismatch("decision rule: no operating point")
        if any(point.model != self.model for point in self.points):
            raise ContractMismatch("decision rule: an operating point belongs to another model")
        self.point()

    def point(self, fmr: float | None = None) -> OperatingPoint:
        """The operating point for a target FMR, or the default one.

        Raises:
            ContractMismatch: this FMR was not measured.
        """
        wanted = self.default_fmr if fmr is None else fmr
        for point in self.points:
            if abs(point.fmr - wanted) <= 1e-9 + 1e-6 * point.fmr:
                return point
        known = ", ".join(f"{point.fmr:g}" for point in self.points)
        raise ContractMismatch(f"no operating point for FMR {wanted:g}; measured ones: {known}")


def parse_rules(text: str, origin: str) -> tuple[DecisionRule, ...]:
    """Reads the decision rules beside a model.

    Raises:
        ContractMismatch: not JSON or a field missing, unknown or out of range.
    """
    try:
        return tuple(
            DecisionRule(
                rule["model"],
                ProbabilityCurve(**rule["curve"]),
                tuple(OperatingPoint(**point) for point in rule["points"]),
                rule["default_fmr"],
            )
            for rule in json.loads(text)["rules"]
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: not a decision file ({error})") from error


def write_rules(rules: tuple[DecisionRule, ...]) -> str:
    """The rules as JSON text, readable by `parse_rules`."""
    return json.dumps({"rules": [asdict(rule) for rule in rules]}, indent=1) + "\n"
