"""Which face belongs to which running track: by geometry, and where that is in doubt by templates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twinface.core.assignment import UNMATCHED, Pair, assign
from twinface.core.decision import DecisionRule
from twinface.core.ports import Analyzer
from twinface.core.similarity import distances
from twinface.core.tracking import Look, TrackingOptions, doubts
from twinface.core.types import Face
from twinface.services.track_faces import BestFaces, Thumbnail, encode

LIKENESS = 2.0
"""Cost of a match for each threshold's length that it is farther, by templates, than the nearest of those in doubt.
Geometry in doubt differs by `TrackingOptions.margin` at most, so that two different people are told by their faces, and
one person's frames, of which some are farther than others, by geometry still."""


class Matcher:
    """Matches the faces of a frame with running tracks.

    Args:
        analyzer: encodes the faces that geometry leaves in doubt.
        rule: the encoder's; a face is the track's person at its default operating point. None for geometry alone.
        options: what geometry allows.
        thumbnail: makes a JPEG of each kept face that is encoded; None for none.
    """

    def __init__(
        self, analyzer: Analyzer, rule: DecisionRule | None, options: TrackingOptions, thumbnail: Thumbnail | None
    ) -> None:
        self._analyzer = analyzer
        self._point = None if rule is None else rule.point()
        self._options = options
        self._thumbnail = thumbnail

    def match(self, look: Look, faces: list[Face], kept: Sequence[BestFaces], cut: bool) -> list[Pair]:
        """Row of a track and place of its face, for each face that has a track.

        Where the scene has changed a face is the track's only if its template says so. So it is after a leap, unless
        there is no template to ask, as of a face that is not fit.

        Args:
            look: what geometry says.
            faces: of the frame; those that had to be encoded have their templates afterwards.
            kept: the best faces of each track, in the order of `look`.
            cut: whether the scene has changed.
        """
        pairs = assign(look.costs)
        asked = set() if self._point is None else doubts(look, pairs, self._options) | (set(pairs) if cut else set())
        if self._point is None or not asked:
            return [] if cut else pairs
        rows, columns = sorted({row for row, _ in asked}), sorted({column for _, column in asked})
        gaps = self._compared([kept[row] for row in rows], columns, faces)
        known = np.isfinite(gaps)
        if not known.any():
            return [] if cut else pairs
        unit = self._point.threshold
        block = np.ix_(rows, columns)
        barred = (gaps > unit) & (cut | (look.overlaps[block] < self._options.overlap))
        beyond = np.where(known, gaps, unit) - np.nanmin(gaps)
        costs = look.costs.copy()
        costs[block] += np.where(barred, np.inf, np.clip(LIKENESS * beyond / unit, 0, UNMATCHED))
        pairs = assign(costs)
        if not cut:
            return pairs
        sure = {(rows[row], columns[column]) for row, column in np.argwhere(known & (gaps <= unit)).tolist()}
        return [pair for pair in pairs if pair in sure]

    def _compared(self, kept: Sequence[BestFaces], columns: Sequence[int], faces: list[Face]) -> NDArray[np.float64]:
        """Distance of each of some faces to the nearest kept of each of some tracks; NaN where one is not fit.

        Args:
            kept: of N tracks.
            columns: places of M faces.
            faces: all of the frame.

        Returns:
            Shape (N, M).
        """
        encode(self._analyzer, [one for best in kept for one in best.waiting], self._thumbnail)
        fit = [column for column in columns if faces[column].quality.usable]
        encoded = self._analyzer.encode([faces[column] for column in fit]) if fit else ()
        for column, face in zip(fit, encoded, strict=True):
            faces[column] = face
        gaps = np.full((len(kept), len(columns)), np.nan)
        for place, column in enumerate(columns):
            template = faces[column].template
            for row, best in enumerate(kept):
                if template is not None and best.encoded:
                    vectors = np.stack([face.vector for face in best.encoded])
                    gaps[row, place] = distances(template.vector[None], vectors).min()
        return gaps
