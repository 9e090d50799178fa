"""People of the gallery as the API tells and changes them: what the routes run in a thread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from twinface.app.cli.people import sample_json, subject_json
from twinface.app.server.idempotency import Idempotency, digest
from twinface.app.server.problems import Problem, told
from twinface.app.server.state import ServerState
from twinface.core.files import shown
from twinface.core.naming import clean_name
from twinface.core.subjects import ErasureReceipt, Sample, Subject
from twinface.errors import DuplicateSubject, TwinFaceError, UnknownSubject
from twinface.services.enrolment import Enroller, Enrolment, EnrolmentOptions, Picture

MOST_PHOTOS = 100
"""Of one request."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture of a person that was sent.

    Attributes:
        label: what to call it: the client's name of the file where that is a plain one.
        content: the file.
    """

    label: str
    content: bytes


@dataclass(frozen=True)
class Told:
    """A person, and what became of the pictures sent.

    Attributes:
        person: as JSON.
        etag: of the person.
        photos: of each picture, as JSON.
        again: whether all this had been done before.
    """

    person: dict[str, Any]
    etag: str
    photos: list[dict[str, Any]]
    again: bool = False


def person(state: ServerState, uid: str) -> tuple[Subject, list[Sample]]:
    """Somebody by uid, with what is kept of her pictures.

    Raises:
        UnknownSubject: there is nobody.
    """
    store = state.gallery.store
    name = store.names([uid]).get(uid)
    if name is None:
        raise UnknownSubject(f"nobody has the uid {shown(uid)}; GET /v1/people lists everybody")
    found = store.find(name)
    if found.uid != uid:  # removed, and her name given to another, a moment ago
        raise UnknownSubject(f"nobody has the uid {shown(uid)}; GET /v1/people lists everybody")
    return found, store.samples(uid)


def person_json(found: Subject, samples: Sequence[Sample]) -> dict[str, Any]:
    """A person with her pictures."""
    return {**subject_json(found), "samples": [sample_json(one) for one in samples]}


def etag(found: Subject, samples: Sequence[Sample]) -> str:
    """Changes whenever something of the person does."""
    facts = [subject_json(found), [one.number for one in samples]]
    return f'"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}"'


def show(state: ServerState, uid: str) -> Told:
    """Somebody, as she is now."""
    found, samples = person(state, uid)
    return Told(person_json(found, samples), etag(found, samples), [])


def create(
    state: ServerState,
    name: str,
    photos: Sequence[Photo],
    options: EnrolmentOptions,
    idempotency: tuple[Idempotency, str] | None,
) -> Told:
    """Enrols somebody new.

    Args:
        state: of the server.
        name: hers.
        photos: of her.
        options: how they are enrolled.
        idempotency: what was done before, and this request's key; None if it has none.

    Raises:
        DuplicateSubject: somebody has the name.
        Problem: 422, none of the photos could be enrolled; it says why.
    """
    name = clean_name(name)
    request = digest(name, repr(replace(options, expires=None)), *(one.content for one in photos))
    with state.changing:
        if idempotency is not None:
            done = idempotency[0].find(idempotency[1], request)
            if done is not None:
                return replace(show(state, done.uid), photos=[{"result": fate} for fate in done.fates], again=True)
        with suppress(UnknownSubject):
            raise DuplicateSubject(
                f"there is a {shown(state.gallery.store.find(name).name)} already; add photos to that person"
            )
        rows = _enroll(state, name, photos, options)
        if not any(one.fate == "enrolled" for one in rows):
            words = f"none of the photos could be enrolled: {told(rows[0].why) or rows[0].fate}"
            raise Problem(422, words, "nothing-enrolled", photos=_rows(rows, photos))
        found = state.gallery.store.find(name)
        if idempotency is not None:
            idempotency[0].keep(idempotency[1], request, found.uid, [one.fate for one in rows])
        return replace(show(state, found.uid), photos=_rows(rows, photos))


@runtime_checkable
class Forgetful(Protocol):
    """Part of the server that keeps names."""

    def forget(self, name: str) -> None:
        """Forgets what it keeps under a name."""
        ...


def add_photos(state: ServerState, uid: str, photos: Sequence[Photo], options: EnrolmentOptions) -> Told:
    """Enrols more pictures of somebody; what became of each is told, also if none was taken."""
    with state.changing:
        found, _ = person(state, uid)
        rows = _enroll(state, found.name, photos, options)
        return replace(show(state, uid), photos=_rows(rows, photos))


def change(state: ServerState, uid: str, seen: str, changes: dict[str, Any]) -> Told:
    """Renames somebody, or says when she is to be forgotten.

    Args:
        state: of the server.
        uid: hers.
        seen: the ETag she had when the caller looked.
        changes: any of `name` and `expires`.

    Raises:
        Problem: 412, she was changed meanwhile.
        DuplicateSubject: somebody else has the name.
    """
    with _unchanged(state, uid, seen) as found:
        name = found.name
        if "name" in changes and changes["name"] != name:
            name = clean_name(changes["name"])
            state.gallery.store.rename(found.name, name)
            _forget(state, found.name)
        if "expires" in changes:
            state.gallery.store.set_expiry(name, changes["expires"])
    return show(state, uid)


def remove(state: ServerState, uid: str, seen: str | None) -> ErasureReceipt:
    """Removes somebody and erases every byte kept of her.

    Raises:
        Problem: 412, she was changed meanwhile.
    """
    with _unchanged(state, uid, seen) as found:
        receipt = state.gallery.store.remove([found.name])
        _forget(state, found.name)
        return receipt


def remove_photo(state: ServerState, uid: str, number: int) -> ErasureReceipt:
    """Removes one picture of somebody, and what was made of it; with the last one she goes too."""
    with state.changing:
        sample(state, uid, number)
        return state.gallery.store.remove_samples([number])


def merge(state: ServerState, uid: str, others: Sequence[str]) -> Told:
    """Makes several people one: the pictures of the others become hers, their names are erased."""
    with state.changing:
        found, _ = person(state, uid)
        names = [person(state, other)[0].name for other in others]
        state.gallery.store.merge(found.name, names)
        for name in names:
            _forget(state, name)
        return show(state, uid)


def _forget(state: ServerState, name: str) -> None:
    """Has everybody forget a name that is erased: what was asked by it, say."""
    for one in state.attached.values():
        if isinstance(one, Forgetful):
            one.forget(name)


def sample(state: ServerState, uid: str, number: int) -> Sample:
    """A picture of somebody.

    Raises:
        Problem: 404, she has none of that number.
    """
    for one in person(state, uid)[1]:
        if one.number == number:
            return one
    raise Problem(404, f"this person has no picture number {number}", "unknown-photo")


@contextmanager
def _unchanged(state: ServerState, uid: str, seen: str | None) -> Iterator[Subject]:
    with state.changing:
        found, samples = person(state, uid)
        if seen not in (None, "*", etag(found, samples)):
            raise Problem(412, "the person was changed meanwhile; look again, then repeat what still applies")
        yield found


def _enroll(state: ServerState, name: str, photos: Sequence[Photo], options: EnrolmentOptions) -> list[Enrolment]:
    enroller = Enroller(state.recognizer.analyzer, state.gallery.store, options)
    return list(enroller.enroll([_picture(name, photo) for photo in photos]))


def _picture(name: str, photo: Photo) -> Picture:
    return Picture(name, photo.label, lambda: (photo.content, hashlib.sha256(photo.content).hexdigest()))


def _rows(rows: Sequence[Enrolment], photos: Sequence[Photo]) -> list[dict[str, Any]]:
    return [
        {"photo": photo.label, "result": one.fate, "why": told(one.why)}
        for one, photo in zip(rows, photos, strict=True)
    ]


def expires_of(text: str | None) -> Any:
    """When somebody is to be forgotten: 30d, 12h, 8w, 2027-01-31; None for never.

    Raises:
        Problem: 422, it is none of these.
    """
    from twinface.core.subjects import expiry

    try:
        return None if text is None else expiry(text)
    except TwinFaceError as error:
        raise Problem(422, str(error), "invalid") from error
