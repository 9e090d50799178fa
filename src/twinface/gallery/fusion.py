"""Searches people, not pictures: what several pictures of a person say together is more than each says.

The distance of a probe to a person is the mean of two: to her nearest template, and to her mean template. For a person
of one picture they are one. Of the rules that were tried on CelebA and LFW it misses least while strangers come no
nearer than to the nearest template alone (docs/gallery.md has the figures). As neither of the two is smaller than the
smaller one, an exact search by the smaller one gives an exact search by their mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.gallery.index import ExactIndex

AT_ONCE = 8
"""Subjects looked at more than were asked for, before it is known whether more have to be."""


class FusedIndex:
    """Exact search for the nearest people; implements `core.ports.TemplateIndex`.

    It holds the mean template of everybody with several. Not safe to use from several threads at once.

    Args:
        dimension: length of a template, D.
    """

    def __init__(self, dimension: int) -> None:
        self._templates = ExactIndex(dimension)
        self._means = ExactIndex(dimension)
        self._places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Templates in it; means do not count."""
        return len(self._templates)

    @property
    def samples(self) -> NDArray[np.int64]:
        """Numbers of the samples in it, int64, shape (N,), in no order; a copy."""
        return self._templates.samples

    def add(self, vectors: ArrayLike, samples: ArrayLike, subjects: ArrayLike) -> None:
        """Takes more templates, all or none; see `ExactIndex.add`."""
        self._templates.add(vectors, samples, subjects)
        self._changed(np.unique(np.asarray(subjects)))

    def drop(self, samples: ArrayLike) -> None:
        """Forgets the templates of these samples; their memory, and that of means with them, is overwritten."""
        gone = np.isin(self._templates.samples, np.asarray(samples))
        subjects = np.unique(self._templates.subjects[gone])
        self._templates.drop(samples)
        self._changed(subjects)

    def clear(self) -> None:
        """Forgets all templates, overwrites their memory and gives it back."""
        self._templates.clear()
        self._means.clear()
        self._places = None

    def search(self, probes: ArrayLike, top: int) -> list[list[tuple[int, int, float]]]:
        """For every probe (M, D) the `top` nearest subjects, nearest first.

        Returns:
            Of each subject its number, its nearest sample, and the mean of the distances to that and to the mean
            template, each Euclidean, in [0, 2], computed in float64. Of equal ones the smaller sample comes first.

        Raises:
            ValueError: as `ExactIndex.search`.
        """
        if not len(self._means):
            return self._templates.search(probes, top)
        rows = np.ascontiguousarray(probes, dtype=np.float32)
        answers: list[list[tuple[int, int, float]] | None] = [None] * len(rows)
        waiting, taken = list(range(len(rows))), top + AT_ONCE
        while waiting:
            nearest = self._templates.search(rows[waiting], taken)
            means = self._means.search(rows[waiting], taken)
            left = []
            for place, by_template, by_mean in zip(waiting, nearest, means, strict=True):
                answers[place] = self._settled(rows[place], by_template, by_mean, top, taken)
                if answers[place] is None:
                    left.append(place)
            waiting, taken = left, 4 * taken
        return [answer for answer in answers if answer is not None]

    def _settled(
        self,
        probe: NDArray[np.float32],
        by_template: list[tuple[int, int, float]],
        by_mean: list[tuple[int, int, float]],
        top: int,
        taken: int,
    ) -> list[tuple[int, int, float]] | None:
        """The nearest subjects; None if one that is in neither list might be among them."""
        subjects = {one[0] for one in by_template} | {one[0] for one in by_mean}
        fused = sorted((self._fused(probe, subject) for subject in subjects), key=lambda one: (one[2], one[1]))[:top]
        ends = [found[-1][2] for found in (by_template, by_mean) if len(found) == taken]
        beyond = min(ends, default=np.inf)  # whoever is in neither list is at least so far by both
        if len(fused) == min(top, len(subjects)) and (not ends or (len(fused) == top and fused[-1][2] <= beyond)):
            return fused
        return None

    def _fused(self, probe: NDArray[np.float32], subject: int) -> tuple[int, int, float]:
        """A subject with its nearest sample and its distance."""
        order, owners = self._sorted()
        start, stop = np.searchsorted(owners, [subject, subject + 1])
        places = order[start:stop]
        vectors, samples = self._templates.rows(places)
        gaps = _distances(vectors, probe)
        best = np.lexsort((samples, gaps))[0]
        gap = float(gaps[best])
        if len(places) > 1:
            mean = _mean(vectors[None])[0]
            gap = (gap + (float(_distances(mean[None], probe)[0]) if np.isfinite(mean).all() else gap)) / 2
        return subject, int(samples[best]), gap

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the templates in order of subject, and the subjects in that order."""
        if self._places is None:
            owners = self._templates.subjects
            order = np.argsort(owners, kind="stable")
            self._places = order, owners[order]
        return self._places

    def _changed(self, subjects: NDArray[np.int64]) -> None:
        """Computes the means of these subjects anew."""
        self._places = None
        self._means.drop(subjects)
        owners = self._templates.subjects
        mine = np.flatnonzero(np.isin(owners, subjects))
        mine = mine[np.argsort(owners[mine], kind="stable")]
        whose, starts, counts = np.unique(owners[mine], return_index=True, return_counts=True)
        for count in np.unique(counts[counts > 1]).tolist():  # all who have so many at once
            chosen = counts == count
            places = mine[starts[chosen][:, None] + np.arange(count)]
            means = _mean(self._templates.rows(places.ravel())[0].reshape(*places.shape, -1))
            sound = np.isfinite(means).all(axis=1)
            self._means.add(means[sound], whose[chosen][sound], whose[chosen][sound])


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean templates of unit length, float32 (S, D), of (S, K, D); NaN where templates cancel out."""
    total = vectors.sum(axis=1, dtype=np.float64)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float32] = np.where(length > 1e-6, total / length, np.nan).astype(np.float32)
    return mean


def _distances(vectors: NDArray[np.float32], probe: NDArray[np.float32]) -> NDArray[np.float64]:
    gaps: NDArray[np.float64] = np.linalg.norm(vectors - probe.astype(np.float64), axis=1)
    return np.minimum(gaps, 2.0)
