"""Moves a gallery to another encoder: templates made anew of the kept pictures, compared, then switched at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.geometry import iou
from twinface.core.identification import DEFAULT_FPIR, identification_point
from twinface.core.ports import Analyzer, GalleryStore
from twinface.core.subjects import Enrolled, ErasureReceipt, Sample, Subject, TemplateSpace
from twinface.core.types import Box, Face
from twinface.errors import ContractMismatch, GalleryError, ImageError
from twinface.services.gallery_neighbours import nearest_partner, neighbours

BATCH = 16
"""Pictures that are encoded and kept together."""

SAME_FACE = 0.3
"""Overlap (IoU) of two boxes that frame one face, found by one detector or by two."""


@dataclass(frozen=True)
class Change:
    """A picture that another model judges otherwise, when it is taken out of the gallery and searched for in it.

    Attributes:
        subject: whose picture it is.
        sample: its number.
        source: where it came from.
        before: who it is taken for by the model in use; None for nobody.
        after: by the new one.
    """

    subject: str
    sample: int
    source: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Plan:
    """What a migration would do.

    Attributes:
        space: the new one.
        pictures: in the gallery when the plan was made.
        ready: pictures that have a template of it.
        left_behind: people who would have none, with how many pictures they have: their pictures were not kept, or
            show no face to the new model.
        lost: other people's pictures that would not count any more, for the same reasons.
        changes: decisions that would change.
        compared: pictures of which both decisions are known.
    """

    space: TemplateSpace
    pictures: int
    ready: int
    left_behind: tuple[Subject, ...]
    lost: int
    changes: tuple[Change, ...]
    compared: int


def prepare(
    store: GalleryStore,
    analyzer: Analyzer,
    space: TemplateSpace,
    rules: tuple[DecisionRule, DecisionRule],
    *,
    fpir: float = DEFAULT_FPIR,
    advance: Callable[[], object] | None = None,
) -> Plan:
    """Makes templates of the kept pictures beside the old ones, and tells what would change. Nobody meets them yet.

    What was made before, by a run that was interrupted, is not made again.

    Args:
        store: the gallery.
        analyzer: the new encoder's.
        space: what the analyzer makes.
        rules: the present encoder's, and the new one's.
        fpir: false positive identification rate that decisions are made at.
        advance: called once a picture.

    Raises:
        ContractMismatch: the gallery has that encoder already, or analyzer, space and rules do not belong together.
        GalleryError: the gallery cannot be read or written.
    """
    if store.space().identity == space.identity:
        raise ContractMismatch(f"the gallery's templates are of {space.model} already; there is nothing to migrate")
    if analyzer.encoder.identity != space.identity or rules[1].model != space.identity:
        raise ContractMismatch("migration: analyzer, template space and decision rule are of different encoders")
    subjects = store.subjects()
    samples = {subject.uid: store.samples(subject.uid) for subject in subjects}
    ready = store.staged(space)
    store.stage(space, {})
    waiting: list[tuple[int, Face]] = []
    for sample in (one for some in samples.values() for one in some):
        if sample.number not in ready and sample.has_photo:
            face = _face(analyzer, store.photo(sample.number), sample.box)
            waiting += [] if face is None else [(sample.number, face)]
        if len(waiting) == BATCH:
            ready |= _made(store, analyzer, space, waiting)
            waiting = []
        if advance is not None:
            advance()
    ready |= _made(store, analyzer, space, waiting)
    counted = {uid: sum(one.number in ready for one in some) for uid, some in samples.items()}
    behind = tuple(subject for subject in subjects if not counted[subject.uid])
    lost = sum(len(samples[uid]) - count for uid, count in counted.items() if count)
    sources = {one.number: one for some in samples.values() for one in some}
    changes, compared = _changes(store.templates(), ready, rules, fpir, store, sources)
    return Plan(space, len(sources), len(ready), behind, lost, tuple(changes), compared)


def commit(store: GalleryStore, plan: Plan) -> ErasureReceipt:
    """Switches to the new templates, in one transaction. Those left behind keep their old ones, and are not found.

    Raises:
        GalleryError: pictures came or went since the plan was made.
    """
    if store.info().samples != plan.pictures:
        raise GalleryError("pictures were enrolled or removed meanwhile; migrate again, what was made is kept")
    return store.switch(plan.space)


def _face(analyzer: Analyzer, photo: bytes | None, box: Box | None) -> Face | None:
    """The face of a kept picture that was enrolled."""
    if photo is None:
        return None
    try:
        faces = analyzer.locate(photo).faces
    except ImageError:
        return None
    if box is None or not faces:
        return faces[0] if faces else None
    corners = np.array([face.box.corners for face in faces])
    overlaps = iou(corners, np.array([box.corners]))[:, 0]
    best = int(overlaps.argmax())
    return faces[best] if overlaps[best] >= SAME_FACE else None


def _made(
    store: GalleryStore, analyzer: Analyzer, space: TemplateSpace, waiting: Sequence[tuple[int, Face]]
) -> dict[int, NDArray[np.float32]]:
    if not waiting:
        return {}
    faces = analyzer.encode([face for _, face in waiting])
    made = {
        number: face.template.vector
        for (number, _), face in zip(waiting, faces, strict=True)
        if face.template is not None
    }
    store.stage(space, made)
    return made


def _changes(
    enrolled: Enrolled,
    ready: dict[int, NDArray[np.float32]],
    rules: tuple[DecisionRule, DecisionRule],
    fpir: float,
    store: GalleryStore,
    samples: dict[int, Sample],
) -> tuple[list[Change], int]:
    """Whom each picture is taken for by the others, before and after."""
    both = np.array([place for place, number in enumerate(enrolled.samples.tolist()) if number in ready], np.int64)
    if not both.size:
        return [], 0
    numbers, owners = enrolled.samples[both].tolist(), enrolled.subjects[both]
    names = store.names(enrolled.uids)
    before = _decisions(enrolled.vectors[both], owners, rules[0], fpir)
    after = _decisions(np.stack([ready[number] for number in numbers]), owners, rules[1], fpir)

    def named(place: int) -> str | None:
        return None if place < 0 else names.get(enrolled.uids[place])

    changes = [
        Change(names.get(enrolled.uids[owner], ""), number, samples[number].source, named(old), named(new))
        for number, owner, old, new in zip(numbers, owners.tolist(), before.tolist(), after.tolist(), strict=True)
        if old != new and number in samples
    ]
    return changes, len(numbers)


def _decisions(
    vectors: NDArray[np.float32], owners: NDArray[np.int64], rule: DecisionRule, fpir: float
) -> NDArray[np.int64]:
    """Place of the subject each template is taken for by all others; -1 for nobody."""
    threshold = identification_point(rule, len(vectors), fpir).threshold
    near = neighbours(vectors, owners, threshold)
    decided = np.where(near.own <= threshold, owners, -1)
    rows, partners, gaps = nearest_partner(near)
    nearer = gaps < near.own[rows]
    decided[rows[nearer]] = owners[partners[nearer]]
    return decided
