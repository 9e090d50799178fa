"""People on their way from one gallery to another, or from another program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twinface.app.wiring import template_space
from twinface.core.ports import GalleryStore
from twinface.core.subjects import Entry, NewSample, Outcome, Subject, TemplateSpace
from twinface.core.types import Template
from twinface.errors import GalleryError
from twinface.gallery.exchange import Portable, PortablePerson, read_people, write_people
from twinface.gallery.foreign_encodings import read_face_recognition

BATCH = 256
"""Templates taken in one transaction."""


def export(store: GalleryStore, people: Sequence[Subject], out: Path) -> int:
    """Writes people to a file; how many templates that were.

    Raises:
        GalleryError: nobody has a template of the gallery's model.
        OutputError: it cannot be written.
    """
    enrolled = store.templates()
    rows = {number: place for place, number in enumerate(enrolled.samples.tolist())}
    portable, count = [], 0
    for person in people:
        samples = []
        for one in store.samples(person.uid):
            if one.number in rows:
                template = Template(enrolled.vectors[rows[one.number]], enrolled.space.identity)
                photo = store.photo(one.number) if one.has_photo else None
                samples.append(NewSample(one.digest, template, one.source, one.quality, one.box, photo))
        portable.append(PortablePerson(person.name, person.created, person.expires, tuple(samples)))
        count += len(samples)
    if not count:
        raise GalleryError("nobody to export: no template of the gallery's model is there")
    write_people(out, Portable(enrolled.space, tuple(portable)))
    return count


def entries_of_people(file: Path) -> list[Entry]:
    """What an exported file holds.

    Raises:
        GalleryError: it cannot be read or is none.
    """
    return [
        Entry(person.name, sample, person.expires) for person in read_people(file).people for sample in person.samples
    ]


def space_of_people(file: Path) -> TemplateSpace:
    """What made an exported file's templates."""
    return read_people(file).space


def entries_of_encodings(file: Path, names: Path | None) -> tuple[list[Entry], TemplateSpace]:
    """Encodings of face_recognition, as templates of the network both of us use.

    Raises:
        GalleryError: the file cannot be read or is none.
    """
    space = template_space("resnet29", mirror=False)
    entries = []
    for name, vector in read_face_recognition(file, names):
        digest = hashlib.sha256(np.asarray(vector, "<f4").tobytes()).hexdigest()
        entries.append(
            Entry(name, NewSample(digest, Template(vector, space.identity), f"face_recognition: {file.name}"))
        )
    return entries, space


def take(store: GalleryStore, entries: Sequence[Entry]) -> list[Outcome]:
    """Enrols what came from a file, in batches that are kept whole or not at all."""
    return [
        outcome for start in range(0, len(entries), BATCH) for outcome in store.enroll(entries[start : start + BATCH])
    ]
