"""Makes decision rules: from pictures of known persons to a probability curve and operating points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twinface.app.measuring.system import System
from twinface.core.calibration import (
    ENOUGH,
    LogisticCurve,
    ProbabilityCurve,
    couples,
    fit_probability,
    is_tellable,
    thresholds_at,
)
from twinface.core.decision import DecisionRule, MeasuredWith, OperatingPoint
from twinface.core.isotonic import IsotonicCurve, fit_isotonic
from twinface.core.rates import rounded_up, scientific
from twinface.datasets.files import Files
from twinface.datasets.lfw import Lfw
from twinface.datasets.photos import PhotoSet
from twinface.errors import DataError, TwinFaceError
from twinface.evaluation.bootstrap import share_by_person
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.pairing import all_pairs
from twinface.evaluation.reliability import Fit, HeldOut, cross_validate
from twinface.evaluation.scores import Scores
from twinface.services.embedding import Choice

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
"""The FMRs operating points are measured for, where the pairs allow."""

PAIRS_A_PERSON = 45
"""Mated pairs taken of one person, all there are in ten pictures, so that nobody of many pictures rules the rest."""

LEAST_SUBJECTS = 20
"""Persons with two pictures or more that a calibration takes: four in each fold of the comparison of curves."""

FITS: Mapping[str, Fit] = {LogisticCurve.kind: fit_probability, IsotonicCurve.kind: fit_isotonic}


@dataclass(frozen=True)
class Wish:
    """What kind of rule is wanted.

    Attributes:
        default_fmr: target false match rate of the point used when none is asked for.
        band: how sure an answer has to be when nothing else is asked for; None for an answer always.

    Raises:
        TwinFaceError: a number out of its range.
    """

    default_fmr: float = 1e-3
    band: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.default_fmr < 1:
            raise TwinFaceError(f"--default-fmr must lie between 0 and 1, as 1e-3, got {self.default_fmr:g}")
        if self.band is not None and not 0.5 < self.band < 1:
            raise TwinFaceError(f"--band must lie between 0.5 and 1, as 0.9, got {self.band:g}")

    @property
    def targets(self) -> tuple[float, ...]:
        """The FMRs to measure, largest first."""
        return tuple(sorted({*TARGETS, self.default_fmr}, reverse=True))


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures of known persons.

    Attributes:
        name: what the rule calls them.
        files: where they are.
        paths: their names in `files`.
        people: who each shows.
        choice: which face of a picture counts.
        notes: what is to be known of them.
    """

    name: str
    files: Files
    paths: tuple[str, ...]
    people: tuple[str, ...]
    choice: Choice
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A decision rule and how it came about.

    Attributes:
        rule: the rule.
        held: by kind of curve, how good its probabilities are for persons it was not fitted to.
        left_out: target FMRs for which there were too few couples of persons.
        subjects: persons with a template.
        templates: pictures with a template.
        mated: mated pairs used.
        non_mated: non-mated pairs used.
        couples: couples of persons they are of.
    """

    rule: DecisionRule
    held: Mapping[str, HeldOut]
    left_out: tuple[float, ...]
    subjects: int
    templates: int
    mated: int
    non_mated: int
    couples: int


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibration with what the pictures gave.

    Attributes:
        found: the rule.
        failures: share of pictures without a template.
        failed: how many these are, by reason.
        poor: pictures with a template that `compare` would refuse for quality; they count here.
        notes: what is to be known.
    """

    found: Calibrated
    failures: Interval
    failed: Mapping[str, int]
    poor: int
    notes: tuple[str, ...]


def lfw_sample(lfw: Lfw) -> Sample:
    """The pictures of LFW's DevTrain pairs.

    Raises:
        DataError: the pair list or pictures are missing or damaged.
    """
    wanted = sorted({picture for pair in lfw.pairs("train") for picture in (pair.first, pair.second)})
    return Sample(
        f"LFW DevTrain ({lfw.variant})",
        lfw.files,
        tuple(lfw.path(*picture) for picture in wanted),
        tuple(name for name, _ in wanted),
        "central",
        lfw.notes,
    )


def folder_sample(photos: PhotoSet) -> Sample:
    """A user's own people."""
    return Sample(
        photos.name if photos.name.isprintable() else ascii(photos.name),
        photos.files,
        tuple(photo.path for photo in photos.photos),
        tuple(photo.subject for photo in photos.photos),
        "largest",
        photos.notes,
    )


