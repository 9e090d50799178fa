"""The few faces of a track that are worth encoding: fit, good, and spread over its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twinface.core.ports import Analyzer
from twinface.core.similarity import distances
from twinface.core.types import Box, Face, Image
from twinface.core.video import Sighting, TrackFace
from twinface.services.best_frames import score_of

Thumbnail = Callable[[Image], bytes]
"""Makes a JPEG of an aligned crop, RGB uint8 (S, S, 3)."""


@dataclass(eq=False)
class Candidate:
    """A face that may become one of a track's best.

    Attributes:
        time: of its frame, seconds.
        score: how good it is, [0, 1]; see `best_frames.score_of`.
        face: with its crop; None once it is encoded, so that the pixels are let go.
        encoded: None until it is encoded.
    """

    time: float
    score: float
    face: Face | None
    encoded: TrackFace | None = None


class BestFaces:
    """Keeps the best faces of a running track: at most `count`, no two within `spacing`.

    Where there are too many, the one goes that is worth least: how good it is, times how far it is from the nearest
    other, up to its share of the track's time. So of two that are close the lesser goes, and a long track is covered.

    Args:
        count: most faces.
        spacing: seconds between two.
        faces: of a track that runs already.
    """

    def __init__(self, count: int, spacing: float, faces: Sequence[TrackFace] = ()) -> None:
        self._count = count
        self._spacing = spacing
        known = sorted(faces, key=lambda face: face.time)
        self.candidates = [Candidate(face.time, score_of(face.quality), None, face) for face in known]
        self._told: tuple[TrackFace, ...] = ()

    def offer(self, time: float, face: Face, thumbnail: Thumbnail | None = None) -> None:
        """Takes a face, later than those before, if it is fit and good enough. It may have its template already."""
        if not face.quality.usable:
            return
        candidate = Candidate(time, score_of(face.quality), face)
        last = self.candidates[-1] if self.candidates else None
        if last is not None and time - last.time < self._spacing:
            same_slot = time // self._spacing == last.time // self._spacing  # else a best could walk along for ever
            if not same_slot or candidate.score <= last.score:
                return
            self.candidates.pop()
        self.candidates.append(candidate)
        if len(self.candidates) > self._count:
            self.candidates.remove(self._least())
        if face.template is not None and candidate in self.candidates:
            encode_candidates([candidate], [face], thumbnail)

    def _least(self) -> Candidate:
        """The one worth least; of equals the latest."""
        times = [one.time for one in self.candidates]
        share = (times[-1] - times[0]) / self._count
        gaps = [after - before for before, after in pairwise(times)]
        apart = [min(two) for two in zip([np.inf, *gaps], [*gaps, np.inf], strict=True)]
        worth = [one.score * min(share, gap) for one, gap in zip(self.candidates, apart, strict=True)]
        return min(reversed(self.candidates), key=lambda one: worth[self.candidates.index(one)])

    @property
    def waiting(self) -> list[Candidate]:
        """Those not encoded yet."""
        return [one for one in self.candidates if one.encoded is None]

    @property
    def encoded(self) -> tuple[TrackFace, ...]:
        """Those encoded, best first; the same tuple as long as they are the same."""
        ranked = sorted(self.candidates, key=lambda one: -one.score)
        faces = tuple(one.encoded for one in ranked if one.encoded is not None)
        if len(faces) != len(self._told) or any(one is not two for one, two in zip(faces, self._told, strict=True)):
            self._told = faces
        return self._told


def encode(analyzer: Analyzer, candidates: Sequence[Candidate], thumbnail: Thumbnail | None) -> None:
    """Encodes candidates of any tracks in one go."""
    faces = [one.face for one in candidates if one.face is not None]
    if faces:
        encode_candidates(candidates, analyzer.encode(faces), thumbnail)


def encode_candidates(candidates: Sequence[Candidate], faces: Sequence[Face], thumbnail: Thumbnail | None) -> None:
    """Gives candidates the faces with templates that belong to them, and lets their pixels go."""
    for candidate, face in zip(candidates, faces, strict=True):
        assert face.template is not None  # `Analyzer.encode` gives every face one
        picture = b"" if thumbnail is None else thumbnail(face.crop)
        candidate.encoded = TrackFace(candidate.time, face.box, face.quality, face.template.vector, picture)
        candidate.face = None


def seam(faces: Sequence[TrackFace], apart: float) -> tuple[float, float] | None:
    """Where a track goes over from one person to another: between which two times; None where it does not.

    Both sides must have two faces at least and agree within themselves, and each of one side be farther than that from
    each of the other: a single odd face is no other person.

    Args:
        faces: of one track.
        apart: distance up to which two faces may be of one person.
    """
    ordered = sorted(faces, key=lambda face: face.time)
    if len(ordered) < 4:
        return None
    vectors = np.stack([face.vector for face in ordered])
    same = distances(vectors, vectors) <= apart
    for place in range(2, len(ordered) - 1):
        if same[:place, :place].all() and same[place:, place:].all() and not same[:place, place:].any():
            return ordered[place - 1].time, ordered[place].time
    return None


def sever(path: Sequence[Sighting], after: float, before: float) -> int:
    """Place of the sighting that begins the second part: where, between two times, the box leaps most."""
    places = [place for place in range(1, len(path)) if path[place - 1].time >= after and path[place].time <= before]
    return max(places, key=lambda place: _leap(path[place - 1].box, path[place].box))


def _leap(one: Box, other: Box) -> float:
    """How far apart the middles of two boxes are, in sizes of the larger one."""
    across = one.x + one.width / 2 - other.x - other.width / 2
    down = one.y + one.height / 2 - other.y - other.height / 2
    return float(np.hypot(across, down) / max(one.area, other.area) ** 0.5)
