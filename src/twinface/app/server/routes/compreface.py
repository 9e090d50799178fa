"""`/api/v1/...`: routes as CompreFace has them, for clients that move from there; the key travels as `x-api-key`.

`similarity` is TwinFace's calibrated probability that two faces show one person, at equal odds beforehand: thresholds
that were tuned for CompreFace's models have to be set anew. Of the people told of a face, `accepted` says whether the
gallery's own threshold, which grows stricter with its size, would name the person. Faces that are not fit for
comparison have no subjects, and say why as `reasons`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, File, Query, Request, Response, UploadFile
from pydantic import BaseModel

from twinface.app.server import compreface
from twinface.app.server.analyzing import Upload
from twinface.app.server.compreface import Asked
from twinface.app.server.problems import Problem
from twinface.app.server.security import require
from twinface.app.server.state import state_of

router = APIRouter(prefix="/api/v1", tags=["compreface"])

_READ, _OPERATE = [Depends(require("read"))], [Depends(require("operate"))]
_ADMIN = [Depends(require("admin"))]

Name = Annotated[str, Query(min_length=1, max_length=800, description="The person's name.")]
File_ = Annotated[UploadFile | None, File(description="A picture; or JSON with the field in base64 as the body.")]


class Named(BaseModel):
    """A person's name."""

    subject: str


def _asked(
    limit: Annotated[int, Query(ge=0, le=1000, description="Faces that count, largest first; 0 for all.")] = 0,
    det_prob_threshold: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="Least score of a face.")
    ] = 0.0,
    face_plugins: Annotated[str, Query(max_length=200, description="Of these, landmarks is heeded.")] = "",
    status: Annotated[bool, Query(description="Whether the models are named.")] = False,
) -> Asked:
    wanted = {one.strip() for one in face_plugins.split(",")}
    return Asked(limit, det_prob_threshold, "landmarks" in wanted, status)


How = Annotated[Asked, Depends(_asked)]


@router.post("/verification/verify", dependencies=_READ)
async def verify(request: Request, asked: How, source_image: File_ = None, target_image: File_ = None) -> Any:
    """Compare the largest face of one picture with those of another, `similarity` being the calibrated probability."""
    source = await _picture(request, source_image, "source_image")
    target = await _picture(request, target_image, "target_image")
    state = state_of(request)
    return await state.work.run(compreface.verify, state, source, target, asked)


@router.post("/recognition/recognize", dependencies=_READ)
async def recognize(
    request: Request,
    asked: How,
    file: File_ = None,
    prediction_count: Annotated[int, Query(ge=1, le=100, description="People told of each face.")] = 1,
) -> Any:
    """Tell of each face the nearest people, `similarity` being the calibrated probability; see also `accepted`."""
    picture = await _picture(request, file, "file")
    state = state_of(request)
    return await state.work.run(compreface.recognize, state, picture, asked, prediction_count)


@router.get("/recognition/faces", dependencies=_READ)
async def list_faces(
    request: Request,
    page: Annotated[int, Query(ge=0, le=10**9, description="Number of the page, from 0.")] = 0,
    size: Annotated[int, Query(ge=1, le=1000, description="Pictures of a page.")] = 20,
    subject: Annotated[str | None, Query(max_length=800, description="Of this person only.")] = None,
) -> Any:
    """List the pictures enrolled."""
    state = state_of(request)
    return await state.work.aside(compreface.list_faces, state, subject or None, page, size)


@router.post("/recognition/faces", status_code=201, dependencies=_OPERATE)
async def add_face(request: Request, subject: Name, file: File_ = None) -> Any:
    """Enrol a picture; the person comes into being with the first one."""
    picture = await _picture(request, file, "file")
    state = state_of(request)
    return await state.work.run(compreface.add_face, state, subject, picture)


@router.delete("/recognition/faces", dependencies=_OPERATE)
async def remove_faces(request: Request, subject: Name) -> Any:
    """Forget all pictures of a person, and so the person. `DELETE /subjects` forgets everybody."""
    state = state_of(request)
    return await state.work.run(compreface.remove_faces, state, subject)


@router.delete("/recognition/faces/{image_id}", dependencies=_OPERATE)
async def remove_face(request: Request, image_id: UUID) -> Any:
    """Forget one picture; with the last one the person is forgotten too."""
    state = state_of(request)
    return await state.work.run(compreface.remove_face, state, image_id)


@router.get(
    "/recognition/faces/{image_id}/img",
    dependencies=_READ,
    response_class=Response,
    responses={200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def show_face(request: Request, image_id: UUID) -> Response:
    """A picture, if it was kept."""
    state = state_of(request)
    content = await state.work.aside(compreface.photo, state, image_id)
    return Response(content, media_type="application/octet-stream")


@router.get("/recognition/subjects/", dependencies=_READ, include_in_schema=False)
@router.get("/recognition/subjects", dependencies=_READ)
async def list_subjects(request: Request) -> Any:
    """List the names of everybody."""
    people = await state_of(request).work.aside(state_of(request).gallery.people)
    return {"subjects": [one.name for one in people]}


@router.post("/recognition/subjects", status_code=201, dependencies=_OPERATE)
async def add_subject(request: Request, named: Named) -> Any:
    """Check a name. A person comes into being with the first picture: before that there is nothing to be kept."""
    state = state_of(request)
    return await state.work.aside(compreface.add_subject, state, named.subject)


@router.put("/recognition/subjects/{subject}", dependencies=_OPERATE)
async def rename_subject(request: Request, subject: str, named: Named) -> Any:
    """Give a person another name; if somebody has it already, the two become one."""
    state = state_of(request)
    return await state.work.run(compreface.rename_subject, state, subject, named.subject)


@router.delete("/recognition/subjects/{subject}", dependencies=_OPERATE)
async def remove_subject(request: Request, subject: str) -> Any:
    """Forget a person with all pictures."""
    state = state_of(request)
    return await state.work.run(compreface.remove_subject, state, subject)


@router.delete("/recognition/subjects", dependencies=_ADMIN)
async def remove_everybody(request: Request) -> Any:
    """Forget everybody."""
    state = state_of(request)
    return await state.work.run(compreface.remove_everybody, state)


async def _picture(request: Request, upload: UploadFile | None, field: str) -> Upload:
    """The picture of a form's field, or in base64 of the same field in JSON.

    Raises:
        Problem: 422, there is none.
    """
    if upload is not None:
        return Upload(await upload.read(), field)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        try:
            facts = await request.json()
        except (ValueError, RecursionError):
            facts = None
        text = facts.get(field) if isinstance(facts, dict) else None
        if isinstance(text, str):
            try:
                return Upload(base64.b64decode(text, validate=True), field)
            except (binascii.Error, ValueError):
                raise Problem(422, f"{field}: no base64; send the picture's bytes so", "invalid") from None
    raise Problem(422, f"there is no picture; send one as the field {field} of a form", "invalid")
