"""Which templates of a gallery lie near one another: exact, in tiles, so that no matrix of all pairs is ever held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.similarity import distances_of_pairs

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

MOST_PAIRS = 1_000_000
"""Near pairs of different people kept, at most; a sound gallery of 100,000 templates has some hundred."""

_BLOCK = 1024
"""Rows and columns of a tile of similarities: 4 MiB of float32, about what a core's cache holds."""

_CHUNK = 65_536
"""Pairs whose exact distances are computed at a time."""

_SLACK = 1e-6
"""More than a float32 product of two unit vectors is off; what passes by it is measured exactly afterwards."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What lies near each of N templates.

    Attributes:
        own: distance to the nearest other template of the same subject, Euclidean, float32, shape (N,); infinite where
            there is none. From products in float32: off by less than 1e-3 near zero, by less than 1e-5 from 0.1 on.
        other: likewise to the nearest template of another subject.
        first: places of one side of the near pairs of different subjects, shape (P,).
        second: of the other side, shape (P,).
        gaps: their distances, measured on the differences, float32, shape (P,).
        complete: whether these are all pairs that were asked for; else the nearest of them.
    """

    own: Floats
    other: Floats
    first: Places
    second: Places
    gaps: Floats
    complete: bool


def neighbours(
    vectors: Floats, subjects: Places, within: float, advance: Callable[[], object] | None = None
) -> Neighbours:
    """Compares every template with every other one.

    Args:
        vectors: float32, shape (N, D), unit length and finite.
        subjects: whose each is, shape (N,), in any order.
        within: pairs of different subjects up to this distance are kept, at most MOST_PAIRS of them; negative for
            none.
        advance: called once a template, for instance to move a progress bar.
    """
    order = np.argsort(subjects, kind="stable")  # the templates of a subject lie together, near the tiles' diagonal
    rows, owners = vectors[order], subjects[order]
    own, other = (np.full(len(rows), -np.inf, np.float32) for _ in range(2))
    pairs = _Pairs(1 - within * within / 2 - _SLACK if within >= 0 else np.inf)
    for top in range(0, len(rows), _BLOCK):
        height = slice(top, top + _BLOCK)
        for left in range(top, len(rows), _BLOCK):  # the tiles below the diagonal are those above it, turned
            width = slice(left, left + _BLOCK)
            tile = rows[height] @ rows[width].T
            if top == left:
                np.fill_diagonal(tile, -np.inf)
            if owners[height][-1] >= owners[left]:
                same = owners[height, None] == owners[None, width]
                _raise_to(own, height, width, np.where(same, tile, np.float32(-np.inf)))
                tile[same] = -np.inf
            _raise_to(other, height, width, tile)
            pairs.take(tile, top, left)
        if advance is not None:
            for _ in rows[height]:
                advance()
    first, second = pairs.places()
    first, second = np.minimum(order[first], order[second]), np.maximum(order[first], order[second])
    gaps = gaps_of(vectors, first, second)
    near = gaps <= within
    nearest_own, nearest_other = (_scattered(best, order) for best in (own, other))
    return Neighbours(nearest_own, nearest_other, first[near], second[near], gaps[near], pairs.complete)


def _raise_to(best: Floats, height: slice, width: slice, tile: Floats) -> None:
    """Takes a tile's largest similarities over, for its rows and, as the matrix is symmetric, for its columns."""
    np.maximum(best[height], tile.max(axis=1), out=best[height])
    np.maximum(best[width], tile.max(axis=0), out=best[width])


def _scattered(similarities: Floats, order: Places) -> Floats:
    """Distances of cosine similarities, back in the order from before the templates were sorted."""
    found = np.empty_like(similarities)
    found[order] = np.sqrt(np.maximum(2 - 2 * similarities, np.float32(0)))
    return found


