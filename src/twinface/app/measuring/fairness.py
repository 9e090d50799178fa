"""False matches and false non-matches within groups of people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twinface.app.measuring.system import System, stacked
from twinface.core.decision import OperatingPoint
from twinface.datasets.photos import Photo, PhotoSet
from twinface.errors import DataError, ModelNotFound
from twinface.evaluation.fairness import (
    Differential,
    crossed,
    false_match_differential,
    false_non_match_differential,
)
from twinface.evaluation.intervals import Interval, rate

ADULT = 20
"""Youngest age, years, that counts where groups are not made by age: children's faces are a matter of their own."""

CROSS = "+"
"""Between the names of two groupings that are to be crossed."""


@dataclass(frozen=True)
class Options:
    """How groups are compared.

    Attributes:
        by: groupings, as the data name them; two with a plus between are crossed; None for all there are.
        fmr: the operating point; None for the default one.
        refuse_poor: whether faces that `compare` refuses for quality count as failures to acquire.
        allow_leak: whether persons the encoder was trained on may be tested.
    """

    by: tuple[str, ...] | None = None
    fmr: float | None = None
    refuse_poor: bool = False
    allow_leak: bool = False


@dataclass(frozen=True, eq=False)
class Grouping:
    """One way to part the people.

    Attributes:
        name: for instance "race".
        matches: FMR within each group.
        non_matches: FNMR of each group; None where nobody in a group has two pictures.
    """

    name: str
    matches: Differential
    non_matches: Differential | None


@dataclass(frozen=True, eq=False)
class FairnessResult:
    """What came out.

    Attributes:
        dataset: name of the pictures' collection.
        point: the operating point the rates are of.
        groupings: one for each way to part the people.
        ungrouped: FNMR of those in no group, where they have several pictures; None without such.
        failures: share of pictures that gave no usable template.
        failed_pictures: how many that are.
        pictures: how many there are.
        notes: what the reader must know.
        seconds: wall time.
    """

    dataset: str
    point: OperatingPoint
    groupings: tuple[Grouping, ...]
    ungrouped: Differential | None
    failures: Interval
    failed_pictures: int
    pictures: int
    notes: tuple[str, ...]
    seconds: float


def evaluate_fairness(system: System, photos: PhotoSet, options: Options) -> FairnessResult:
    """Measures how error rates differ between groups.

    Raises:
        DataError: no such grouping, or persons of the encoder's training.
        ModelNotFound: the encoder has no operating points.
    """
    began = time.perf_counter()
    if system.rule is None:
        raise ModelNotFound(
            f"{system.encoder.name}: has no operating points to compare groups at; calibrate it first (twinface "
            "calibrate) and give the file with --calibration"
        )
    point = system.rule.point(options.fmr)
    ways = _ways(photos, options.by)
    notes = [*photos.notes, *system.check_leak({photo.subject for photo in photos.photos}, options.allow_leak)]
    minors = sum(photo.years is not None and photo.years < ADULT for photo in photos.photos)
    if minors:
        notes.append(
            f"groupings other than by age are of adults ({ADULT} and older): {minors:,} pictures left out there"
        )
    paths = [photo.path for photo in photos.photos]
    acquired = system.acquire(photos.files, paths, "largest")
    templates = stacked(acquired, paths, refuse_poor=options.refuse_poor)
    _, subjects = np.unique([photo.subject for photo in photos.photos], return_inverse=True)
    several = np.bincount(subjects)[subjects] > 1
    groupings = []
    for way in ways:
        labels = crossed(*([_label(photo, name, way) for photo in photos.photos] for name in way.split(CROSS)))
        matches = false_match_differential(templates, subjects, labels, point.threshold)
        mated = bool((several & (labels != "")).any())
        missed = false_non_match_differential(templates, subjects, labels, point.threshold) if mated else None
        groupings.append(Grouping(way, matches, missed))
    rest = np.array(["" if photo.groups else "all" for photo in photos.photos])
    ungrouped = None
    if (several & (rest != "")).any():
        ungrouped = false_non_match_differential(templates, subjects, rest, point.threshold)
    failed = sum(not acquired[path].usable(options.refuse_poor) for path in paths)
    return FairnessResult(
        photos.name, point, tuple(groupings), ungrouped, rate(failed, len(paths)), failed, len(paths), tuple(notes),
        time.perf_counter() - began,
    )  # fmt: skip


def _ways(photos: PhotoSet, asked: Sequence[str] | None) -> Sequence[str]:
    """The groupings asked for, or all there are."""
    there = list(dict.fromkeys(name for photo in photos.photos for name in photo.groups))
    if not there:
        raise DataError(f"{photos.name}: its pictures belong to no groups; give UTKFace's names or a CSV with columns")
    if asked is None:
        return [*there, *([f"race{CROSS}gender"] if {"race", "gender"} <= set(there) else [])]
    for way in asked:
        unknown = [name for name in way.split(CROSS) if name not in there]
        if unknown:
            raise DataError(f"{photos.name}: no grouping by {unknown[0]!r}; there are {', '.join(there)}")
    return asked


def _label(photo: Photo, name: str, way: str) -> str:
    """The photo's group, empty where it has none; children have one only where age is asked for."""
    if "age" not in way.split(CROSS) and photo.years is not None and photo.years < ADULT:
        return ""
    return photo.groups.get(name, "")
