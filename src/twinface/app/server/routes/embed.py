"""`POST /v1/embed`: the templates of a picture's faces."""

from __future__ import annotations

import io
from dataclasses import astuple
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, File, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response

from twinface.app.cli.output import face_json
from twinface.app.server.analyzing import Upload
from twinface.app.server.choices import parsed_choice
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.app.server.uploads import RAW, picture
from twinface.core.types import Analysis, Face
from twinface.services.recognition import FaceChoice

router = APIRouter(tags=["compare"])

NPZ = "application/x-npz"
EXAMPLE = {
    "model": "0f3a...",
    "dimension": 128,
    "faces": [{"face": 1, "template": [0.013, -0.092], "box": [178.28, 59.28, 89.38, 117.89], "score": 0.942}],
    "notes": [],
}


@router.post(
    "/v1/embed",
    dependencies=[Depends(require("operate"))],
    response_class=JSONResponse,
    responses={
        200: {
            "content": {
                "application/json": {"example": EXAMPLE},
                NPZ: {"schema": {"type": "string", "format": "binary"}},
            }
        }
    },
    openapi_extra=RAW,
)
async def embed(
    request: Request,
    picture_: Annotated[UploadFile | None, File(alias="picture", description="A picture.")] = None,
    face: Annotated[
        str, Query(max_length=40, description="Faces that count: largest, all, only or a number, 1 = largest.")
    ] = "largest",
    form: Annotated[
        Literal["json", "npz"], Query(alias="format", description="npz: what twinface embed writes.")
    ] = "json",
) -> Response:
    """Give the templates of a picture's faces.

    A template is biometric: it tells one person from others as a fingerprint does. Only those of one model meet.
    """
    choice = parsed_choice(face)
    state = state_of(request)
    source = await picture(request, picture_, "picture")
    analysis, identity = await state.work.run(_embed, state, source, choice)
    rows = [(number, one) for number, one in enumerate(analysis.faces, 1) if one.template is not None]
    if form == "npz":
        content = await state.work.aside(_npz, rows, identity)
        return Response(content, media_type=NPZ, headers={"Content-Disposition": "attachment; filename=templates.npz"})
    return JSONResponse(_json(analysis, rows, identity))


def _embed(state: ServerState, source: Upload, choice: FaceChoice) -> tuple[Analysis, str]:
    recognizer = state.recognizer
    return recognizer.analyze(source, choice), recognizer.rule.model


def _json(analysis: Analysis, rows: list[tuple[int, Face]], identity: str) -> dict[str, Any]:
    faces = [
        {"face": number, "template": [round(float(value), 7) for value in _vector(face)], **face_json(face)}
        for number, face in rows
    ]
    dimension = len(faces[0]["template"]) if faces else None
    return {"model": identity, "dimension": dimension, "faces": faces, "notes": list(analysis.notes)}


def _npz(rows: list[tuple[int, Face]], identity: str) -> bytes:
    """The arrays that `twinface embed` writes, less the paths."""
    file = io.BytesIO()
    np.savez_compressed(
        file,
        templates=np.stack([_vector(face) for _, face in rows]) if rows else np.zeros((0, 0), np.float32),
        faces=np.array([number for number, _ in rows], dtype=np.int32),
        boxes=np.array([astuple(face.box) for _, face in rows], dtype=np.float32).reshape(-1, 4),
        scores=np.array([face.score for _, face in rows], dtype=np.float32),
        usable=np.array([face.quality.usable for _, face in rows], dtype=np.bool_),
        model=np.array(identity),
    )
    return file.getvalue()


def _vector(face: Face) -> np.ndarray:
    assert face.template is not None  # the rows are those that have one
    return face.template.vector
