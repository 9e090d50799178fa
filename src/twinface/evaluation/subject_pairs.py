"""Matches among many templates, counted subject by subject and block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.similarity import distances

Floats = NDArray[np.float64]

ROWS = 512
"""Templates that meet all others at a time; bounds memory at some hundred MB for 14,000 templates."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Errors among the pairs of one group of persons, and how unsure their number is.

    The number of errors varies for two reasons, kept apart because only the second does not fade with more pairs of
    the same persons: every pair has luck of its own, and pairs that share a person err together (one face may look
    like many). Both parts are estimated by adding up products of residuals, each pair with itself and with the pairs
    it shares one person with (P. Aronow, C. Samii, V. Assenova, "Cluster-robust variance estimation for dyadic data",
    Political Analysis 23, 2015); unlike resampling, this does not overstate rare errors.

    Attributes:
        subjects: persons with at least one picture.
        pairs: pairs of pictures that were judged.
        errors: how many of them were judged wrongly.
        independent: couples of persons that the pairs are of, or persons for mated pairs.
        own: variance of `errors` from the pairs themselves (of pictures of the same two persons).
        shared: what pairs of pictures that share a person add to it; may come out below zero.
        resampled: error rates of bootstrap rounds, float64, shape (R,) at most.
    """

    subjects: int
    pairs: int
    errors: int
    independent: int
    own: float
    shared: float
    resampled: Floats


def false_matches(
    templates: NDArray[np.float32], subjects: NDArray[np.integer], threshold: float, rounds: int, seed: tuple[int, ...]
) -> Tally:
    """False matches over all pairs of pictures of different persons.

    Args:
        templates: unit length, shape (N, D); a row that is not finite is a failure to acquire, which never matches.
        subjects: integers, shape (N,).
        threshold: largest distance that matches.
        rounds: bootstrap rounds: persons are drawn anew, with all their pictures ("subsets bootstrap", R. Bolle,
            N. Ratha, S. Pankanti, CVIU 93, 2004).
        seed: of the resampling.
    """
    _, subject, pictures = np.unique(subjects, return_inverse=True, return_counts=True)
    count, mass = pictures.size, pictures.astype(np.float64)
    drawn = _drawn(count, rounds, seed)
    errors, squares, crossed = 0.0, 0.0, 0.0
    degree, resampled = np.zeros(count), np.zeros(rounds)
    for first, matches in _matches(templates, subject, pictures, threshold):
        last = first + len(matches)
        each = matches.sum(axis=1, dtype=np.float64)
        errors += each.sum()
        degree[first:last] += each
        degree[first:] += matches.sum(axis=0, dtype=np.float64)
        squares += float(np.square(matches, dtype=np.float64).sum())
        crossed += float(mass[first:last] @ (matches @ mass[first:].astype(np.float32)))
        if each.any():
            resampled += np.einsum("ur,ru->r", matches @ drawn[:, first:].T, drawn[:, first:last])
    pairs = _between(mass)
    rate = errors / pairs if pairs else 0.0
    own = squares - 2 * rate * crossed + rate**2 * _between(mass**2)
    together = float(np.square(degree - rate * mass * (mass.sum() - mass)).sum()) - own
    shared = together * count / max(1, count - 4) - own  # the rate's own error takes 4 / count of the sum away
    trials = (np.square(drawn @ mass) - np.square(drawn) @ np.square(mass)) / 2
    couples = count * (count - 1) // 2
    return Tally(count, round(pairs), round(errors), couples, own, shared, resampled[trials > 0] / trials[trials > 0])


def false_non_matches(
    templates: NDArray[np.float32], subjects: NDArray[np.integer], threshold: float, rounds: int, seed: tuple[int, ...]
) -> Tally:
    """Mated pairs that do not match, over all pairs of pictures of one person; arguments as of `false_matches`.

    A person's pairs stand or fall together: their variance is between persons, and all of it counts as `own`.
    """
    _, subject, pictures = np.unique(subjects, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(subject, kind="stable"), np.cumsum(pictures)[:-1])
    several = [chosen for chosen in rows if chosen.size > 1]
    trials = np.array([chosen.size * (chosen.size - 1) // 2 for chosen in several], np.float64)
    failed = trials - [_matching(templates[chosen], threshold) for chosen in several]
    pairs, errors, count = trials.sum(), failed.sum(), len(several)
    rate = errors / pairs if pairs else 0.0
    own = float(np.square(failed - rate * trials).sum()) * count / max(1, count - 1)
    drawn = _drawn(count, rounds, seed)
    judged = drawn @ trials
    resampled = (drawn @ failed)[judged > 0] / judged[judged > 0]
    return Tally(count, round(pairs), round(errors), count, own, 0.0, resampled)


def _matches(
    templates: NDArray[np.float32], subject: NDArray[np.integer], pictures: NDArray[np.integer], threshold: float
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yields the first person of a block of some, and matches of pictures (persons of the block, persons from it on).

    Every two persons are counted once, in the row of the first; persons are numbered by `subject`.
    """
    order = np.argsort(subject, kind="stable")
    finite = np.asarray(np.isfinite(templates[order]).all(axis=1))
    ordered = np.where(finite[:, None], templates[order], 0.0).astype(np.float32, copy=False)
    begins = np.concatenate([[0], np.cumsum(pictures)])
    first = 0
    while first < pictures.size:
        last = max(first + 1, int(np.searchsorted(begins, begins[first] + ROWS, side="right")) - 1)
        start, stop = int(begins[first]), int(begins[last])
        columns = begins[first:-1] - start
        alike = np.empty((stop - start, pictures.size - first), np.float32)
        for top in range(start, stop, ROWS):
            rows = slice(top, min(top + ROWS, stop))
            near = distances(ordered[rows], ordered[start:]) <= threshold
            near &= finite[rows, None] & finite[start:]
            alike[top - start : rows.stop - start] = np.add.reduceat(near, columns, axis=1, dtype=np.float32)
        yield first, np.triu(np.add.reduceat(alike, begins[first:last] - start, axis=0), 1)
        first = last


