"""Answers in the words of CompreFace's API, so that its clients can move; what the routes run in a thread."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twinface.app.server.problems import Problem
from twinface.core.naming import clean_name, name_key
from twinface.core.subjects import Sample, Subject
from twinface.core.types import Face
from twinface.errors import (
    DuplicateSubject,
    GalleryError,
    NoFace,
    PoorQuality,
    SeveralFaces,
    TwinFaceError,
    UnknownSubject,
    UnreadableImage,
)
from twinface.services.enrolment import Enroller, Enrolment, Picture
from twinface.services.identification import IdentifiedFace

if TYPE_CHECKING:
    from twinface.app.server.analyzing import Upload
    from twinface.app.server.state import ServerState


@dataclass(frozen=True)
class Asked:
    """What CompreFace's routes about pictures are asked.

    Attributes:
        limit: faces that count, largest first; 0 for all.
        score: least score of a detection.
        landmarks: whether those are told.
        status: whether the models are named.
    """

    limit: int = 0
    score: float = 0.0
    landmarks: bool = False
    status: bool = False


def verify(state: ServerState, source: Upload, target: Upload, asked: Asked) -> dict[str, Any]:
    """Compares the largest face of one picture with the faces of another.

    Raises:
        ImageError: a picture cannot be read.
        FaceError: one shows no face that is fit.
    """
    found = state.recognizer.compare_all(source, target, face=("largest", "all"))
    fit = sorted((one for one in found if one.b.score >= asked.score), key=lambda one: one.index_b)
    if found[0].a.score < asked.score or not fit:
        raise NoFace(f"a picture shows no face with a score of {asked.score:g}; lower det_prob_threshold")
    nearest_first = sorted(fit[: asked.limit or None], key=lambda one: -one.probability)
    return {
        "result": [
            {
                "source_image_face": _face_json(found[0].a, asked),
                "face_matches": [
                    {**_face_json(one.b, asked), "similarity": round(one.probability, 5)} for one in nearest_first
                ],
                **_versions(state, asked),
            }
        ]
    }


def recognize(state: ServerState, picture: Upload, asked: Asked, count: int) -> dict[str, Any]:
    """Tells of each face the nearest people of the gallery.

    Args:
        state: of the server.
        picture: what was sent.
        asked: how it is answered.
        count: people told of each face.

    Raises:
        ImageError: the picture cannot be read.
        NoFace: it shows no face.
    """
    found = state.identifier.identify(picture, top=count)
    faces = [one for one in found.faces if one.face.score >= asked.score]
    if not faces:
        raise NoFace("file: no face found; use a picture that shows the face larger or more frontally")
    told = [{**_face_json(one.face, asked), **_subjects_json(one)} for one in faces[: asked.limit or None]]
    return {"result": told, **_versions(state, asked)}


def list_faces(state: ServerState, subject: str | None, page: int, size: int) -> dict[str, Any]:
    """The pictures of everybody, or of one person, a page at a time."""
    store = state.gallery.store
    people = store.subjects() if subject is None else [store.find(subject)]
    total = sum(one.samples for one in people)
    rows: list[dict[str, str]] = []
    passed = 0
    for person in people:
        if passed + person.samples > page * size and passed < (page + 1) * size:
            for place, sample in enumerate(store.samples(person.uid), passed):
                if page * size <= place < (page + 1) * size:
                    rows.append(_example_json(sample, person.name))
        passed += person.samples
    return {
        "faces": rows,
        "page_number": page,
        "page_size": size,
        "total_pages": math.ceil(total / size),
        "total_elements": total,
    }


def add_face(state: ServerState, subject: str, picture: Upload) -> dict[str, str]:
    """Enrols a picture; the person comes into being with the first one.

    Raises:
        ImageError: it cannot be read.
        FaceError: it does not show one face that is fit.
        GalleryError: the name is none.
        Problem: 409, it is enrolled for somebody else.
    """
    name, content = clean_name(subject), picture.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    with state.changing:
        enroller = Enroller(state.recognizer.analyzer, state.gallery.store)
        (done,) = enroller.enroll([Picture(name, "file", lambda: (content, digest))])
        if not done.there:
            raise _refusal(done)
        person = state.gallery.store.find(done.name)
        samples = state.gallery.store.samples(person.uid)
    sample = next((one for one in samples if one.digest == digest), samples[-1])
    return _example_json(sample, person.name)


def remove_faces(state: ServerState, subject: str) -> dict[str, int]:
    """Forgets all pictures of somebody, and so the person."""
    with state.changing:
        return {"deleted": state.gallery.store.remove([subject]).samples}


def remove_face(state: ServerState, image: uuid.UUID) -> dict[str, str]:
    """Forgets one picture; with the last one the person is forgotten too.

    Raises:
        Problem: 404, there is none.
    """
    with state.changing:
        person, sample = _find(state, image)
        state.gallery.store.remove_samples([sample.number])
    return _example_json(sample, person.name)


def add_subject(state: ServerState, subject: str) -> dict[str, str]:
    """Checks a name; nothing is kept before the first picture comes.

    Raises:
        GalleryError: it is none.
        DuplicateSubject: somebody has it.
    """
    name = clean_name(subject)
    if any(name_key(one.name) == name_key(name) for one in state.gallery.store.subjects()):
        raise DuplicateSubject("there is somebody of this name already; add pictures to her")
    return {"subject": name}


def rename_subject(state: ServerState, subject: str, new: str) -> dict[str, bool]:
    """Gives somebody another name; if somebody has it already, the two become one, as CompreFace has it."""
    store, name = state.gallery.store, clean_name(new)
    with state.changing:
        try:
            other = store.find(name)
        except UnknownSubject:
            other = None
        if other is None or other.uid == store.find(subject).uid:
            store.rename(subject, name)
        else:
            store.merge(other.name, [subject])
    return {"updated": True}


def remove_subject(state: ServerState, subject: str) -> dict[str, str]:
    """Forgets somebody."""
    with state.changing:
        name = state.gallery.store.find(subject).name
        state.gallery.store.remove([name])
    return {"subject": name}


def remove_everybody(state: ServerState) -> dict[str, int]:
    """Forgets everybody."""
    with state.changing:
        names = [one.name for one in state.gallery.store.subjects()]
        if names:
            state.gallery.store.remove(names)
    return {"deleted": len(names)}


def photo(state: ServerState, image: uuid.UUID) -> bytes:
    """The picture itself.

    Raises:
        Problem: 404, there is none, or it was not kept.
    """
    kept = state.gallery.store.photo(_find(state, image)[1].number)
    if kept is None:
        raise Problem(404, "the picture was not kept; only what was made of it is", "no-photo")
    return kept


def image_id(sample: Sample) -> uuid.UUID:
    """What CompreFace's clients call a picture: half of its digest, and its number."""
    return uuid.UUID(hex=f"{sample.digest[:16]}{sample.number:016x}")


