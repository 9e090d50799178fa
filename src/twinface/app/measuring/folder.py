"""A user's own people: all pairs of a folder-per-person, and what so many pairs can and cannot tell."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from twinface.app.measuring.figures import Figures, measure
from twinface.app.measuring.system import System, stacked
from twinface.core.calibration import Threshold, threshold_at
from twinface.core.wording import scientific
from twinface.datasets.photos import PhotoSet
from twinface.errors import DataError
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.pairing import Pairing, all_pairs

FEW_SUBJECTS = 30
"""Below so many persons, figures tell of these persons, not of people."""

FEW_MATED = 100
"""Below so many mated pairs, the FNMR is hardly known."""

PAIRS_FOR_A_RATE = 10
"""Non-mated pairs that should lie beyond a threshold before it is suggested."""

TWINS = 0.05
"""Two pictures nearer than this are as good as certainly one picture."""


@dataclass(frozen=True)
class Options:
    """How a folder is evaluated.

    Attributes:
        fmr: a threshold is suggested for this; None for the default of the system's rule, or 1e-3.
        refuse_poor: whether faces that `compare` refuses for quality count as failures to acquire.
        allow_leak: whether persons the encoder was trained on may be tested.
    """

    fmr: float | None = None
    refuse_poor: bool = False
    allow_leak: bool = False

    def __post_init__(self) -> None:
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise DataError(f"--fmr must lie between 0 and 1, got {self.fmr:g}")


@dataclass(frozen=True, eq=False)
class FolderResult:
    """What came out.

    Attributes:
        dataset: name of the folder.
        figures: the figures of verification.
        fmr: the FMR a threshold was wanted for.
        suggestion: that threshold; None where the pairs are too few to place it.
        failures: share of pictures that gave no usable template.
        failed: those pictures, with the reasons.
        paths: all pictures, in the order `pairing` counts them.
        pairing: the pairs.
        warnings: where the data are too few or look wrong.
        notes: what else the reader must know.
        seconds: wall time.
    """

    dataset: str
    figures: Figures
    fmr: float
    suggestion: Threshold | None
    failures: Interval
    failed: tuple[tuple[str, str], ...]
    paths: tuple[str, ...]
    pairing: Pairing
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def evaluate_folder(system: System, photos: PhotoSet, options: Options) -> FolderResult:
    """Measures a system on a user's own people.

    Raises:
        DataError: there is nothing to compare, or the persons were in the encoder's training.
    """
    began = time.perf_counter()
    names = sorted({photo.subject for photo in photos.photos})
    notes = [*photos.notes, *system.check_leak(names, options.allow_leak)]
    paths = tuple(photo.path for photo in photos.photos)
    if len(paths) < 2:
        raise DataError(f"{photos.name}: {len(paths)} picture in all; there is nothing to compare")
    acquired = system.acquire(photos.files, paths, "largest")
    number = {name: place for place, name in enumerate(names)}
    subjects = np.array([number[photo.subject] for photo in photos.photos], np.int32)
    pairing = all_pairs(stacked(acquired, paths, refuse_poor=options.refuse_poor), subjects)
    figures = measure(pairing.scores, system.rule)
    failed = tuple(
        (path, ", ".join(acquired[path].reasons)) for path in paths if not acquired[path].usable(options.refuse_poor)
    )
    wanted = options.fmr or (system.rule.default_fmr if system.rule else 1e-3)
    suggestion = _suggest(pairing, wanted)
    return FolderResult(
        dataset=photos.name,
        figures=figures,
        fmr=wanted,
        suggestion=suggestion,
        failures=rate(len(failed), len(paths)),
        failed=failed,
        paths=paths,
        pairing=pairing,
        warnings=(*_scarcity(figures, pairing, subjects, wanted, suggestion), *_twins(pairing, paths)),
        notes=tuple(notes),
        seconds=time.perf_counter() - began,
    )


def _suggest(pairing: Pairing, fmr: float) -> Threshold | None:
    scores = pairing.scores
    usable = ~scores.mated & ~np.isnan(scores.distances)
    if usable.sum() * fmr < PAIRS_FOR_A_RATE:
        return None
    return threshold_at(scores.distances[usable], scores.subjects[usable], fmr)


def _scarcity(
    figures: Figures, pairing: Pairing, subjects: np.ndarray, fmr: float, suggestion: Threshold | None
) -> list[str]:
    """What these pairs are too few for."""
    warnings = []
    alone = int((np.bincount(subjects) == 1).sum())
    if figures.subjects < FEW_SUBJECTS:
        warnings.append(f"only {figures.subjects} persons: the figures tell of them, hardly of people at large")
    if not figures.mated:
        warnings.append("nobody has two pictures: there are no mated pairs, so nothing is known of the FNMR")
    elif figures.mated < FEW_MATED:
        warnings.append(f"only {figures.mated} mated pairs: the FNMR is hardly known")
    if alone and figures.mated:
        warnings.append(f"{alone} persons have one picture only and take part in non-mated pairs alone")
    if not figures.non_mated:
        warnings.append("there is one person only: no non-mated pairs, so nothing is known of the FMR")
    elif suggestion is None:
        warnings.append(
            f"no threshold can be suggested for FMR {scientific(fmr)}: it takes {PAIRS_FOR_A_RATE / fmr:,.0f} "
            f"non-mated pairs, here are {figures.non_mated:,}; keep the model's own operating point, "
            f"or ask for --fmr {scientific(min(0.5, _rounded_up(PAIRS_FOR_A_RATE / figures.non_mated)))}"
        )
    if pairing.non_mated_total > figures.non_mated:
        warnings.append(
            f"{pairing.non_mated_total:,} non-mated pairs are too many: a random {figures.non_mated:,} were taken"
        )
    for point in figures.deployed:
        if point.fmr is not None and point.fmr.value == 0:
            warnings.append(
                f"no false match in {figures.non_mated:,} pairs at the threshold for FMR {scientific(point.target)}: "
                f"that bounds the rate at {scientific(point.fmr.high)} (3 / pairs), it does not show it to be zero"
            )
    return warnings


def _rounded_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


def _twins(pairing: Pairing, paths: tuple[str, ...]) -> list[str]:
    """Pictures of two persons that are all but equal: most likely one is in the wrong folder."""
    scores = pairing.scores
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero(~scores.mated & (scores.distances < TWINS))
    pairs = [f"{paths[pairing.first[one]]} and {paths[pairing.second[one]]}" for one in near[:3]]
    if not pairs:
        return []
    more = f" and {near.size - 3} pairs more" if near.size > 3 else ""
    return [f"one picture in the folders of two persons? {'; '.join(pairs)}{more}: mend it, these count as non-mated"]
