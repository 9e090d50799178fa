"""`POST /v1/identify`: who the faces of a picture are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, Request, UploadFile

from twinface.app.cli.identify import identification_json
from twinface.app.server.analyzing import Upload
from twinface.app.server.choices import AnyQuality, parsed_choice
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.app.server.uploads import RAW, picture
from twinface.core.identification import DEFAULT_FPIR
from twinface.services.identification import TOP
from twinface.services.recognition import FaceChoice

router = APIRouter(tags=["people"])

EXAMPLE = {
    "path": "picture",
    "width": 640,
    "height": 480,
    "faces": [
        {
            "box": [178.28, 59.28, 89.38, 117.89],
            "score": 0.942,
            "compared": True,
            "subject": "Ada",
            "candidates": [{"subject": "Ada", "uid": "0" * 32, "distance": 0.31, "probability": 0.9993}],
        }
    ],
    "model": "twin-r29",
    "threshold": 0.62,
    "fpir": 0.01,
    "fmr": 0.0005,
    "extrapolated": False,
    "templates": 20,
}


@router.post(
    "/v1/identify",
    dependencies=[Depends(require("read"))],
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
    openapi_extra=RAW,
)
async def identify(
    request: Request,
    picture_: Annotated[UploadFile | None, File(alias="picture", description="A picture.")] = None,
    top: Annotated[int, Query(ge=1, le=100, description="Candidates told of every face.")] = TOP,
    fpir: Annotated[
        float,
        Query(gt=0, lt=1, allow_inf_nan=False, description="Share of strangers that may be taken for somebody."),
    ] = DEFAULT_FPIR,
    face: Annotated[str, Query(max_length=40, description="Faces that count: all, largest, only or a number.")] = "all",
    any_quality: AnyQuality = False,
) -> dict[str, Any]:
    """Name the faces of a picture by the gallery; a face whom nobody is near enough is unknown."""
    choice = parsed_choice(face)
    state = state_of(request)
    source = await picture(request, picture_, "picture")
    return await state.work.run(_identify, state, source, top, fpir, choice, not any_quality)


def _identify(
    state: ServerState, source: Upload, top: int, fpir: float, face: FaceChoice, refuse_poor: bool
) -> dict[str, Any]:
    found = state.identifier.identify(source, top=top, fpir=fpir, face=face, refuse_poor=refuse_poor)
    told = identification_json(found)
    for one, row in zip(found.faces, told["faces"], strict=True):
        for candidate, listed in zip(one.candidates, row["candidates"], strict=True):
            listed["uid"] = candidate.uid
        row["uid"] = None if one.best is None else one.best.uid
    caution = state.recognizer.caution
    return {**told, "notes": [*told["notes"], *([caution] if caution else [])]}
