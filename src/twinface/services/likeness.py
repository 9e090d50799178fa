"""How alike two people are of whom there are several templates each.

Their distance is the mean of two: of their nearest templates, and of their mean templates. For a probe of one template
it is the gallery's (docs/gallery.md), and for two of one each it is that of the templates.

Every pair of templates compared is a chance to be near, so a threshold has to count them all. Tracks and photos were
made up of LFW's pictures of persons the encoder has not seen, 1 to 5 a side: at `identification_point` for so many
pairs, strangers are taken for one another 0.7 to 1.7 times as often as asked. Were each side counted once it would be
up to six times, and twenty by the distance of means alone. That frames of one track are more alike than such pictures
is no way out: tracks of five templates drawn together to a quarter of their differences still count for three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.decision import FARTHEST
from twinface.core.similarity import normalise
from twinface.core.video import TrackFace
from twinface.errors import ContractMismatch
from twinface.services.best_frames import score_of


@dataclass(frozen=True, eq=False)
class Likeness:
    """How near a track is to somebody.

    Attributes:
        distance: of the two, [0, 2].
        alone: distance of each of the track's faces, by itself, [0, 2], shape (n,).
        nearest: place of the face that has the nearest template.
    """

    distance: float
    alone: NDArray[np.float64]
    nearest: int


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates of one person.

    Attributes:
        vectors: float32, shape (n, D), n >= 1, unit length.
        mean: float32, shape (D,), unit length.
    """

    vectors: NDArray[np.float32]
    mean: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: ArrayLike, weights: ArrayLike | None = None) -> Templates:
        """Joins templates.

        Args:
            vectors: shape (n, D).
            weights: of each in the mean, shape (n,), not negative; None for equal ones.

        Raises:
            ValueError: there are none, or no such array; or one is zero or not finite.
        """
        rows = np.asarray(vectors, np.float32)
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"templates: expected shape (n, D) with n >= 1, got {rows.shape}")
        rows = normalise(rows)
        shares = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
        if not shares.any():
            shares = np.ones(len(rows))
        total = shares @ rows.astype(np.float64)
        sound = np.linalg.norm(total) > 1e-6 * shares.sum()
        return cls(rows, normalise(total) if sound else rows[0])  # those that cancel out have no mean

    def near(self, other: Templates) -> Likeness:
        """How near these, of a track, are to another person.

        Raises:
            ContractMismatch: the templates are of different lengths.
        """
        if self.mean.shape != other.mean.shape:
            raise ContractMismatch(
                f"templates of {len(self.mean)} numbers cannot be compared with those of {len(other.mean)}; "
                "they are of different models: encode them anew"
            )
        gaps = _gaps(self.vectors, other.vectors).min(axis=1)
        alone = (gaps + _gaps(self.vectors, other.mean[None])[:, 0]) / 2
        distance = (gaps.min() + _gaps(self.mean[None], other.mean[None])[0, 0]) / 2
        return Likeness(float(distance), alone, int(gaps.argmin()))


def templates_of(faces: Sequence[TrackFace]) -> Templates:
    """A track's; the better a face, the more it counts in the mean."""
    return Templates.of(np.stack([face.vector for face in faces]), [score_of(face.quality) for face in faces])


def _gaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances of all rows (N, D) to all rows (M, D), in float64."""
    gaps: NDArray[np.float64] = np.linalg.norm(one[:, None].astype(np.float64) - other[None], axis=2)
    return np.minimum(gaps, FARTHEST)
