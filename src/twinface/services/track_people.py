"""Which tracks of a video are one person's, whoever that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.identification import identification_point
from twinface.core.similarity import distances
from twinface.core.video import Track
from twinface.services.likeness import Templates, templates_of

ONE_PERSON_FMR = 1e-4
"""How often two tracks of different people may be within the limit at which they may be one person's."""

AT_ONCE = 1000
"""Templates compared at once with all others, so that memory stays bounded."""

Floats = NDArray[np.float64]


def cluster(tracks: Sequence[Track], rule: DecisionRule) -> list[list[Track]]:
    """Tracks by person; her number is her place in the list, counted from 1.

    Two tracks may be one person's if their distance (see `services.likeness`) is within the threshold for
    ONE_PERSON_FMR and so many pairs of templates, and if they are never seen at once. Groups are joined, nearest first,
    as long as their tracks are so on average (R. Sokal and C. Michener, "A statistical method for evaluating systematic
    relationships", 1958), and no two of them are seen at once. The outcome does not depend on the order of `tracks`.

    Args:
        tracks: of one video, by one encoder. Those without a face that is fit are nobody's and left out.
        rule: the encoder's.

    Returns:
        People in the order in which they first appear, and the tracks of each in order of time.

    Raises:
        GalleryError: the rule's single operating point cannot tell.
    """
    ordered = sorted((track for track in tracks if track.faces), key=lambda track: (track.start, track.number))
    if not ordered:
        return []
    excess = _excess([templates_of(track.faces) for track in ordered], rule)
    excess[_at_once(ordered)] = np.inf
    groups = _linked(excess)
    return [[ordered[place] for place in group] for group in groups]


def _excess(people: Sequence[Templates], rule: DecisionRule) -> Floats:
    """By how much the distance of each two is beyond their threshold, shape (T, T)."""
    counts = np.array([len(one.vectors) for one in people])
    starts = np.cumsum(counts) - counts
    vectors, means = np.vstack([one.vectors for one in people]), np.stack([one.mean for one in people])
    excess = distances(means, means).astype(np.float64)
    first = 0
    while first < len(people):
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + AT_ONCE)))
        rows = vectors[starts[first] : starts[last - 1] + counts[last - 1]]
        nearest = np.minimum.reduceat(distances(rows, vectors), starts, axis=1)
        excess[first:last] += np.minimum.reduceat(nearest, starts[first:last] - starts[first], axis=0)
        first = last
    excess /= 2
    pairs = counts[:, None] * counts[None]
    for count in np.unique(pairs).tolist():
        excess[pairs == count] -= identification_point(rule, count, ONE_PERSON_FMR).threshold
    np.fill_diagonal(excess, np.inf)
    return np.minimum(excess, excess.T)  # products of matrices may round differently either way


def _at_once(tracks: Sequence[Track]) -> NDArray[np.bool_]:
    """Which two are seen at once, shape (T, T)."""
    starts, ends = np.array([track.start for track in tracks]), np.array([track.end for track in tracks])
    meet: NDArray[np.bool_] = (starts[:, None] <= ends[None]) & (starts[None] <= ends[:, None])
    for one, other in np.argwhere(ends[:, None] == starts[None]).tolist():
        if tracks[one].sightings[-1] == tracks[other].sightings[0]:  # a long track that was ended and goes on
            meet[one, other] = meet[other, one] = False
    return meet


def _linked(excess: Floats) -> list[list[int]]:
    """Average linkage up to 0 of a symmetric matrix, which is used up; groups in order of their first member."""
    groups = {place: [place] for place in range(len(excess))}
    nearest, least = excess.argmin(axis=1), excess.min(axis=1)
    while least.min() <= 0:
        one, other = sorted((int(least.argmin()), int(nearest[least.argmin()])))
        weights = len(groups[one]), len(groups[other])
        joined = (weights[0] * excess[one] + weights[1] * excess[other]) / sum(weights)
        joined[[one, other]] = np.inf
        excess[one], excess[:, one] = joined, joined
        excess[other], excess[:, other] = np.inf, np.inf
        stale = np.flatnonzero(np.isin(nearest, (one, other)))  # an average is no nearer than the nearer one was
        stale = np.union1d(stale, [one, other])
        nearest[stale], least[stale] = excess[stale].argmin(axis=1), excess[stale].min(axis=1)
        groups[one] += groups.pop(other)
    return [sorted(groups[place]) for place in sorted(groups)]