def nearer_than(
    templates: NDArray[np.float32], subjects: NDArray[np.integer], gap: float
) -> list[tuple[int, int, float]]:
    """Pairs of pictures of different persons nearer than a distance, the nearest first: places and distance.

    Args:
        templates: unit length, shape (N, D); a row that is not finite has no pairs.
        subjects: integers, shape (N,).
        gap: small, or there are very many.
    """
    found = []
    templates = np.where(np.isfinite(templates).all(axis=1, keepdims=True), templates, np.nan)
    for top in range(0, len(templates), ROWS):
        rows = distances(templates[top : top + ROWS], templates[top:])
        for one, other in np.argwhere(np.triu(rows < gap, 1)):  # false for NaN
            if subjects[top + one] != subjects[top + other]:
                found.append((int(top + one), int(top + other), float(rows[one, other])))
    return sorted(found, key=lambda pair: pair[2])


def _matching(templates: NDArray[np.float32], threshold: float) -> int:
    """Pairs of one person's pictures that match."""
    acquired = templates[np.asarray(np.isfinite(templates).all(axis=1))]
    return sum(
        int(np.triu(distances(acquired[top : top + ROWS], acquired[top:]) <= threshold, 1).sum())
        for top in range(0, len(acquired), ROWS)
    )


def _drawn(count: int, rounds: int, seed: tuple[int, ...]) -> NDArray[np.float32]:
    """How often each of `count` persons is drawn in each round, shape (rounds, count)."""
    random = np.random.default_rng(seed)
    drawn = np.zeros((rounds, count), np.float32)
    for row in drawn if count else ():
        row[:] = np.bincount(random.integers(0, count, count), minlength=count)
    return drawn


def _between(mass: Floats) -> float:
    """Sum of products over every two different entries."""
    return float(mass.sum() ** 2 - np.square(mass).sum()) / 2
