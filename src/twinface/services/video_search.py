"""Where in a video a person is, by her photos, and whom of a gallery a track shows.

**One bad frame names nobody**: `CONFIRM` faces of a track must each be near enough by itself for the default operating
point. A track with fewer faces needs them all, and is held to `FEW` times the false positive rate that was asked for.
How near a track is, and what threshold that is held to: see `services.likeness`.

**Who was found helps to find her again**: another track counts too that is near enough to the photos for the default
operating point, is one person with a track found (`services.track_people`), and is never seen at once with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import FARTHEST, DecisionRule
from twinface.core.identification import DEFAULT_FPIR, Candidate, IdentificationPoint, identification_point
from twinface.core.ports import GalleryStore
from twinface.core.types import Box
from twinface.core.video import Track, TrackFace
from twinface.errors import ContractMismatch
from twinface.services.likeness import Templates, templates_of

SEARCH_FPIR = 0.05
"""Of twenty videos without the person one may show her all the same: whoever searches looks at what was found, and
misses cost more than a second look."""

CONFIRM = 2
"""Faces of a track that must agree."""

FEW = 0.1
"""Share of the false positive identification rate that a track with fewer faces may have."""

AGAIN_FMR = 1e-2
"""How often somebody else's track may be near enough to one found; she has to be near the photos as well."""

GAP = 2.0
"""Seconds between two tracks of a person up to which they are one appearance: she turned away, or was hidden."""


class Faced(Protocol):
    """A track, ended or running."""

    @property
    def faces(self) -> tuple[TrackFace, ...]:
        """Its encoded faces."""
        ...


@dataclass(frozen=True, eq=False)
class Hit:
    """One appearance of the person sought.

    Attributes:
        tracks: that show it, in order of time; at least one.
        nearest: the face nearest to the photos, of the nearest track.
        distance: of the nearest track to the person, [0, 2].
        probability: calibrated P(same person | distance) as if it were of one pair, at prior 0.5.
    """

    tracks: tuple[Track, ...]
    nearest: TrackFace
    distance: float
    probability: float

    @property
    def start(self) -> float:
        """Seconds."""
        return min(track.start for track in self.tracks)

    @property
    def end(self) -> float:
        """Seconds."""
        return max(track.end for track in self.tracks)

    @property
    def time(self) -> float:
        """Of the nearest face, seconds."""
        return self.nearest.time

    @property
    def box(self) -> Box:
        """Where that is, pixels."""
        return self.nearest.box

    @property
    def thumbnail(self) -> bytes:
        """A JPEG of it; empty where none was made."""
        return self.nearest.thumbnail


def find(
    tracks: Sequence[Track],
    query: NDArray[np.float32],
    rule: DecisionRule,
    fpir: float = SEARCH_FPIR,
    *,
    gap: float = GAP,
    confirm: int = CONFIRM,
) -> list[Hit]:
    """Where a person is in a video.

    Args:
        tracks: all of the video: the more there are, the nearer a track must be.
        query: templates of the person's photos, shape (K, D), K >= 1, unit length.
        rule: the encoder's.
        fpir: how often somebody who is not in the video may be found in it all the same, in (0, 1).
        gap: seconds between two tracks up to which they are one hit.
        confirm: faces of a track that must agree.

    Returns:
        In order of time.

    Raises:
        GalleryError: the rate is no such number, or the rule's single operating point cannot tell.
        ContractMismatch: the photos' templates are of another length than the tracks'.
        ValueError: there is no photo, or `confirm` is not positive.
    """
    person = Templates.of(query)
    faced = sorted((track for track in tracks if track.faces), key=lambda track: (track.start, track.number))
    points = _points(rule, len(person.vectors) * sum(len(track.faces) for track in faced), fpir)
    looked = [(track, templates_of(track.faces)) for track in faced]
    alike = [own.near(person) for _, own in looked]
    sure = [_sure(one.distance, one.alone, rule, points, confirm) for one in alike]
    known = [pair for pair, good in zip(looked, sure, strict=True) if good]
    found = [
        Hit((pair[0],), pair[0].faces[one.nearest], one.distance, rule.curve.probability(one.distance))
        for pair, one, good in zip(looked, alike, sure, strict=True)
        if good or (rule.point().accepts(one.distance) and _again(pair, known, rule))
    ]
    return _joined(found, gap)


