"""All pairs of a set of pictures, measured in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.similarity import distances
from twinface.core.types import UNIT_TOLERANCE
from twinface.evaluation.scores import Scores

Numbers = NDArray[np.int64]

BLOCK = 1 << 22
"""Distances computed at a time."""


@dataclass(frozen=True, eq=False)
class Pairing:
    """Pairs of pictures with their distances.

    Attributes:
        scores: the pairs, mated ones first.
        mated_total: mated pairs there are, all of them in `scores`.
        non_mated_total: non-mated pairs there are; `scores` may hold a sample of them.
        first: int32, shape (N,), the first picture of each pair, a row of the templates.
        second: int32, shape (N,), the second one, a later row.
    """

    scores: Scores
    mated_total: int
    non_mated_total: int
    first: NDArray[np.int32]
    second: NDArray[np.int32]


def all_pairs(templates: NDArray[np.float32], subjects: ArrayLike, *, most: int = 10_000_000, seed: int = 0) -> Pairing:
    """Every picture with every other one: all mated pairs, and the non-mated ones up to `most`.

    Where there are more non-mated pairs than that, `most` of them are drawn, each set of them being as likely as any
    other.

    Args:
        templates: unit vectors, float32, shape (N, D); a row of NaN is a failure to acquire, and so is each of its
            pairs.
        subjects: person on each picture, shape (N,), integers from 0.
        most: non-mated pairs kept.
        seed: of the drawing.

    Raises:
        ValueError: shapes that do not match, persons not numbered from 0, templates not of unit length, or no pairs
            to be kept.
    """
    if most < 1:
        raise ValueError(f"pairs: at least one non-mated pair is to be kept, got {most}")
    vectors, people = checked(templates, subjects)
    order = np.argsort(people, kind="stable")
    ends = np.searchsorted(people[order], people[order], side="right")
    rows = np.arange(people.size)
    alike, unlike = ends - rows - 1, people.size - ends  # partners behind each picture, sorted by person
    mated_total, non_mated_total = int(alike.sum()), int(unlike.sum())
    mated = _decode(np.arange(mated_total), alike, rows + 1)
    non_mated = _decode(_sample(non_mated_total, most, np.random.default_rng(seed)), unlike, ends)
    sorted_vectors = vectors[order]
    gaps = np.concatenate([_measure(sorted_vectors, *mated), _measure(sorted_vectors, *non_mated)])
    places = order.astype(np.int32)
    one, other = (places[np.concatenate([near, far])] for near, far in zip(mated, non_mated, strict=True))
    first, second = np.minimum(one, other), np.maximum(one, other)
    persons = np.column_stack([people[first], people[second]])
    label = np.arange(gaps.size) < mated_total
    return Pairing(Scores(gaps, label, persons), mated_total, non_mated_total, first, second)


def checked(templates: NDArray[np.float32], subjects: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Templates with the persons they belong to; a row with any NaN is a failure to acquire.

    Raises:
        ValueError: shapes that do not match, persons not numbered from 0, or templates not of unit length.
    """
    vectors, people = np.asarray(templates, np.float32), np.asarray(subjects)
    if vectors.ndim != 2 or people.shape != vectors.shape[:1]:
        raise ValueError(f"templates: expected shapes (N, D) and (N,), got {vectors.shape} and {people.shape}")
    if people.size and (people.dtype.kind not in "iu" or people.min() < 0 or people.max() > np.iinfo(np.int32).max):
        raise ValueError(f"templates: persons are numbered from 0 with 32-bit integers, got {people.dtype}")
    lengths = np.linalg.norm(vectors, axis=1)
    failed = np.isnan(lengths)
    if not (np.abs(lengths[~failed] - 1) <= UNIT_TOLERANCE).all():
        raise ValueError("templates: a row is neither of unit length nor NaN; normalise the templates first")
    return vectors, people.astype(np.int32)


def _sample(total: int, most: int, random: np.random.Generator) -> Numbers:
    """`most` different numbers below `total`, ascending, or all of them where there are no more."""
    if total <= most:
        return np.arange(total)
    if 2 * most > total:
        return np.delete(np.arange(total), _sample(total, total - most, random))
    draws = int(-1.01 * total * np.log1p(-most / total)) + 100  # a little more than it takes to meet `most` of them
    chosen = np.zeros(0, np.int64)
    while chosen.size < most:
        chosen = np.sort(np.concatenate([chosen, random.integers(0, total, draws)]))
        chosen = chosen[np.flatnonzero(np.diff(chosen, prepend=-1))]
    return np.delete(chosen, random.choice(chosen.size, chosen.size - most, replace=False))


def _decode(codes: Numbers, counts: Numbers, starts: Numbers) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The pairs with these numbers, when row i has `counts[i]` partners from `starts[i]` on; ascending by row."""
    behind = np.cumsum(counts)
    one = np.searchsorted(behind, codes, side="right").astype(np.int32)
    other = (codes - (behind - counts - starts)[one]).astype(np.int32)
    return one, other


def _measure(vectors: NDArray[np.float32], first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.float32]:
    """Distances of pairs that ascend by their first row, a block of rows at a time."""
    gaps = np.empty(first.size, np.float32)
    height = max(1, BLOCK // max(1, len(vectors)))
    bounds = np.searchsorted(first, np.arange(0, len(vectors) + height, height))
    for start, stop in pairwise(bounds):
        if start == stop:
            continue
        one, other = first[start:stop], second[start:stop]
        top, left, right = one[0], other.min(), other.max() + 1
        gaps[start:stop] = distances(vectors[top : one[-1] + 1], vectors[left:right])[one - top, other - left]
    return gaps