class _Pairs:
    """Collects places whose similarity exceeds a floor; the floor rises when there are too many.

    Attributes:
        complete: whether none was dropped.
    """

    def __init__(self, floor: float) -> None:
        self._floor = np.float32(floor)
        self._found: list[tuple[Places, Places, Floats]] = []
        self._count = 0
        self.complete = True

    def take(self, tile: Floats, top: int, left: int) -> None:
        """The hits of a tile whose first row and column these are."""
        hits = np.flatnonzero(tile > self._floor)
        if hits.size == 0:
            return
        down, right = np.divmod(hits, tile.shape[1])
        if top == left:  # the diagonal tile holds every pair twice
            hits, down, right = (values[down < right] for values in (hits, down, right))
        self._found.append((down + top, right + left, tile.reshape(-1)[hits]))
        self._count += hits.size
        if self._count > 2 * MOST_PAIRS:
            self._drop()

    def _drop(self) -> None:
        """Keeps the most similar ones; those to come must be more similar still than the last of them."""
        first, second, similar = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        kept = np.sort(np.argpartition(-similar, MOST_PAIRS - 1)[:MOST_PAIRS])
        self._found = [(first[kept], second[kept], similar[kept])]
        self._floor, self._count, self.complete = similar[kept].min(), MOST_PAIRS, False

    def places(self) -> tuple[Places, Places]:
        """Both sides of the pairs."""
        if self._count > MOST_PAIRS:
            self._drop()
        if not self._found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        first, second, _ = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        return first, second


def gaps_of(vectors: Floats, first: Places, second: Places) -> Floats:
    """As `distances_of_pairs`, of however many pairs in bounded memory."""
    gaps = np.empty(first.size, np.float32)
    for start in range(0, first.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        gaps[part] = distances_of_pairs(vectors, first[part], second[part])
    return gaps


def nearest_partner(found: Neighbours) -> tuple[Places, Places, Floats]:
    """Of every template that is in a near pair, the nearest of another subject.

    Returns:
        The templates' places, rising, those of their partners and the distances, each shape (M,).
    """
    one = np.concatenate([found.first, found.second])
    two = np.concatenate([found.second, found.first])
    gaps = np.concatenate([found.gaps, found.gaps])
    order = np.lexsort((two, gaps, one))
    chosen = order[_starts(one[order])]
    return one[chosen], two[chosen], gaps[chosen]


def nearest_of_subjects(
    found: Neighbours, subjects: Places, counted: NDArray[np.bool_]
) -> tuple[Places, Places, Floats]:
    """Of every two subjects with a near pair their nearest one.

    Args:
        found: the near pairs.
        subjects: whose each template is, from 0, shape (N,).
        counted: which templates count, shape (N,).

    Returns:
        Places of both templates, that of the lower subject first, and their distances, each shape (M,).
    """
    both = counted[found.first] & counted[found.second]
    one, two, gaps = found.first[both], found.second[both], found.gaps[both]
    turned = subjects[one] > subjects[two]
    one, two = np.where(turned, two, one), np.where(turned, one, two)
    key = subjects[one] * (int(subjects.max(initial=0)) + 1) + subjects[two]
    order = np.lexsort((two, one, gaps, key))
    chosen = order[_starts(key[order])]
    return one[chosen], two[chosen], gaps[chosen]


def means(vectors: Floats, subjects: Places, counted: NDArray[np.bool_]) -> Floats:
    """The subjects' mean templates, scaled to unit length.

    Args:
        vectors: shape (N, D).
        subjects: whose each is, from 0, shape (N,).
        counted: which templates count, shape (N,).

    Returns:
        Shape (M, D), M one more than the largest of `subjects`; NaN for subjects of whom no template counts, or whose
        templates cancel out.
    """
    rows = np.flatnonzero(counted)
    rows = rows[np.argsort(subjects[rows], kind="stable")]
    starts = _starts(subjects[rows])
    unit = np.full((int(subjects.max(initial=-1)) + 1, vectors.shape[1]), np.nan, np.float32)
    if rows.size:
        sums = np.add.reduceat(vectors[rows], starts, axis=0)
        with np.errstate(invalid="ignore"):  # templates that cancel out
            unit[subjects[rows[starts]]] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit


def _starts(values: Places) -> Places:
    """Where each run of equal values starts, shape (M,)."""
    fresh = np.ones(values.size, np.bool_)
    fresh[1:] = values[1:] != values[:-1]
    return np.flatnonzero(fresh)