def search_point(
    tracks: Sequence[Track], photos: int, rule: DecisionRule, fpir: float = SEARCH_FPIR
) -> IdentificationPoint:
    """The threshold that `find` holds tracks to that have faces enough, for reports."""
    return _points(rule, photos * sum(len(track.faces) for track in tracks), fpir)[0]


def name_track(
    track: Faced, store: GalleryStore, rule: DecisionRule, fpir: float = DEFAULT_FPIR, *, confirm: int = CONFIRM
) -> Candidate | None:
    """Who of a gallery a track shows.

    A track is one probe of several templates: the gallery's distance is taken of each face and of their mean, and that
    of the track is the mean of the smallest and the latter.

    Args:
        track: ended or running.
        store: the gallery.
        rule: the encoder's.
        fpir: how often a stranger's track may be taken for somebody, in (0, 1).
        confirm: faces that must agree on their nearest person.

    Returns:
        The person; None for a stranger, and where too little is known.

    Raises:
        ContractMismatch: the rule is of another encoder than the gallery's templates.
        GalleryError: the gallery cannot be read, or the threshold be told.
        ValueError: `confirm` is not positive.
    """
    space = store.space()
    if space.identity != rule.model:
        raise ContractMismatch(
            f"the gallery's templates are of {space.model} ({space.identity[:12]}), not of {rule.model[:12]}; "
            "load that model, or migrate the gallery"
        )
    if not track.faces:
        return None
    own = templates_of(track.faces)
    found, compared = store.nearest(np.vstack([own.mean, own.vectors]), 1)
    if not found[0]:
        return None
    best = found[0][0]
    alone = np.full(len(own.vectors), FARTHEST)
    for place, neighbours in enumerate(found[1:]):
        if neighbours and neighbours[0].subject == best.subject:
            alone[place] = neighbours[0].distance
    distance = (float(alone.min()) + best.distance) / 2
    if not _sure(distance, alone, rule, _points(rule, compared * len(alone), fpir), confirm):
        return None
    name = store.names([best.subject]).get(best.subject)
    if name is None:  # removed by another process a moment ago
        return None
    return Candidate(name, best.subject, distance, rule.curve.probability(distance))


def _points(rule: DecisionRule, pairs: int, fpir: float) -> tuple[IdentificationPoint, IdentificationPoint]:
    """The threshold for tracks with faces enough, and the one for others."""
    return identification_point(rule, pairs, fpir), identification_point(rule, pairs, FEW * fpir)


def _sure(
    distance: float,
    alone: NDArray[np.float64],
    rule: DecisionRule,
    points: tuple[IdentificationPoint, IdentificationPoint],
    confirm: int,
) -> bool:
    """Whether a track is a person's: it is near enough, and so are enough of its faces, each by itself.

    Args:
        distance: of the track.
        alone: of each of its faces, shape (n,).
        rule: the encoder's.
        points: see `_points`.
        confirm: faces that are enough.
    """
    if confirm < 1:
        raise ValueError(f"confirm must be positive, got {confirm}")
    point = points[0] if len(alone) >= confirm else points[1]
    agreeing = int((alone <= rule.point().threshold).sum())
    return point.accepts(distance) and agreeing >= min(confirm, len(alone))


def _again(pair: tuple[Track, Templates], known: Sequence[tuple[Track, Templates]], rule: DecisionRule) -> bool:
    """Whether a track shows once more whom others are known to show."""
    track, own = pair
    if any(track.start < other.end and other.start < track.end for other, _ in known):
        return False
    return any(
        own.near(templates).distance
        <= identification_point(rule, len(own.vectors) * len(templates.vectors), AGAIN_FMR).threshold
        for _, templates in known
    )


def _joined(hits: Sequence[Hit], gap: float) -> list[Hit]:
    """Hits in order of time, those no more than `gap` seconds apart made one."""
    joined: list[Hit] = []
    for hit in hits:
        if joined and hit.start - joined[-1].end <= gap:
            nearer = min(joined[-1], hit, key=lambda one: one.distance)
            tracks = joined[-1].tracks + hit.tracks
            joined[-1] = Hit(tracks, nearer.nearest, nearer.distance, nearer.probability)
        else:
            joined.append(hit)
    return joined
