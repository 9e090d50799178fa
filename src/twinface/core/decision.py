"""Operating points and verdicts. Nothing else in TwinFace holds a threshold."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from twinface.core.calibration import LogisticCurve, ProbabilityCurve
from twinface.core.facts import field_of, fields_of, list_of, object_of
from twinface.core.isotonic import IsotonicCurve
from twinface.core.rates import scientific
from twinface.errors import ContractMismatch

FARTHEST = 2.0
"""Distance of opposite unit templates."""

MOST = 10_000
"""Rules in a file and points of a rule; no measurement gives more."""


Verdict = Literal["same", "different", "inconclusive"]


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
            raise ValueError(
                f"operating point: the data set's name must be printable, got {reprlib.repr(self.dataset)}"
            )
        if not (0 < self.fmr < 1 and self.low <= self.threshold <= self.high and self.low > -1 and self.high < 3):
            raise ValueError(
                "operating point: FMR must lie in (0, 1), threshold in its interval, "
                f"got {self.fmr} and {self.threshold} in {self.low} to {self.high}"
            )
        if not (0 <= self.fnmr_low <= self.fnmr <= self.fnmr_high <= 1 and self.non_mated > 0 and self.mated > 0):
            raise ValueError(
                "operating point: FNMR must lie in its interval, counts be positive, "
                f"got {self.fnmr} in {self.fnmr_low} to {self.fnmr_high}, {self.mated} and {self.non_mated}"
            )

    def accepts(self, distance: float) -> bool:
        """Whether a distance counts as the same person. False for NaN: doubt refuses."""
        return distance <= self.threshold


@dataclass(frozen=True)
class Band:
    """Where a distance is too doubtful for either answer at an operating point.

    "Same" takes a distance that the point accepts and whose probability is at least `probability`; "different" one
    that it does not accept and whose probability is at most 1 - `probability`. As probabilities fall with distance,
    both are distances.

    Attributes:
        probability: how sure an answer has to be, between 0.5 and 1.
        low: largest distance that is "same".
        high: smallest distance that can be "different".
    """

    probability: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0.5 < self.probability < 1 and self.low <= self.high):
            raise ValueError(f"band: expected a probability between 0.5 and 1 and low <= high, got {self}")

    def verdict(self, distance: float, point: OperatingPoint) -> Verdict:
        """The answer for a distance; "inconclusive" for NaN."""
        if point.accepts(distance):
            return "same" if distance <= self.low else "inconclusive"
        return "different" if distance >= self.high else "inconclusive"


@dataclass(frozen=True)
class MeasuredWith:
    """The detector a rule was measured with: its landmarks shape the crops, and so the distances.

    Attributes:
        name: short name.
        identity: of its contract and weights.
    """

    name: str
    identity: str

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and isinstance(self.identity, str) and self.name.isprintable()):
            raise ValueError(f"decision rule: the detector's name and identity must be text, got {self}")


@dataclass(frozen=True)
class DecisionRule:
    """Everything needed to judge a distance between templates of one encoder.

    Attributes:
        model: identity of the encoder.
        curve: distance to probability.
        points: operating points, largest FMR first.
        default_fmr: the point used when none is asked for.
        band: how sure an answer has to be when nothing else is asked for; None for an answer always.
        detector: what found the faces it was measured on; None where nobody has recorded it.
    """

    model: str
    curve: ProbabilityCurve
    points: tuple[OperatingPoint, ...]
    default_fmr: float
    band: float | None = None
    detector: MeasuredWith | None = None

    def __post_init__(self) -> None:
        if not self.points:
            raise ContractMismatch("decision rule: no operating point")
        if any(point.model != self.model for point in self.points):
            raise ContractMismatch("decision rule: an operating point belongs to another model")
        self.inconclusive(self.point())

    def caution(self, name: str, identity: str) -> str:
        """What to say when it judges faces that another detector has found; "" when it is the same one.

        Args:
            name: of the detector in use.
            identity: of the detector in use.
        """
        if self.detector is None or self.detector.identity == identity:
            return ""
        return (
            f"these thresholds were measured with the detector {self.detector.name}, not with {name}: "
            f"calibrate with --detector {name}"
        )

    def point(self, fmr: float | None = None) -> OperatingPoint:
        """The operating point for a target FMR, or the default one.

        Raises:
            ContractMismatch: this FMR was not measured.
        """
        wanted = self.default_fmr if fmr is None else fmr
        for point in self.points:
            if abs(point.fmr - wanted) <= 1e-9 + 1e-6 * point.fmr:
                return point
        known = ", ".join(scientific(point.fmr) for point in self.points)
        raise ContractMismatch(f"no operating point for FMR {wanted:g}; measured ones: {known}; choose one of them")

    def inconclusive(self, point: OperatingPoint, band: float | None = None) -> Band | None:
        """The band of doubt around one of the points, or None where every distance has an answer.

        Args:
            point: one of this rule's.
            band: how sure an answer has to be, between 0.5 and 1; None for the rule's own.

        Raises:
            ContractMismatch: it is no such number, or surer than the curve ever is.
        """
        sure = self.band if band is None else band
        if sure is None:
            return None
        if not 0.5 < sure < 1:
            raise ContractMismatch(f"band {sure:g}: must lie between 0.5 and 1, as 0.9; choose another")
        most = min(self.curve.probability(0.0), 1 - self.curve.probability(FARTHEST))
        if sure > most:
            raise ContractMismatch(
                f"band {sure:g}: the pairs this model was calibrated on support no more than {most:.6g}; "
                "choose a lower one, or calibrate on more pairs"
            )
        near = _largest(lambda distance: self.curve.probability(distance) >= sure)
        far = _largest(lambda distance: self.curve.probability(distance) > 1 - sure)
        return Band(sure, min(near, point.threshold), max(math.nextafter(far, math.inf), point.threshold))


def _largest(holds: Callable[[float], bool]) -> float:
    """The largest distance at which something holds that holds at zero and, once it fails, never again."""
    low, high = 0.0, FARTHEST
    if holds(high):
        return high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def parse_rules(text: str, origin: str) -> tuple[DecisionRule, ...]:
    """Reads the decision rules beside a model.

    Raises:
        ContractMismatch: not JSON or a field missing, unknown, of another kind or out of range.
    """
    try:
        return tuple(map(_rule, list_of(object_of(json.loads(text), "it"), "rules", MOST, "it")))
    except ContractMismatch as error:
        raise ContractMismatch(f"{origin}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ContractMismatch(
            f"{origin}: not a decision file ({error}); write one with twinface calibrate --out"
        ) from error


def _rule(value: object) -> DecisionRule:
    facts = object_of(value, "a rule")
    points = list_of(facts, "points", MOST, "a rule")
    band, detector = facts.get("band"), facts.get("detector")  # older files do not have them
    return DecisionRule(
        field_of(facts, "model", "str", "a rule"),
        _curve(field_of(facts, "curve", "object", "a rule")),
        tuple(OperatingPoint(**fields_of(OperatingPoint, point, "an operating point")) for point in points),
        field_of(facts, "default_fmr", "float", "a rule"),
        None if band is None else field_of(facts, "band", "float", "a rule"),
        None if detector is None else MeasuredWith(**fields_of(MeasuredWith, detector, "the detector")),
    )


def _curve(facts: Mapping[str, Any]) -> ProbabilityCurve:
    values = {name: value for name, value in facts.items() if name != "kind"}
    match facts.get("kind", LogisticCurve.kind):  # older files do not say
        case LogisticCurve.kind:
            return LogisticCurve(**fields_of(LogisticCurve, values, "the curve"))
        case IsotonicCurve.kind:
            return IsotonicCurve(**fields_of(IsotonicCurve, values, "the curve"))
        case other:
            raise ValueError(f"the curve is of unknown kind {reprlib.repr(other)}")


def write_rules(rules: Iterable[DecisionRule]) -> str:
    """The rules as JSON text, readable by `parse_rules`."""
    facts = []
    for rule in rules:
        fact = asdict(rule)
        facts.append({**fact, "curve": {"kind": rule.curve.kind, **fact["curve"]}})
    return json.dumps({"rules": facts}, indent=1) + "\n"
