"""False matches and false non-matches within groups of people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.app.measuring.folder import TWINS, twin_warning
from twinface.app.measuring.system import System, numbered, stacked
from twinface.core.decision import OperatingPoint
from twinface.core.files import shown
from twinface.datasets.photos import Photo, PhotoSet
from twinface.errors import DataError, ModelNotFound
from twinface.evaluation.fairness import (
    Differential,
    crossed,
    false_match_differential,
    false_non_match_differential,
)
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.subject_pairs import nearer_than

ADULT = 20
"""Youngest age, years, that counts where groups are not made by age: children's faces are a matter of their own."""

RESERVED = "about"
"""No grouping's name: what the groupings share stands under it in JSON."""

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
        unseen: whether such persons are left out.
    """

    by: tuple[str, ...] | None = None
    fmr: float | None = None
    refuse_poor: bool = False
    allow_leak: bool = False
    unseen: bool = False


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
    if options.unseen:
        photos = system.unseen(photos)
    if system.rule is None:
        raise ModelNotFound(
            f"{system.encoder.name}: has no operating points to compare groups at; calibrate it first (twinface "
            "calibrate) and give the file with --calibration"
        )
    point = system.rule.point(options.fmr)
    there = list(dict.fromkeys(name for photo in photos.photos for name in photo.groups))
    ways = _ways(photos, there, options.by)
    people, subjects = numbered(photos)
    notes = [*photos.notes, *system.check_leak(people, options.allow_leak, photos.name)]
    minors = sum(photo.years is not None and photo.years < ADULT for photo in photos.photos)
    if minors:
        notes.append(
            f"groupings other than by age are of adults ({ADULT} and older): {minors:,} pictures left out there"
        )
    paths = [photo.path for photo in photos.photos]
    acquired = system.acquire(photos.files, paths, "largest")
    templates = stacked(acquired, paths, refuse_poor=options.refuse_poor)
    several = np.bincount(subjects)[subjects] > 1
    notes += _shared_pictures(templates, subjects, paths)
    notes += _several_groups(photos, there)
    groupings = []
    for way in ways:
        names = way.split(CROSS) if way not in there else [way]
        labels = crossed(*([_label(photo, name, names) for photo in photos.photos] for name in names))
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


def _shared_pictures(templates: NDArray[np.float32], subjects: NDArray[np.integer], paths: Sequence[str]) -> list[str]:
    """Persons who occur under two names make the FMR look larger than it is, most where it is small."""
    near = nearer_than(templates, subjects, TWINS)
    return twin_warning([(paths[one], paths[other]) for one, other, _ in near[:3]], len(near))


def _several_groups(photos: PhotoSet, kinds: Sequence[str]) -> list[str]:
    """Persons whose pictures are in several groups of a kind count in each: by age that may be, else it is a slip."""
    notes = []
    for kind in kinds:
        groups: dict[str, set[str]] = {}
        for photo in photos.photos:
            if kind in photo.groups:
                groups.setdefault(photo.subject, set()).add(photo.groups[kind])
        mixed = sorted(subject for subject, found in groups.items() if len(found) > 1)
        if mixed:
            notes.append(f"{len(mixed):,} persons are in several groups by {kind}, such as {shown(mixed[0])}")
    return notes


def _ways(photos: PhotoSet, there: Sequence[str], asked: Sequence[str] | None) -> Sequence[str]:
    """The groupings asked for, or all there are."""
    if not there:
        raise DataError(f"{photos.name}: its pictures belong to no groups; give UTKFace's names or a CSV with columns")
    if RESERVED in there:
        raise DataError(f"{photos.name}: a column cannot be called {RESERVED}, the JSON has that word; rename it")
    if asked is None:
        return [*there, *([f"race{CROSS}gender"] if {"race", "gender"} <= set(there) else [])]
    for way in asked:
        names = way.split(CROSS)
        if len(set(names)) < len(names):
            raise DataError(f"--by {way}: crosses a grouping with itself; name two")
        unknown = [] if way in there else [name for name in names if name not in there]
        if unknown:
            raise DataError(f"{photos.name}: no grouping by {unknown[0]!r}; there are {', '.join(there)}")
    return asked


def _label(photo: Photo, name: str, names: Sequence[str]) -> str:
    """The photo's group, empty where it has none; children have one only where age is among the groupings asked for."""
    if "age" not in names and photo.years is not None and photo.years < ADULT:
        return ""
    return photo.groups.get(name, "")
