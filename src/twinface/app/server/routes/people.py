"""`/v1/people`: enrol, see, rename, merge and forget people."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Header, Path, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from twinface.app.cli.people import receipt_json, subject_json
from twinface.app.server import persons
from twinface.app.server.choices import parsed_choice
from twinface.app.server.idempotency import HEADER, LONGEST, Idempotency, digest
from twinface.app.server.persons import MOST_PHOTOS, Photo, Told, expires_of
from twinface.app.server.problems import Problem
from twinface.app.server.security import Caller, require
from twinface.app.server.state import ServerState, state_of
from twinface.core.naming import name_key
from twinface.core.subjects import Subject
from twinface.services.enrolment import EnrolmentOptions
from twinface.services.recognition import FaceChoice

router = APIRouter(prefix="/v1/people", tags=["people"])

READ, OPERATE = [Depends(require("read"))], [Depends(require("operate"))]
CURSORS = 1000
"""Lists that may be under way."""

Uid = Annotated[str, Path(pattern="^[0-9a-f]{32}$", examples=["0f" * 16])]
Photos = Annotated[list[UploadFile], File(alias="photo", description=f"Pictures, at most {MOST_PHOTOS}.")]
Face = Annotated[
    str, Form(max_length=40, description="Face that counts: clear (far larger than others), only, largest, a number.")
]
AnyQuality = Annotated[bool, Form(description="Enrol blurred, profile or tiny faces too.")]
KeepPhotos = Annotated[bool, Form(description="Keep the pictures, for thumbnails and other models.")]

PERSON = {
    "name": "Ada",
    "uid": "0f" * 16,
    "pictures": 1,
    "photos": 0,
    "created": "2026-01-31T09:00:00+00:00",
    "expires": None,
}
ENROLLED = {"person": PERSON, "photos": [{"photo": "ada.jpg", "result": "enrolled", "why": ""}]}


class Changes(BaseModel):
    """What is to be changed of a person."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str | None, Field(max_length=800, examples=["Ada Lovelace"])] = None
    expires: Annotated[str | None, Field(max_length=20, examples=["30d"], description="30d, 2027-01-31 or never.")] = (
        None
    )


class Others(BaseModel):
    """Who become somebody else."""

    model_config = ConfigDict(extra="forbid")

    others: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]], Field(min_length=1, max_length=1000)]


@router.get(
    "",
    dependencies=READ,
    responses={200: {"content": {"application/json": {"example": {"people": [PERSON], "total": 1, "next": None}}}}},
)
async def list_people(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="People of a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=40, description="`next` of the page before.")] = None,
    name: Annotated[str | None, Query(max_length=800, description="Only who has this name.")] = None,
) -> dict[str, Any]:
    """List everybody enrolled, by name, a page at a time."""
    state = state_of(request)
    people = await state.work.aside(state.gallery.people)
    if name is not None:
        people = [one for one in people if name_key(one.name) == name_key(name)]
    rest = _after(state, people, cursor)
    page = rest[:limit]
    following = _cursor(state, page[-1]) if len(rest) > limit else None
    return {"people": [subject_json(one) for one in page], "total": len(people), "next": following}


@router.post("", status_code=201, responses={201: {"content": {"application/json": {"example": ENROLLED}}}})
async def enroll(
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(require("operate"))],
    name: Annotated[str, Form(max_length=800, examples=["Ada"])],
    photo: Photos,
    face: Face = "clear",
    any_quality: AnyQuality = False,
    keep_photos: KeepPhotos = False,
    expires: Annotated[str | None, Form(max_length=20, description="30d, 12h, 8w or 2027-01-31.")] = None,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=LONGEST, description="The same for every try of one request.")
    ] = None,
) -> dict[str, Any]:
    """Enrol somebody new with pictures of her. What became of each picture is told."""
    state = state_of(request)
    options = EnrolmentOptions(_face(face), not any_quality, keep_photos, expires_of(expires or None))
    once = None if idempotency_key is None else (_idempotency(state), digest(caller.key, idempotency_key))
    told = await state.work.run(persons.create, state, name, await _photos(photo), options, once)
    response.headers["Location"] = f"/v1/people/{told.person['uid']}"
    if told.again:
        response.headers["Idempotent-Replayed"] = "true"
    return _answer(told, response)


@router.get("/{uid}", dependencies=READ)
async def show_person(request: Request, response: Response, uid: Uid) -> dict[str, Any]:
    """Show all that is kept of a person, less the templates; the ETag is for changing her."""
    state = state_of(request)
    told = await state.work.aside(persons.show, state, uid)
    response.headers["ETag"] = told.etag
    return told.person


