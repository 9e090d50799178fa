"""Who is in the pictures: persons numbered, parted into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.datasets.splits import split_persons
from twinface.training.crops import CropStore

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Roster:
    """Who is in the pictures that are trained on.

    Attributes:
        rows: places of the training pictures in the crop store, (N,), rising.
        persons: number of each one's person, from 0 without gaps, (N,).
        groups: number of each one's group, -1 for unknown, (N,).
        sources: name of each one's source, N of them.
        given: pairs the data set lists, as places in `rows`, and whether they are mated; None without a list.
        names: of the groups, by their numbers.

    Raises:
        ValueError: lengths differ.
    """

    rows: Rows
    persons: Rows
    groups: Rows
    sources: tuple[str, ...]
    given: tuple[tuple[int, int, bool], ...] | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.rows), len(self.persons), len(self.groups), len(self.sources)}
        if len(lengths) > 1:
            raise ValueError(f"roster: rows, persons, groups and sources must be of one length, got {sorted(lengths)}")

    def within(self, sources: Sequence[str], groups: Sequence[str] = ()) -> Rows:
        """Places (not rows) of the pictures of some sources and groups; of all where none are named."""
        found = np.ones(len(self.rows), bool)
        if sources:
            found &= np.isin(np.array(self.sources), list(sources))
        if groups:
            found &= np.isin(self.groups, [number for number, name in enumerate(self.names) if name in groups])
        return np.flatnonzero(found)

    def albums(self, places: Rows, least: int) -> list[Rows]:
        """The places of each person who has at least `least` of them, persons in order."""
        persons = self.persons[places]
        order = np.argsort(persons, kind="stable")
        ends = np.flatnonzero(np.diff(persons[order])) + 1
        return [album for album in np.split(places[order], ends) if len(album) >= least]


def assemble(store: CropStore, validation: float, seed: int) -> tuple[Roster, Roster]:
    """Parts the pictures of a store by person.

    Args:
        store: the crops.
        validation: share of the persons of each source to keep for validation; 0 keeps none.
        seed: of the run; the parting depends on it.

    Returns:
        Training and validation; no person is in both.

    Raises:
        DataError: a source has too few persons to part.
    """
    shots = store.shots
    kept = np.zeros(len(shots), bool)
    if validation:
        for source in sorted({shot.source for shot in shots}):
            places = [place for place, shot in enumerate(shots) if shot.source == source]
            kept[places] = split_persons([shots[place].person for place in places], validation, f"validation {seed}")
        persons = {shots[place].person for place in np.flatnonzero(kept)}
        kept = np.array([shot.person in persons for shot in shots])  # also where somebody is in several sources
    return _roster(store, np.flatnonzero(~kept)), _roster(store, np.flatnonzero(kept))


def _roster(store: CropStore, rows: Rows) -> Roster:
    shots = [store.shots[row] for row in rows]
    persons = np.unique([shot.person for shot in shots], return_inverse=True)[1] if shots else np.empty(0)
    names = sorted({shot.group for shot in shots} - {""})
    groups = np.array([names.index(shot.group) if shot.group else -1 for shot in shots], np.int64)
    given = None
    if store.pairs is not None:
        place = {int(row): number for number, row in enumerate(rows)}
        given = tuple(
            (place[one], place[other], mated) for one, other, mated in store.pairs if one in place and other in place
        )
    sources = tuple(shot.source for shot in shots)
    return Roster(np.asarray(rows, np.int64), np.asarray(persons, np.int64), groups, sources, given, tuple(names))
