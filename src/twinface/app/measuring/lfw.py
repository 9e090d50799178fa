"""LFW by its own protocols: View 2 for the figure that is reported, View 1 for development."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twinface.app.measuring.figures import Figures, measure
from twinface.app.measuring.system import System, stacked
from twinface.core.similarity import distances_of_pairs
from twinface.core.types import Acquired
from twinface.datasets.lfw import Lfw
from twinface.datasets.pairs import LfwPair, people_in
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.scores import Scores
from twinface.evaluation.verification import Confusion, FoldedAccuracy, best_threshold, confusion, folded_accuracy

Protocol = Literal["view1", "view2"]
Split = Literal["train", "test"]


@dataclass(frozen=True)
class Options:
    """How LFW is evaluated.

    Attributes:
        protocol: View 1 or View 2.
        split: of View 1, the training or the test pairs.
        refuse_poor: whether faces that `compare` refuses for quality count as failures to acquire.
        allow_leak: whether persons the encoder was trained on may be tested.
    """

    protocol: Protocol = "view2"
    split: Split = "test"
    refuse_poor: bool = False
    allow_leak: bool = False


@dataclass(frozen=True)
class Poor:
    """What the quality check of `compare` would have changed.

    Attributes:
        pictures: faces it refuses.
        pairs: pairs with such a face.
        accuracy: View 2's accuracy with those pairs counted as errors; None for View 1.
    """

    pictures: int
    pairs: int
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class LfwResult:
    """What came out.

    Attributes:
        options: what was asked.
        dataset: the collection and its variant.
        figures: everything that both protocols share.
        folded: View 2's accuracy over the folds; None for View 1.
        at_deployed: View 1 at the threshold of the default operating point; None without one, and for View 2.
        at_best: View 1 at the threshold that is best on DevTrain, and that threshold; None for View 2.
        pairs: the pairs, in the order of `scores`.
        scores: their distances.
        failures: share of pictures that gave no usable template.
        failed_pictures: how many that are.
        pictures: how many there are.
        poor: pictures and pairs whose faces `compare` refuses for quality, and View 2's accuracy with those refused.
        notes: what the reader must know.
        seconds: wall time.
    """

    options: Options
    dataset: str
    figures: Figures
    folded: FoldedAccuracy | None
    at_deployed: tuple[float, Confusion] | None
    at_best: tuple[float, Confusion] | None
    pairs: tuple[LfwPair, ...]
    scores: Scores
    failures: Interval
    failed_pictures: int
    pictures: int
    poor: Poor
    notes: tuple[str, ...]
    seconds: float


def evaluate_lfw(system: System, lfw: Lfw, options: Options) -> LfwResult:
    """Measures a system on LFW.

    Raises:
        DataError: the data are missing or damaged, or their persons were in the encoder's training.
    """
    began = time.perf_counter()
    which = "view2" if options.protocol == "view2" else options.split
    pairs = lfw.pairs(which)
    tuning = lfw.pairs("train") if options.protocol == "view1" and options.split == "test" else []
    notes = [*lfw.notes, *system.check_leak(people_in(pairs), options.allow_leak, lfw.name)]
    acquired = system.acquire(lfw.files, picture_paths(lfw, [*pairs, *tuning]), "central")
    scores = pair_scores(lfw, pairs, acquired, options.refuse_poor)
    paths = sorted(set(picture_paths(lfw, pairs)))
    failed = sum(not acquired[path].usable(options.refuse_poor) for path in paths)
    rule = system.rule
    folded, deployed, best = None, None, None
    if options.protocol == "view2":
        folded = folded_accuracy(scores.distances, scores.mated, [pair.fold for pair in pairs])
    else:
        tuned = pair_scores(lfw, tuning, acquired, options.refuse_poor) if tuning else scores
        valid = ~np.isnan(tuned.distances)
        threshold = best_threshold(tuned.distances[valid].astype(np.float64), tuned.mated[valid])
        best = (threshold, confusion(scores, threshold))
        if not tuning:
            notes.append("the best threshold was chosen on the very pairs it is judged on: too good by a little")
        if rule is not None:
            point = rule.point()
            deployed = (point.threshold, confusion(scores, point.threshold))
            if "DevTrain" in point.dataset and not tuning:
                notes.append(f"the deployed threshold was measured on these pictures ({point.dataset})")
    return LfwResult(
        options, lfw.name, measure(scores, rule), folded, deployed, best, tuple(pairs), scores,
        rate(failed, len(paths)), failed, len(paths), _poor(lfw, pairs, acquired, options), tuple(notes),
        time.perf_counter() - began,
    )  # fmt: skip


def picture_paths(lfw: Lfw, pairs: Sequence[LfwPair]) -> list[str]:
    """Names of the pictures in `lfw.files`, two a pair."""
    return [lfw.path(*picture) for pair in pairs for picture in (pair.first, pair.second)]


def pair_scores(lfw: Lfw, pairs: Sequence[LfwPair], acquired: Mapping[str, Acquired], refuse_poor: bool) -> Scores:
    """Distances of the pairs, in their order; a picture without a usable template makes a failure to acquire.

    Raises:
        DataError: not one picture gave a template.
    """
    paths = sorted(set(picture_paths(lfw, pairs)))
    place = {path: number for number, path in enumerate(paths)}
    person = {name: number for number, name in enumerate(sorted(people_in(pairs)))}
    first, second = (
        np.array([place[lfw.path(*picture)] for picture in side], np.int32)
        for side in ([pair.first for pair in pairs], [pair.second for pair in pairs])
    )
    return Scores(
        distances_of_pairs(stacked(acquired, paths, refuse_poor=refuse_poor), first, second),
        np.array([pair.mated for pair in pairs], np.bool_),
        np.array([(person[pair.first[0]], person[pair.second[0]]) for pair in pairs], np.int32),
    )


def _poor(lfw: Lfw, pairs: Sequence[LfwPair], acquired: Mapping[str, Acquired], options: Options) -> Poor:
    strict = pair_scores(lfw, pairs, acquired, True)
    pictures = sum(bool(acquired[path].reasons) for path in set(picture_paths(lfw, pairs)))
    accuracy = None
    if options.protocol == "view2":
        accuracy = folded_accuracy(strict.distances, strict.mated, [pair.fold for pair in pairs]).mean
    return Poor(pictures, strict.failures, accuracy)
