"""TwinFace beside other libraries on LFW's View 2: the same pictures, one run, each system in processes of its own."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from twinface.app.benchmarking.contenders import Entrant
from twinface.app.benchmarking.timing import Cost, race
from twinface.app.benchmarking.trial import Trial
from twinface.app.cache import open_cache
from twinface.app.machine import cores
from twinface.app.measuring.figures import Figures, measure
from twinface.app.measuring.lfw import pair_scores, picture_paths
from twinface.app.measuring.system import Progress
from twinface.app.wiring import names_own_file
from twinface.core.provenance import shared_subjects
from twinface.core.types import Acquired
from twinface.datasets.lfw import Lfw
from twinface.datasets.pairs import LfwPair, people_in
from twinface.errors import DatasetCorrupt
from twinface.evaluation.bootstrap import Difference, paired_difference
from twinface.evaluation.verification import FoldedAccuracy, folded_accuracy
from twinface.models.registry import find

Item = TypeVar("Item")

CHUNK = 16
"""Pictures that go to a process at a time."""

MOST_WORKERS = 8
"""Processes that make templates side by side; each holds a whole library."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        pairs: so many of View 2's pairs, evenly from every fold and kind; None for all.
        pictures: that are timed.
        rounds: how often each system goes over them.
        threads: within each system, when it is timed.
        cached: whether templates are looked up and kept in the user's cache; speed is always measured anew.
    """

    pairs: int | None = None
    pictures: int = 60
    rounds: int = 5
    threads: int = 1
    cached: bool = True


QUICK = Plan(pairs=600, pictures=24, rounds=3)
"""About a tenth of the work."""


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How often a system is right.

    Attributes:
        folded: over the folds; None where failures leave some folds without a threshold.
        figures: AUC, EER and TAR; None where no picture gave a template.
        right: by pair, whether it was judged rightly; None like `folded`.
        difference: to the reference on the same pairs; None for the reference itself, or without `right`.
        failures: pictures in which no face was found.
        failed_pairs: pairs with such a picture.
    """

    folded: FoldedAccuracy | None
    figures: Figures | None
    right: NDArray[np.bool_] | None
    difference: Difference | None
    failures: int
    failed_pairs: int

    @property
    def where_acquired(self) -> float | None:
        """Share of the pairs judged rightly, those without a template left out; None like `folded`."""
        if self.right is None:
            return None
        return float(self.right.sum() / (self.right.size - self.failed_pairs))


