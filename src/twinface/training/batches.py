"""Which pictures make up each batch.

A batch is drawn from the recipe, the number of its step and, where neighbours are asked for, the memory bank: the same
three give the same batch, so that a run can be taken up again anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twinface.errors import RecipeError
from twinface.training.mining import MemoryBank
from twinface.training.recipe import BatchPart
from twinface.training.roster import Roster, Rows

PAIRS, ROWS = 11, 12
"""What a random stream is for; the seed and the step or epoch complete its name."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The pictures of one step.

    Attributes:
        places: in the roster, (B,).
        parts: which part of the recipe's batch brought each, (B,).
        pairs: positions in the batch of each pair, (P, 2); None where all pairs count.
        mated: of each pair, (P,).
    """

    places: Rows
    parts: Rows
    pairs: Rows | None = None
    mated: NDArray[np.bool_] | None = None


class BatchMaker:
    """Draws batches.

    Args:
        roster: whom to draw from.
        parts: what a batch consists of.
        seed: of the run.
        bank: for parts of the kind "neighbours".

    Raises:
        RecipeError: a part cannot be filled from this roster.
    """

    def __init__(self, roster: Roster, parts: Sequence[BatchPart], seed: int, bank: MemoryBank | None = None) -> None:
        self._roster, self._parts, self._seed, self._bank = roster, tuple(parts), seed, bank
        self._epoch: tuple[int, _Pairs] | None = None
        self._places = [roster.within(part.sources, part.groups) for part in parts]
        self._albums: list[list[Rows]] = []
        for number, (part, places) in enumerate(zip(parts, self._places, strict=True)):
            self._albums.append(roster.albums(places, part.pictures) if part.kind == "per-class" else [])
            self._check(number, part, places, self._albums[-1])

    @property
    def is_mined(self) -> bool:
        """Whether batches depend on the memory bank."""
        return any(part.kind == "neighbours" for part in self._parts)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Batches until every pair has come, or as many pictures as there are."""
        if self._parts[0].kind == "pairs":
            return math.ceil(len(self._pairs(0).mated) / self._parts[0].count)
        pictures = len(np.unique(np.concatenate(self._places)))
        # not the length of a batch: before the memory bank has searched, batches hold no neighbours
        return max(1, round(pictures / sum(_pictures(part) for part in self._parts)))

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps count from 0."""
        if self._parts[0].kind == "pairs":
            return self._pair_batch(step)
        random = np.random.default_rng([self._seed, ROWS, step])
        found = [self._draw(number, part, random) for number, part in enumerate(self._parts)]
        parts = np.repeat(np.arange(len(found)), [len(one) for one in found])
        return Batch(np.concatenate(found), parts)

    def _draw(self, number: int, part: BatchPart, random: np.random.Generator) -> Rows:
        places = self._places[number]
        if part.kind == "random":
            return random.choice(places, part.count, replace=part.count > len(places))
        if part.kind == "per-class":
            albums = self._albums[number]
            chosen = random.choice(len(albums), part.count, replace=part.count > len(albums))
            return np.concatenate([random.choice(albums[one], part.pictures, replace=False) for one in chosen])
        assert self._bank is not None  # checked at the start
        hard = self._bank.draw(part.count, part.pictures, random, places)
        again = random.choice(hard, min(part.views, len(hard)), replace=False)
        return np.concatenate([hard, again])

    def _pair_batch(self, step: int) -> Batch:
        part = self._parts[0]
        epoch, start = divmod(step, self.steps_per_epoch)
        pairs = self._pairs(epoch)
        chosen = slice(start * part.count, (start + 1) * part.count)
        ends = pairs.ends[chosen]
        places, positions = np.unique(ends, return_inverse=True)  # a picture in several pairs is looked at once
        return Batch(places, np.zeros(len(places), np.int64), positions.reshape(ends.shape), pairs.mated[chosen])

    def _pairs(self, epoch: int) -> _Pairs:
        """The epoch's pairs in the epoch's order."""
        if self._epoch is None or self._epoch[0] != epoch:
            random = np.random.default_rng([self._seed, PAIRS, epoch])
            found = _pairs_of(self._roster, self._parts[0], self._places[0], random)
            order = random.permutation(len(found.mated))
            self._epoch = (epoch, _Pairs(found.ends[order], found.mated[order]))
        return self._epoch[1]

    def _check(self, number: int, part: BatchPart, places: Rows, albums: list[Rows]) -> None:
        where = f"batch.{number}"
        named = " and ".join(", ".join(some) for some in (part.sources, part.groups) if some) or "any source"
        if not len(places):
            key = "groups" if len(self._roster.within(part.sources)) else "sources"
            there = f"; the groups are {', '.join(self._roster.names) or 'not known'}" if key == "groups" else ""
            raise RecipeError(f"{where}.{key}: there are no training pictures of {named}{there}")
        if part.kind == "per-class" and len(albums) < 2:
            raise RecipeError(
                f"{where}.pictures: {len(albums)} persons of {named} have {part.pictures} pictures or more for "
                "training, 2 are needed; ask for fewer pictures or add some"
            )
        if part.kind == "neighbours" and self._bank is None:
            raise RecipeError(f"{where}.kind: neighbours need a memory bank, and the run has none")
        if part.kind == "pairs":
            mated = self._pairs(0).mated
            if not mated.any() or mated.all():
                lack = "two pictures of one person" if not mated.any() else "two persons"
                raise RecipeError(f"{where}: the training pictures of {named} lack {lack}; pairs need both kinds")


def _pictures(part: BatchPart) -> int:
    """How many a part brings, if no anchor lacks neighbours."""
    if part.kind == "neighbours":
        return part.count * (1 + part.pictures) + part.views
    return part.count * part.pictures if part.kind == "per-class" else part.count


@dataclass(frozen=True, eq=False)
class _Pairs:
    ends: Rows
    mated: NDArray[np.bool_]


MOST_PAIRS = 50_000_000
"""More combinations than this do not fit in memory and would take weeks to train on."""


def _pairs_of(roster: Roster, part: BatchPart, places: Rows, random: np.random.Generator) -> _Pairs:
    if part.pairing == "given":
        if roster.given is None:
            raise RecipeError('batch.0.pairing: "given" needs a source that lists pairs, such as lfw-dev-train')
        ends = np.array([pair[:2] for pair in roster.given], np.int64).reshape(-1, 2)
        return _Pairs(ends, np.array([pair[2] for pair in roster.given], bool))
    if part.pairing == "all":
        count = len(places) * (len(places) - 1) // 2
        if count > MOST_PAIRS:
            raise RecipeError(f'batch.0.pairing: "all" would be {count:,} pairs; choose "balanced"')
        first, second = np.triu_indices(len(places), 1)
        ends = np.stack([places[first], places[second]], 1)
        return _Pairs(ends, roster.persons[ends[:, 0]] == roster.persons[ends[:, 1]])
    return _balanced(roster, places, random)


def _balanced(roster: Roster, places: Rows, random: np.random.Generator) -> _Pairs:
    """Every mated pair, and as many of two persons drawn at random."""
    mated = [np.stack([album[one] for one in np.triu_indices(len(album), 1)], 1) for album in roster.albums(places, 2)]
    same = np.concatenate(mated) if mated else np.empty((0, 2), np.int64)
    if len(np.unique(roster.persons[places])) < 2:
        return _Pairs(same, np.ones(len(same), bool))
    other = np.empty((0, 2), np.int64)
    while len(other) < len(same):
        drawn = random.choice(places, (2 * (len(same) - len(other)) + 8, 2))
        drawn = drawn[roster.persons[drawn[:, 0]] != roster.persons[drawn[:, 1]]]
        other = np.concatenate([other, drawn])[: len(same)]
    return _Pairs(np.concatenate([same, other]), np.repeat([True, False], [len(same), len(other)]))