def calibrate(system: System, sample: Sample, wish: Wish) -> Calibration:
    """Measures a system's decision rule.

    Raises:
        DataError: the pictures are too few, or persons are no nearer to themselves than to others.
        ContractMismatch: no answer can be as sure as the band wants.
    """
    notes = [*sample.notes, *system.check_leak(sample.people, True, sample.name, judging=False)]
    acquired = system.acquire(sample.files, sample.paths, sample.choice)
    rows = [acquired[path] for path in sample.paths]
    there = [place for place, row in enumerate(rows) if row.vector is not None]
    vectors = np.stack([vector for row in rows if (vector := row.vector) is not None]) if there else np.zeros((0, 1))
    found = measure_rule(
        system.analyzer.encoder.identity,
        sample.name,
        vectors.astype(np.float32, copy=False),
        [sample.people[place] for place in there],
        wish,
        MeasuredWith(system.detector.name, system.analyzer.detector.identity),
    )
    failed = Counter(row.reasons[0] for row in rows if row.vector is None)
    return Calibration(
        found,
        rate(failed.total(), len(rows)),
        dict(failed),
        sum(bool(row.reasons) for row in rows) - failed.total(),
        tuple(notes),
    )


def measure_rule(
    identity: str,
    dataset: str,
    vectors: NDArray[np.float32],
    people: Sequence[str],
    wish: Wish | None = None,
    detector: MeasuredWith | None = None,
) -> Calibrated:
    """Measures a decision rule: the better of two curves, and operating points.

    All mated pairs count, at most `PAIRS_A_PERSON` a person, and all non-mated ones, or ten million of them at random.
    The curve is kept whose held-out log loss is the smaller (in a tie, the calibration error), by cross-validation
    over persons.

    Args:
        identity: of the encoder.
        dataset: name of the data.
        vectors: templates, float32 (N, D), unit length.
        people: who each is of, N names.
        wish: what is wanted of the rule.
        detector: what found the faces.

    Raises:
        DataError: too few persons or pairs, or persons are no nearer to themselves than to others.
        ContractMismatch: no answer can be as sure as the band wants.
    """
    wish = wish or Wish()
    names, subjects, counts = np.unique(np.array(people, np.str_), return_inverse=True, return_counts=True)
    several = int((counts > 1).sum())
    if several < LEAST_SUBJECTS:
        raise DataError(
            f"{dataset}: persons with two usable pictures or more: {several}, with any: {len(names)}; "
            f"a calibration takes {LEAST_SUBJECTS} with two or more, better hundreds"
        )
    pairing = all_pairs(vectors, subjects.astype(np.int32))
    scores = _limited(pairing.scores)
    near, far = scores.distances[scores.mated], scores.distances[~scores.mated]
    couple_count = len(couples(scores.subjects[~scores.mated])[0])
    placed = [target for target in wish.targets if is_tellable(target, couple_count)]
    if wish.default_fmr not in placed:
        raise DataError(
            f"{dataset}: FMR {scientific(wish.default_fmr)} takes {ENOUGH / wish.default_fmr:,.0f} couples of "
            f"different persons, {len(names)} persons give {couple_count:,}; take more people, or --default-fmr "
            f"{scientific(rounded_up(ENOUGH / max(1, couple_count)))}"
        )
    try:
        held = cross_validate(FITS, scores)
        kind = min(held, key=lambda name: (held[name].log_loss, held[name].ece))
        curve = _rounded(FITS[kind](near.astype(np.float64), far.astype(np.float64)))
        thresholds = thresholds_at(far, scores.subjects[~scores.mated], placed)
    except ValueError as error:
        raise DataError(
            f"{dataset}: tells nothing of this model ({error}); are the right pictures together?"
        ) from error
    points = []
    for target, threshold in zip(placed, thresholds, strict=True):
        at = round(threshold.value, 5)
        fnmr = share_by_person(near.astype(np.float64) > at, scores.subjects[scores.mated, 0])
        points.append(
            OperatingPoint(
                identity, dataset, target, at, round(threshold.low, 5), round(threshold.high, 5),
                int(far.size), int(near.size), round(fnmr.value, 6), round(fnmr.low, 6), round(fnmr.high, 6),
            )
        )  # fmt: skip
    return Calibrated(
        DecisionRule(identity, curve, tuple(points), wish.default_fmr, wish.band, detector),
        held,
        tuple(target for target in wish.targets if target not in placed),
        len(names),
        len(vectors),
        int(near.size),
        int(far.size),
        couple_count,
    )


def _limited(scores: Scores) -> Scores:
    """The pairs, of every person's mated ones a random few."""
    mated = np.random.default_rng(0).permutation(np.flatnonzero(scores.mated))
    mated = mated[np.argsort(scores.subjects[mated, 0], kind="stable")]
    person = scores.subjects[mated, 0]
    rank = np.arange(mated.size) - np.searchsorted(person, person)
    kept = ~scores.mated
    kept[mated[rank < PAIRS_A_PERSON]] = True
    return Scores(scores.distances[kept], scores.mated[kept], scores.subjects[kept])


def _rounded(curve: ProbabilityCurve) -> ProbabilityCurve:
    """The curve without digits that mean nothing."""
    match curve:
        case LogisticCurve(slope, intercept, floor):
            return LogisticCurve(round(slope, 5), round(intercept, 5), round(floor, 7))
        case IsotonicCurve(distances, probabilities, floor):
            return replace(
                curve,
                distances=tuple(round(one, 6) for one in distances),
                probabilities=tuple(round(one, 7) for one in probabilities),
                floor=round(floor, 7),
            )
    return curve
