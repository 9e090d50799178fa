"""The subjects nearest to probes, exactly: BLAS reads all templates once, float64 settles the few that may count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.types import UNIT_TOLERANCE

GROUP = 256
"""Neighbouring rows of which the pass over all of them keeps the best score alone."""

SCRATCH = 2**20
"""Numbers in memory together: scores of a block of rows in float32 (4 MB), or coordinates in float64."""

PROBES = 256
"""Probes that share a pass."""

LENGTH_TOLERANCE = 2 * UNIT_TOLERANCE
"""How far a length may be from one: rounding after a turn never puts out what is a template."""

WIDER = 4
"""How many times as many groups are looked into when those before did not settle it."""


class ExactIndex:
    """Templates in one float32 matrix, searched whole: no neighbour is missed, whatever rounding does.

    Of unit vectors the nearest has the highest score (scalar product). A pass in float32 keeps the highest score of
    every group of rows. Only the best groups are looked into: what the others hold is no nearer than their best score
    allows, less a margin for rounding, so all nearer than that are found, and float64 distances rank them. While
    these belong to too few subjects, more groups are looked into.

    Memory that templates leave is overwritten with zeros, but not what a search copies for a moment. Not safe to use
    from several threads at once; that is the caller's concern.
    """

    def __init__(self, dimension: int) -> None:
        """Makes an empty index.

        Raises:
            ValueError: the dimension is not positive.
        """
        if dimension < 1:
            raise ValueError(f"index: expected a positive dimension, got {dimension}")
        self._dimension = dimension
        self._vectors = np.zeros((0, dimension), np.float32)
        self._samples, self._subjects = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._count = 0
        self._stray = 0.0  # how far a squared length was from 1 at most

    def __len__(self) -> int:
        """Templates in it."""
        return self._count

    @property
    def samples(self) -> NDArray[np.int64]:
        """Numbers of the samples in it, int64, shape (N,), in no order; a copy."""
        return self._samples[: self._count].copy()

    @property
    def subjects(self) -> NDArray[np.int64]:
        """Whose each of them is, int64, shape (N,), in the order of `samples`; a copy."""
        return self._subjects[: self._count].copy()

    def rows(self, places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Templates (M, D) and numbers of their samples (M,) at some places in the order of `samples`; copies."""
        return self._vectors[places], self._samples[places]

    def add(self, vectors: ArrayLike, samples: ArrayLike, subjects: ArrayLike) -> None:
        """Takes more templates, all or none. The first get the memory they need, later ones room to grow as well.

        Args:
            vectors: shape (N, D), unit length; rounded to float32.
            samples: number of each one's sample, integers, shape (N,), none twice.
            subjects: number of whose it is, integers, shape (N,).

        Raises:
            ValueError: a shape or a type is another, a vector is not finite or not of unit length, or a sample comes
                twice or is in the index already.
        """
        rows, squares = self._units(vectors, "vectors")
        numbers, owners = _integers(samples, "samples", len(rows)), _integers(subjects, "subjects", len(rows))
        if len(np.unique(numbers)) < len(numbers) or np.isin(self._samples[: self._count], numbers).any():
            raise ValueError("samples: expected new numbers, each once; got one twice or one that is in the index")
        end = self._count + len(rows)
        if end > len(self._vectors):
            self._resize(max(end, 2 * len(self._vectors)))
        new = slice(self._count, end)
        self._vectors[new], self._samples[new], self._subjects[new] = rows, numbers, owners
        self._count = end
        self._stray = max(self._stray, float(np.abs(squares - 1).max(initial=0)))

    def drop(self, samples: ArrayLike) -> None:
        """Forgets the templates of these samples; their memory is overwritten. Unknown ones are no error.

        Raises:
            ValueError: the numbers are no integers.
        """
        gone = np.isin(self._samples[: self._count], _integers(samples, "samples"))
        kept = self._count - int(gone.sum())
        holes, movers = np.flatnonzero(gone[:kept]), kept + np.flatnonzero(~gone[kept:])
        for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):  # all at once would leave a copy behind
            self._vectors[hole] = self._vectors[mover]
        self._samples[holes], self._subjects[holes] = self._samples[movers], self._subjects[movers]
        for array in (self._vectors, self._samples, self._subjects):
            array[kept : self._count] = 0
        self._count = kept

    def clear(self) -> None:
        """Forgets all templates, overwrites their memory and gives it back."""
        self._count, self._stray = 0, 0.0
        self._resize(0)

    def search(self, probes: ArrayLike, top: int) -> list[list[tuple[int, int, float]]]:
        """For every probe the `top` nearest subjects, nearest first.

        Args:
            probes: shape (M, D), unit length; rounded to float32.
            top: how many subjects at most; where there are fewer, all are found.

        Returns:
            Of each subject its number, its nearest sample and the distance to it, Euclidean, computed in float64, in
            [0, 2]. Of equal distances the smaller sample number comes first.

        Raises:
            ValueError: the shape is another, a probe is not finite or not of unit length, or `top` is not positive.
        """
        if top < 1:
            raise ValueError(f"top: expected a positive number, got {top}")
        rows, squares = self._units(probes, "probes")
        if self._count == 0:
            return [[] for _ in rows]
        found = []
        for start in range(0, len(rows), PROBES):
            best = self._best_of_groups(rows[start : start + PROBES])
            for place in range(len(best)):
                found.append(self._nearest(rows[start + place], float(squares[start + place]), best[place], top))
        return found

    def _best_of_groups(self, probes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Highest score of every group of rows, for probes (M, D): shape (M, groups)."""
        groups = -(-self._count // GROUP)
        block = min(groups, max(1, SCRATCH // (len(probes) * GROUP))) * GROUP
        best = np.empty((len(probes), groups), np.float32)
        scores = np.empty((len(probes), block), np.float32)
        for start in range(0, self._count, block):
            rows = self._vectors[start : min(start + block, self._count)]
            np.matmul(probes, rows.T, out=scores[:, : len(rows)])
            first, several = start // GROUP, -(-len(rows) // GROUP)
            scores[:, len(rows) : several * GROUP] = -np.inf
            grouped = scores[:, : several * GROUP].reshape(len(probes), several, GROUP)
            np.max(grouped, axis=2, out=best[:, first : first + several])
        return best

    def _nearest(
        self, probe: NDArray[np.float32], square: float, best: NDArray[np.float32], top: int
    ) -> list[tuple[int, int, float]]:
        """The nearest subjects of one probe, of squared length `square`, by the best score of every group."""
        # A scalar product of unit vectors is off by D / 2^24 at most in float32, in whatever order it is summed; so are
        # both squared lengths, which count by half. Where a row's is not 1, its score says half of that too much or too
        # little. The probe's is the same for all rows, but decides which distances are cut to 2, and so equal.
        margin = 3 * (self._dimension + 8) / 2**24 + self._stray / 2 + abs(square - 1) / 2
        taken = top + 2
        while True:
            order, others, limit = np.arange(len(best)), -np.inf, np.inf
            if taken < len(best):
                order = np.argpartition(best, -taken - 1)
                others = float(best[order[-taken - 1]])
                limit = min(2.0, max(0.0, square + 1 - 2 * (others + margin)) ** 0.5)
                order = order[-taken:]
            found = self._ranked(probe, order, others, margin, top)
            settled = [one for one in found if one[2] < limit]
            if len(settled) == top or taken >= len(best):
                return settled
            taken *= WIDER

    def _ranked(
        self, probe: NDArray[np.float32], groups: NDArray[np.intp], least: float, margin: float, top: int
    ) -> list[tuple[int, int, float]]:
        """Nearest subjects among rows of some groups whose score is not under `least`."""
        slices = [slice(group * GROUP, min((group + 1) * GROUP, self._count)) for group in groups.tolist()]
        scores = np.concatenate([self._vectors[one] @ probe for one in slices])
        places = (groups[:, None] * GROUP + np.arange(GROUP)).ravel()
        places = places[places < self._count]
        places, scores = places[scores >= least], scores[scores >= least]
        # Only a subject's best rows can be its nearest, and only the best subjects' rows can be among the first.
        owners, whose = np.unique(self._subjects[places], return_inverse=True)
        peaks = np.full(len(owners), -np.inf, np.float32)
        np.maximum.at(peaks, whose, scores)
        floor = np.partition(peaks, -top)[-top] if len(peaks) > top else -np.inf
        places = places[scores >= np.maximum(peaks[whose], floor) - 2 * margin]
        distances = self._distances(places, probe)
        order = np.lexsort((self._samples[places], distances))
        _, firsts = np.unique(self._subjects[places[order]], return_index=True)
        chosen = order[np.sort(firsts)[:top]]
        subjects, samples = self._subjects[places[chosen]], self._samples[places[chosen]]
        return list(zip(subjects.tolist(), samples.tolist(), distances[chosen].tolist(), strict=True))

    def _distances(self, places: NDArray[np.intp], probe: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of rows to a probe, float64, in [0, 2]."""
        distances, exact = np.empty(len(places)), probe.astype(np.float64)
        block = max(1, SCRATCH // self._dimension)
        for start in range(0, len(places), block):
            piece = slice(start, start + block)
            distances[piece] = np.linalg.norm(self._vectors[places[piece]] - exact, axis=1)
        return np.minimum(distances, 2.0)

    def _units(self, vectors: ArrayLike, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors as float32 (N, D), and their squared lengths, near 1; refuses others."""
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.ascontiguousarray(vectors, dtype=np.float32)
            if rows.ndim != 2 or rows.shape[1] != self._dimension:
                raise ValueError(f"{name}: expected shape (any number, {self._dimension}), got {rows.shape}")
            squares: NDArray[np.float32] = np.einsum("nd,nd->n", rows, rows)
            wrong = ~(np.abs(np.sqrt(squares) - 1) <= LENGTH_TOLERANCE)
        if wrong.any():
            raise ValueError(f"{name}: expected unit length, got {np.sqrt(squares[wrong.argmax()]):.4f}")
        return rows, squares

    def _resize(self, capacity: int) -> None:
        """Gives the arrays another length; the matrix is last, so that one that does not fit changes nothing."""
        self._subjects = _moved(self._subjects, self._count, capacity)
        self._samples = _moved(self._samples, self._count, capacity)
        self._vectors = _moved(self._vectors, self._count, capacity)


def _moved(array: NDArray[Any], count: int, capacity: int) -> NDArray[Any]:
    """The first `count` rows in a new array of `capacity` rows; the old one is overwritten."""
    new = np.zeros((capacity, *array.shape[1:]), array.dtype)
    new[:count] = array[:count]
    array[:] = 0
    return new


def _integers(numbers: ArrayLike, name: str, count: int | None = None) -> NDArray[np.int64]:
    """Numbers as int64; refuses what is no integer, and another count."""
    array = np.asarray(numbers)
    if array.size and not np.can_cast(array.dtype, np.int64):
        raise ValueError(f"{name}: expected integers, got {array.dtype}")
    if count is not None and array.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {array.shape}")
    return array.astype(np.int64)
