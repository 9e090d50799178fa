"""`/v1/people/.../thumbnail` and `/v1/people/.../photos/...`: single pictures of people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from twinface.app.cli.people import receipt_json
from twinface.app.server import persons
from twinface.app.server.problems import Problem
from twinface.app.server.routes.people import OPERATE, READ, Uid
from twinface.app.server.state import ServerState, state_of
from twinface.app.server.thumbnails import thumbnail
from twinface.core.subjects import Sample

router = APIRouter(prefix="/v1/people", tags=["people"])

Number = Annotated[int, Path(ge=1, le=2**62, description="Number of the picture, as GET of the person lists it.")]
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}


@router.get("/{uid}/thumbnail", dependencies=READ, response_class=Response, responses=_JPEG)
async def person_thumbnail(request: Request, uid: Uid) -> Response:
    """The face of a person, if a photo was kept."""
    state = state_of(request)
    return await _thumbnail(request, await state.work.aside(_newest, state, uid))


@router.get("/{uid}/photos/{number}/thumbnail", dependencies=READ, response_class=Response, responses=_JPEG)
async def photo_thumbnail(request: Request, uid: Uid, number: Number) -> Response:
    """The face in one picture of a person, if the photo was kept."""
    state = state_of(request)
    return await _thumbnail(request, await state.work.aside(persons.sample, state, uid, number))


@router.delete("/{uid}/photos/{number}", dependencies=OPERATE)
async def remove_photo(request: Request, uid: Uid, number: Number) -> dict[str, Any]:
    """Forget one picture and what was made of it; with the last one the person is forgotten too."""
    state = state_of(request)
    return receipt_json(await state.work.run(persons.remove_photo, state, uid, number))


async def _thumbnail(request: Request, sample: Sample) -> Response:
    state = state_of(request)
    headers = {"ETag": f'"{sample.digest[:32]}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(await state.work.run(thumbnail, state, sample), media_type="image/jpeg", headers=headers)


def _newest(state: ServerState, uid: str) -> Sample:
    kept = [one for one in persons.person(state, uid)[1] if one.has_photo]
    if not kept:
        raise Problem(404, "no photo of this person was kept", "no-photo")
    return kept[-1]