@router.patch("/{uid}", dependencies=OPERATE)
async def change_person(
    request: Request,
    response: Response,
    uid: Uid,
    changes: Changes,
    if_match: Annotated[str | None, Header(max_length=100, description="The ETag the person had.")] = None,
) -> dict[str, Any]:
    """Rename somebody, or say when she is to be forgotten. The old name is erased."""
    state = state_of(request)
    if if_match is None:
        raise Problem(428, "send If-Match with the ETag that GET gave, so that nobody's change is lost")
    given: dict[str, Any] = {field: getattr(changes, field) for field in changes.model_fields_set}
    if given.get("name", "") is None:
        raise Problem(422, "body.name: a person has a name; leave it out to keep it", "invalid")
    if "expires" in given:
        given["expires"] = expires_of(None if given["expires"] in (None, "never") else given["expires"])
    told = await state.work.run(persons.change, state, uid, if_match, given)
    response.headers["ETag"] = told.etag
    return told.person


@router.delete("/{uid}", dependencies=OPERATE)
async def remove_person(
    request: Request, uid: Uid, if_match: Annotated[str | None, Header(max_length=100)] = None
) -> dict[str, Any]:
    """Forget somebody: every byte kept of her is erased. The answer is the receipt."""
    state = state_of(request)
    return receipt_json(await state.work.run(persons.remove, state, uid, if_match))


@router.post("/{uid}/merge", dependencies=OPERATE)
async def merge_people(request: Request, response: Response, uid: Uid, others: Others) -> dict[str, Any]:
    """Make several people one: the pictures of the others become hers, their names are erased."""
    state = state_of(request)
    told = await state.work.run(persons.merge, state, uid, others.others)
    response.headers["ETag"] = told.etag
    return told.person


@router.post("/{uid}/photos", dependencies=OPERATE)
async def add_photos(
    request: Request,
    response: Response,
    uid: Uid,
    photo: Photos,
    face: Face = "clear",
    any_quality: AnyQuality = False,
    keep_photos: KeepPhotos = False,
) -> dict[str, Any]:
    """Enrol more pictures of somebody. One that is enrolled already changes nothing: this may be sent again."""
    state = state_of(request)
    options = EnrolmentOptions(_face(face), not any_quality, keep_photos)
    return _answer(await state.work.run(persons.add_photos, state, uid, await _photos(photo), options), response)


def _answer(told: Told, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = told.etag
    return {"person": told.person, "photos": told.photos}


def _face(text: str) -> FaceChoice | Literal["clear"]:
    if text == "all":
        raise Problem(
            422, "all faces of a picture cannot be one person; say clear, only, largest or a number", "invalid"
        )
    return "clear" if text == "clear" else parsed_choice(text)


async def _photos(uploads: list[UploadFile]) -> list[Photo]:
    if len(uploads) > MOST_PHOTOS:
        raise Problem(422, f"{len(uploads)} photos at once; send at most {MOST_PHOTOS}", "invalid")
    return [Photo(_label(one.filename, number), await one.read()) for number, one in enumerate(uploads, 1)]


def _label(filename: str | None, number: int) -> str:
    """The client's name of a file where it is a plain one: it is kept for people to read, and opens nothing."""
    plain = filename is not None and re.fullmatch(r"\w[\w .()-]{0,99}", filename) is not None
    return filename if plain and filename is not None else f"photo {number}"


def _idempotency(state: ServerState) -> Idempotency:
    kept: Idempotency = state.attached.setdefault(HEADER, Idempotency(state.options.folder / "idempotency"))
    return kept


def _cursors(state: ServerState) -> OrderedDict[str, tuple[str, str]]:
    kept: OrderedDict[str, tuple[str, str]] = state.attached.setdefault("cursors", OrderedDict())
    return kept


def _cursor(state: ServerState, last: Subject) -> str:
    """A word for where a list goes on; it is no name, since addresses are written into logs."""
    cursors = _cursors(state)
    word = secrets.token_urlsafe(16)
    cursors[word] = _order(last)
    if len(cursors) > CURSORS:
        cursors.popitem(last=False)
    return word


def _after(state: ServerState, people: list[Subject], cursor: str | None) -> list[Subject]:
    if cursor is None:
        return people
    last = _cursors(state).get(cursor)
    if last is None:
        raise Problem(400, "this cursor is not known any more; list from the beginning", "stale-cursor")
    return [one for one in people if _order(one) > last]


def _order(one: Subject) -> tuple[str, str]:
    return name_key(one.name), one.uid