@dataclass(frozen=True, eq=False)
class Line:
    """What is known of one system.

    Attributes:
        name: of the system.
        detail: what it consists of.
        missing: what to do to have it measured; None where it was.
        accuracy: None where it is missing.
        cost: likewise.
    """

    name: str
    detail: str
    missing: str | None = None
    accuracy: Accuracy | None = None
    cost: Cost | None = None


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The whole table.

    Attributes:
        dataset: the collection and its variant.
        plan: how much was measured.
        pairs: how many.
        pictures: how many they show.
        timed: pictures that were timed.
        lines: the systems; the first is the reference of the differences.
        notes: what the reader must know.
        seconds: wall time of it all.
    """

    dataset: str
    plan: Plan
    pairs: int
    pictures: int
    timed: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    seconds: float


def benchmark(lfw: Lfw, entrants: Sequence[Entrant], plan: Plan, progress: Progress) -> Benchmark:
    """Measures all systems: first how accurate they are, then, with nothing else at work, how fast.

    Args:
        lfw: the pictures and pairs.
        entrants: the systems; the first is the reference.
        plan: how much.
        progress: shows how far the work is.

    Raises:
        DataError: the data are missing or damaged.
        TwinFaceError: a system cannot be loaded, or its process died.
        OutputError: the template cache cannot be used.
    """
    began = time.perf_counter()
    lines = []
    for entrant in entrants:  # whatever cannot be loaded shows now, not after the work of the others
        missing = entrant.missing()
        if missing is not None:
            lines.append(Line(entrant.name, "", missing))
            continue
        with Trial(entrant, threads=1, cached=False) as trial:
            lines.append(Line(trial.name, trial.detail))
    if plan.cached and (cache := open_cache()) is not None:
        cache.close()  # likewise
    pairs = lfw.pairs("view2")
    if plan.pairs is not None:
        pairs = spread_out(pairs, plan.pairs)
    paths = sorted(set(picture_paths(lfw, pairs)))
    contents = dict(lfw.files.read(paths))
    everywhere = set(paths)
    present = [place for place, line in enumerate(lines) if line.missing is None]
    reference = None
    for place in present:
        with progress(f"{lines[place].name} {lines[place].detail}", len(paths)) as advance:
            acquired = acquire(entrants[place], contents, plan.cached, advance)
        everywhere -= {path for path, one in acquired.items() if one.vector is None}
        accuracy = judge(lfw, pairs, acquired, reference)
        if place == 0 and plan.pairs is None:  # few pairs choose thresholds too badly to tell systems apart
            reference = accuracy.right
        lines[place] = replace(lines[place], accuracy=accuracy)
    timed = evenly(sorted(everywhere) or paths, plan.pictures)
    costs = race(
        [entrants[place] for place in present],
        [contents[path] for path in timed],
        progress,
        rounds=plan.rounds,
        threads=plan.threads,
    )
    for place, cost in zip(present, costs, strict=True):
        lines[place] = replace(lines[place], cost=cost)
    notes = (*leaks([entrants[place] for place in present], people_in(pairs)), *lfw.notes)
    return Benchmark(
        lfw.name, plan, len(pairs), len(paths), len(timed), tuple(lines), notes, time.perf_counter() - began
    )


def leaks(entrants: Sequence[Entrant], tested: Collection[str]) -> list[str]:
    """Which encoders are known to have been trained on persons of the test; told, not refused, as all stand in line."""
    found = []
    for model in dict.fromkeys(one.model for one in entrants if one.kind == "twinface"):
        training = None if names_own_file(model) else find(model).training()
        seen = shared_subjects(training or (), tested)
        if seen:
            found.append(
                f"LEAK: {model} was trained on {len(seen)} of the {len(tested)} persons tested; its figures flatter it."
            )
    return found


def spread_out(pairs: Sequence[LfwPair], count: int) -> list[LfwPair]:
    """About so many of the pairs, at least two of them from every fold and kind, evenly from the list."""
    groups: dict[tuple[int, bool], list[LfwPair]] = {}
    for pair in pairs:
        groups.setdefault((pair.fold, pair.mated), []).append(pair)
    each = max(2, count // len(groups)) if groups else 0
    return [pair for group in groups.values() for pair in evenly(group, each)]


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most so many of the items, evenly from the first on."""
    return [items[place * len(items) // count] for place in range(count)] if count < len(items) else list(items)


def acquire(
    entrant: Entrant, contents: Mapping[str, bytes], cached: bool, advance: Callable[[], object]
) -> dict[str, Acquired]:
    """What each picture gives, by its name; as many processes at work as there are processors, one thread each."""
    paths = list(contents)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    workers = max(1, min(cores(), MOST_WORKERS, len(chunks)))
    idle: queue.SimpleQueue[Trial] = queue.SimpleQueue()

    def work(chunk: list[str]) -> list[Acquired]:
        trial = idle.get()
        try:
            return trial.acquire([contents[path] for path in chunk])
        finally:
            idle.put(trial)

    found: dict[str, Acquired] = {}
    with ExitStack() as stack:
        for _ in range(workers):
            idle.put(stack.enter_context(Trial(entrant, threads=1, cached=cached)))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for chunk, rows in zip(chunks, pool.map(work, chunks), strict=True):
            for path, row in zip(chunk, rows, strict=True):
                found[path] = row
                advance()
    return found


def judge(
    lfw: Lfw, pairs: Sequence[LfwPair], acquired: Mapping[str, Acquired], reference: NDArray[np.bool_] | None
) -> Accuracy:
    """How often a system is right, and how much more often than the reference.

    Faces count whatever their quality: no two libraries would refuse the same ones.

    Raises:
        DatasetCorrupt: the pair list has one fold only, so that no threshold can be chosen on others.
    """
    folds = np.array([pair.fold for pair in pairs])
    if np.unique(folds).size < 2:
        raise DatasetCorrupt("pairs.txt: has one fold, accuracy over folds needs at least two; take the list of View 2")
    failures = sum(one.vector is None for one in acquired.values())
    if failures == len(acquired):
        return Accuracy(None, None, None, None, failures, len(pairs))
    scores = pair_scores(lfw, pairs, acquired, refuse_poor=False)
    figures = measure(scores, None)
    found = ~np.isnan(scores.distances)
    if not all(found[folds != fold].any() for fold in np.unique(folds)):
        return Accuracy(None, figures, None, None, failures, scores.failures)
    folded = folded_accuracy(scores.distances, scores.mated, folds)
    threshold = np.array(folded.thresholds)[np.searchsorted(np.unique(folds), folds)]
    right = ((scores.distances.astype(np.float64) <= threshold) == scores.mated) & found
    difference = None if reference is None else paired_difference(right, reference, scores.subjects)
    return Accuracy(folded, figures, right, difference, failures, scores.failures)
