"""Who stands before an access camera: a track's faces against the gallery, with doubt kept apart from difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twinface.core.access.evidence import SeenPerson
from twinface.core.decision import FARTHEST, DecisionRule
from twinface.core.identification import identification_point
from twinface.core.ports import GalleryStore
from twinface.core.similarity import distances
from twinface.core.subjects import Neighbour
from twinface.core.video import TrackFace
from twinface.errors import ContractMismatch
from twinface.services.likeness import templates_of

Doubt = Literal["", "nearly", "two people", "another face"]
"""Why somebody is nobody for certain: near, but not near enough; as near to somebody else; a face of the track is of
somebody else."""


NEAREST = 8
"""People looked at for each face: a poor one of somebody may have others nearer than her."""


@dataclass(frozen=True)
class Naming:
    """What a track's faces say.

    Attributes:
        person: whom they are nearest to; None for a stranger, and where the gallery is empty.
        doubt: why that is not certain; "" where it is, and of a stranger.
        threshold: largest distance at which somebody is named.
    """

    person: SeenPerson | None
    doubt: Doubt
    threshold: float


def name_faces(faces: Sequence[TrackFace], store: GalleryStore, rule: DecisionRule, fmr: float, best: int) -> Naming:
    """Who of a gallery a track shows.

    The best faces name somebody; the others have to be of the same face, each nearer to one of those than the rule
    takes two people for one at its loosest point, or somebody else was before the camera for a while.

    The distance is that of `services.video_search.name_track`. A face agrees if its nearest person is the track's, and
    is near enough by itself for the default operating point. Somebody is in doubt who is near enough for that point,
    but not for the rate asked for here; if a second person is near enough too; or if one face is not even near enough
    to her for the loosest point: then another person was before the camera for a moment.

    Args:
        faces: encoded ones of one track, best first, at least one.
        store: the gallery.
        rule: the encoder's.
        fmr: how often a stranger's track may be taken for anybody of the gallery, in (0, 1).
        best: how many faces name, at most.

    Raises:
        ContractMismatch: the rule is of another encoder than the gallery's templates.
        GalleryError: the gallery cannot be read, or the threshold be told.
    """
    space = store.space()
    if space.identity != rule.model:
        raise ContractMismatch(
            f"the gallery's templates are of {space.model} ({space.identity[:12]}), not of {rule.model[:12]}; "
            "load that model, or migrate the gallery"
        )
    chosen, others = faces[:best], faces[best:]
    own = templates_of(chosen)
    found, compared = store.nearest(np.vstack([own.mean, own.vectors]), NEAREST)
    point = identification_point(rule, compared * len(chosen), fmr)
    if not found[0]:
        return Naming(None, "", point.threshold)
    nearest = found[0][0]
    alone = _distances(nearest.subject, found[1:])
    distance = (float(alone.min()) + nearest.distance) / 2
    near = rule.point().threshold
    if not distance <= near:
        return Naming(None, "", point.threshold)
    name = store.names([nearest.subject]).get(nearest.subject)
    if name is None:  # removed by another process a moment ago
        return Naming(None, "", point.threshold)
    far = max(one.threshold for one in rule.points)
    doubt = _doubt(found, alone, distance, point.threshold, far)
    if others and not doubt and not (distances(_stacked(others), own.vectors).min(axis=1) <= far).all():
        doubt = "another face"
    agreeing = sum(
        bool(face and face[0].subject == nearest.subject and gap <= near)
        for face, gap in zip(found[1:], alone, strict=True)
    )
    person = SeenPerson(
        nearest.subject,
        name,
        distance,
        rule.curve.probability(distance),
        agreeing,
        len(chosen),
        inconclusive=bool(doubt),
    )
    return Naming(person, doubt, point.threshold)


def _doubt(
    found: Sequence[Sequence[Neighbour]],
    alone: NDArray[np.float64],
    distance: float,
    threshold: float,
    far: float,
) -> Doubt:
    """Why the track is not certainly the nearest person's.

    Args:
        found: the nearest people to the faces' mean, and to each of them.
        alone: distance of each to the nearest person, shape (n,).
        distance: of the track to her.
        threshold: largest at which somebody is named.
        far: largest distance that the rule takes for the same person at all.
    """
    if not distance <= threshold:
        return "nearly"
    if len(found[0]) > 1:
        second = found[0][1]
        other = (float(_distances(second.subject, found[1:]).min()) + second.distance) / 2
        if other <= threshold:
            return "two people"
    if not (alone <= far).all():
        return "another face"
    return ""


def _distances(subject: str, found: Sequence[Sequence[Neighbour]]) -> NDArray[np.float64]:
    """Distance of each face to a person; FARTHEST where she is not among its nearest."""
    gaps = [[one.distance for one in neighbours if one.subject == subject] for neighbours in found]
    return np.array([min(gap, default=FARTHEST) for gap in gaps])


def _stacked(faces: Sequence[TrackFace]) -> NDArray[np.float32]:
    """Templates of faces, shape (n, D)."""
    return np.stack([face.vector for face in faces])
