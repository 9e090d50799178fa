"""Open-set identification: whether a person is in the gallery, and who it is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from twinface.app.measuring.system import System, numbered, stacked
from twinface.core.decision import DecisionRule
from twinface.core.identification import identification_point
from twinface.datasets.photos import PhotoSet
from twinface.errors import DataError, GalleryError
from twinface.evaluation.identification import OpenSet, open_set
from twinface.evaluation.intervals import Interval, rate
from twinface.services.embedding import Choice

GALLERIES = (100, 1_000, 5_000)
"""Gallery sizes reported where the data allow."""


PROBES = 10_000
"""Mated probes wanted over all random galleries of one size."""


@dataclass(frozen=True)
class Options:
    """How identification is evaluated.

    Attributes:
        galleries: numbers of enrolled persons; None for those of GALLERIES that the data allow.
        fpir: target false positive identification rate.
        draws: how often a gallery is drawn at random; None for ten times, and more often the smaller it is.
        refuse_poor: whether faces that `compare` refuses for quality count as failures to acquire.
        allow_leak: whether persons the encoder was trained on may be tested.
        unseen: whether such persons are left out.
    """

    galleries: tuple[int, ...] | None = None
    fpir: float = 0.01
    draws: int | None = None
    refuse_poor: bool = False
    allow_leak: bool = False
    unseen: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fpir < 1:
            raise DataError(f"--fpir must lie between 0 and 1, got {self.fpir:g}")
        if self.galleries is not None and min(self.galleries, default=0) < 1:
            raise DataError("--gallery must be 1 or more")


@dataclass(frozen=True, eq=False)
class IdentifyResult:
    """What came out.

    Attributes:
        dataset: name of the pictures' collection.
        sets: one for every gallery size.
        subjects: persons in all.
        failures: share of pictures that gave no usable template.
        failed_pictures: how many that are.
        pictures: how many there are.
        notes: what the reader must know.
        seconds: wall time.
    """

    dataset: str
    sets: tuple[OpenSet, ...]
    subjects: int
    failures: Interval
    failed_pictures: int
    pictures: int
    notes: tuple[str, ...]
    seconds: float


def evaluate_identify(system: System, photos: PhotoSet, choice: Choice, options: Options) -> IdentifyResult:
    """Measures open-set identification.

    Raises:
        DataError: too few persons for the galleries, or persons of the encoder's training.
    """
    began = time.perf_counter()
    if options.unseen:
        photos = system.unseen(photos)
    names, subjects = numbered(photos)
    notes = [*photos.notes, *system.check_leak(names, options.allow_leak, photos.name)]
    galleries = _galleries(options, len(names), photos.name, notes)
    paths = [photo.path for photo in photos.photos]
    acquired = system.acquire(photos.files, paths, choice)
    templates = stacked(acquired, paths, refuse_poor=options.refuse_poor)
    sets = []
    for size in galleries:
        try:
            sets.append(
                open_set(
                    templates,
                    subjects,
                    size,
                    fpir=options.fpir,
                    draws=options.draws or max(10, PROBES // size),
                    fixed=None if system.rule is None else _threshold(system.rule, size, options.fpir),
                )
            )
        except ValueError as error:
            raise DataError(f"{photos.name}: a gallery of {size:,} cannot be measured ({error})") from error
    failed = sum(not acquired[path].usable(options.refuse_poor) for path in paths)
    return IdentifyResult(
        photos.name, tuple(sets), len(names), rate(failed, len(paths)), failed, len(paths), tuple(notes),
        time.perf_counter() - began,
    )  # fmt: skip


def _threshold(rule: DecisionRule, size: int, fpir: float) -> float | None:
    """What `twinface identify` names people by in such a gallery; None where the rule cannot tell."""
    try:
        return identification_point(rule, size, fpir).threshold
    except GalleryError:
        return None


def _galleries(options: Options, persons: int, name: str, notes: list[str]) -> Sequence[int]:
    """The sizes asked for, or the usual ones; enough people must stay outside to count false positives among."""
    if options.galleries is not None:
        return options.galleries
    outside = math.ceil(1 / options.fpir - 1e-9)
    fitting = [size for size in GALLERIES if size + outside <= persons]
    left_out = [f"{size:,}" for size in GALLERIES if size not in fitting]
    if left_out:
        notes.append(
            f"galleries of {', '.join(left_out)} need more than these {persons:,} persons, {outside} of them outside"
        )
    if not fitting and persons <= outside:
        raise DataError(
            f"{name}: {persons} persons are too few to tell FPIR {options.fpir:g}, it takes {outside} outside the "
            "gallery; ask for a larger --fpir"
        )
    return fitting or [persons - outside]
