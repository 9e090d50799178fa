"""A user's own people: all pairs of a folder-per-person, and what so many pairs can and cannot tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.app.measuring.figures import FEW_SUBJECTS, Figures, measure
from twinface.app.measuring.system import System, numbered, stacked
from twinface.core.calibration import ENOUGH, Threshold, couples, is_tellable, threshold_at
from twinface.core.files import shown
from twinface.core.rates import rounded_up, scientific
from twinface.datasets.photos import PhotoSet
from twinface.errors import DataError
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.pairing import Pairing, all_pairs

FEW_MATED = 100
"""Below so many mated pairs, the FNMR is hardly known."""

TWINS = 0.05
"""Two pictures nearer than this are as good as certainly one picture."""


@dataclass(frozen=True)
class Options:
    """How a folder is evaluated.

    Attributes:
        fmr: a threshold is suggested for this; None for the default of the system's rule, or 1e-3.
        refuse_poor: whether faces that `compare` refuses for quality count as failures to acquire.
        allow_leak: whether persons the encoder was trained on may be tested.
        unseen: whether such persons are left out.
    """

    fmr: float | None = None
    refuse_poor: bool = False
    allow_leak: bool = False
    unseen: bool = False

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
    if options.unseen:
        photos = system.unseen(photos)
    names, subjects = numbered(photos)
    notes = [*photos.notes, *system.check_leak(names, options.allow_leak, photos.name)]
    paths = tuple(photo.path for photo in photos.photos)
    if len(paths) < 2:
        raise DataError(f"{photos.name}: {_counted(len(paths), 'picture')} in all; there is nothing to compare")
    acquired = system.acquire(photos.files, paths, "largest")
    pairing = all_pairs(stacked(acquired, paths, refuse_poor=options.refuse_poor), subjects)
    figures = measure(pairing.scores, system.rule)
    failed = tuple(
        (path, ", ".join(acquired[path].reasons)) for path in paths if not acquired[path].usable(options.refuse_poor)
    )
    wanted = options.fmr or (system.rule.default_fmr if system.rule else 1e-3)
    told = _couples_told(pairing, figures)
    suggestion = _suggest(pairing, wanted, told)
    return FolderResult(
        dataset=photos.name,
        figures=figures,
        fmr=wanted,
        suggestion=suggestion,
        failures=rate(len(failed), len(paths)),
        failed=failed,
        paths=paths,
        pairing=pairing,
        warnings=(*_scarcity(figures, pairing, subjects, wanted, suggestion, told), *_twins(pairing, paths)),
        notes=tuple(notes),
        seconds=time.perf_counter() - began,
    )


def _couples_told(pairing: Pairing, figures: Figures) -> int:
    """Couples of persons with a distance: all of them, where every picture gave a template."""
    if not figures.failed_pairs:
        return figures.couples
    return len(couples(pairing.scores.subjects[_told(pairing)])[0])


def _told(pairing: Pairing) -> NDArray[np.bool_]:
    """Which pairs are non-mated and have a distance."""
    told: NDArray[np.bool_] = ~pairing.scores.mated & ~np.isnan(pairing.scores.distances)
    return told


def _suggest(pairing: Pairing, fmr: float, couple_count: int) -> Threshold | None:
    if not is_tellable(fmr, couple_count):
        return None
    scores, usable = pairing.scores, _told(pairing)
    try:
        return threshold_at(scores.distances[usable], scores.subjects[usable], fmr)
    except ValueError:  # identical pictures in two persons' folders, of which a warning tells
        return None


def _scarcity(
    figures: Figures,
    pairing: Pairing,
    subjects: NDArray[np.int32],
    fmr: float,
    suggestion: Threshold | None,
    told: int,
) -> list[str]:
    """What these pairs are too few for; `told` couples of persons have a distance."""
    warnings = []
    alone = int((np.bincount(subjects) == 1).sum())
    if figures.subjects < FEW_SUBJECTS:
        warnings.append(
            f"only {_counted(figures.subjects, 'person')}: the figures tell of them, hardly of people at large"
        )
    if not figures.mated:
        warnings.append("nobody has two pictures: there are no mated pairs, so nothing is known of the FNMR")
    elif figures.mated < FEW_MATED:
        warnings.append(f"only {_counted(figures.mated, 'mated pair')}: the FNMR is hardly known")
    if alone and figures.mated:
        warnings.append(f"persons with one picture only, who take part in non-mated pairs alone: {alone:,}")
    if not figures.non_mated:
        warnings.append("there is one person only: no non-mated pairs, so nothing is known of the FMR")
    elif suggestion is None and not is_tellable(fmr, told):
        offer = rounded_up(ENOUGH / max(1, told))
        words = f", or ask for --fmr {scientific(offer)}" if offer <= 0.1 else ""
        warnings.append(
            f"no threshold can be suggested for FMR {scientific(fmr)}: it takes {ENOUGH / fmr:,.0f} couples of "
            f"different persons with templates, here are {told:,}; keep the model's own operating point{words}"
        )
    elif suggestion is None:
        warnings.append(
            f"no threshold can be suggested for FMR {scientific(fmr)}: more pairs than that are of one picture in two "
            "persons' folders"
        )
    if pairing.non_mated_total > figures.non_mated:
        warnings.append(
            f"{pairing.non_mated_total:,} non-mated pairs are too many: a random {figures.non_mated:,} were taken"
        )
    perfect = [
        (point.target, point.fmr.high) for point in figures.deployed if point.fmr is not None and point.fmr.value == 0
    ]
    for target, bound in perfect[:1]:  # the loosest; what holds there holds for the stricter ones
        warnings.append(
            f"no false match between {figures.couples:,} couples of persons at the threshold for FMR "
            f"{scientific(target)}{' and stricter ones' if len(perfect) > 1 else ''}: that bounds the rate at "
            f"{scientific(bound)} (3 / couples), it does not show it to be zero"
        )
    return warnings


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _twins(pairing: Pairing, paths: tuple[str, ...]) -> list[str]:
    """Pictures that are all but equal: of two persons, most likely one is in the wrong folder; of one, a copy."""
    scores = pairing.scores
    near = scores.distances < TWINS  # false for NaN
    strangers, copies = np.flatnonzero(near & ~scores.mated), np.flatnonzero(near & scores.mated)
    few = [(paths[pairing.first[one]], paths[pairing.second[one]]) for one in strangers[:3]]
    warnings = twin_warning(few, strangers.size)
    if copies.size:
        one, other = paths[pairing.first[copies[0]]], paths[pairing.second[copies[0]]]
        warnings.append(
            f"{_counted(copies.size, 'mated pair')} of what looks like one picture twice, such as {shown(one)} and "
            f"{shown(other)}: the FNMR is flattered by that"
        )
    return warnings


def twin_warning(few: Sequence[tuple[str, str]], count: int) -> list[str]:
    """What is said of pictures that two persons share.

    Args:
        few: the first of those pairs.
        count: how many there are.
    """
    if not few:
        return []
    pairs = "; ".join(f"{shown(one)} and {shown(other)}" for one, other in few)
    more = f" and {count - len(few):,} pairs more" if count > len(few) else ""
    return [f"one picture of two persons? {pairs}{more}: mend it, these count as non-mated"]