def _find(state: ServerState, image: uuid.UUID) -> tuple[Subject, Sample]:
    store = state.gallery.store
    for person in store.subjects():
        for sample in store.samples(person.uid):
            if image_id(sample) == image:
                return person, sample
    raise Problem(404, "there is no picture of this image_id", "unknown-photo")


def _face_json(face: Face, asked: Asked) -> dict[str, Any]:
    left, top, right, bottom = (round(value) for value in face.box.corners)
    box = {"probability": round(face.score, 5), "x_max": right, "y_max": bottom, "x_min": left, "y_min": top}
    points = [[round(float(x)), round(float(y))] for x, y in face.landmarks.points]
    return {"box": box, **({"landmarks": points} if asked.landmarks else {})}


def _subjects_json(one: IdentifiedFace) -> dict[str, Any]:
    subjects = [
        {
            "subject": candidate.name,
            "similarity": round(candidate.probability, 5),
            "accepted": one.point.accepts(candidate.distance),
        }
        for candidate in one.candidates
    ]
    return {"subjects": subjects, **({} if one.compared else {"reasons": list(one.face.quality.reasons)})}


def _versions(state: ServerState, asked: Asked) -> dict[str, Any]:
    names = {"detector": state.recognizer.detector_name, "calculator": state.recognizer.encoder_name}
    return {"plugins_versions": names} if asked.status else {}


def _example_json(sample: Sample, name: str) -> dict[str, str]:
    return {"image_id": str(image_id(sample)), "subject": name}


def _refusal(done: Enrolment) -> TwinFaceError | Problem:
    """Why a picture was not enrolled, as an error."""
    if done.fate == "conflict":
        return Problem(409, "this picture is enrolled for somebody else", "duplicate-photo")
    words = f"file: {done.why}"
    if done.fate == "poor quality":
        return PoorQuality(words, done.why.partition(";")[0].split(", ")[0])
    return _REFUSALS.get(done.fate, GalleryError)(words)


_REFUSALS: Mapping[str, type[TwinFaceError]] = MappingProxyType(
    {"unreadable": UnreadableImage, "no face": NoFace, "several faces": SeveralFaces}
)
