"""`POST /v1/compare`: whether two pictures show one person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, Request, UploadFile

from twinface.app.cli.compare import comparison_json
from twinface.app.server.analyzing import Upload
from twinface.app.server.choices import AnyQuality, parsed_choices
from twinface.app.server.problems import Problem
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.errors import ContractMismatch
from twinface.services.recognition import FaceChoice

router = APIRouter(tags=["compare"])

EXAMPLE = {
    "verdict": "same",
    "probability": 0.998,
    "distance": 0.41,
    "similarity": 0.92,
    "threshold": 0.83,
    "fmr": 0.001,
    "band": None,
    "model": "twin-r29",
    "a": {"path": "a", "face": 1, "faces": 1},
    "b": {"path": "b", "face": 1, "faces": 1},
    "notes": [],
}


@router.post(
    "/v1/compare",
    dependencies=[Depends(require("read"))],
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def compare(
    request: Request,
    a: Annotated[UploadFile, File(description="A picture.")],
    b: Annotated[UploadFile, File(description="Another picture.")],
    fmr: Annotated[
        float | None,
        Query(gt=0, lt=1, allow_inf_nan=False, description="Target false match rate of the verdict, as measured."),
    ] = None,
    band: Annotated[
        float | None,
        Query(ge=0.5, le=1, allow_inf_nan=False, description="How sure an answer has to be; else it is inconclusive."),
    ] = None,
    face: Annotated[
        str, Query(max_length=40, description="Faces that count: largest, all, only, a number; or one for each: 1,2.")
    ] = "largest",
    any_quality: AnyQuality = False,
) -> dict[str, Any]:
    """Tell whether two pictures show the same person, how sure that is, and why."""
    choices = parsed_choices(face)
    state = state_of(request)
    first, second = Upload(await a.read(), "a"), Upload(await b.read(), "b")
    return await state.work.run(_compare, state, (first, second), choices, fmr, band, not any_quality)


def _compare(
    state: ServerState,
    pictures: tuple[Upload, Upload],
    choices: tuple[FaceChoice, FaceChoice],
    fmr: float | None,
    band: float | None,
    refuse_poor: bool,
) -> dict[str, Any]:
    recognizer = state.recognizer
    try:
        recognizer.rule.inconclusive(recognizer.rule.point(fmr), band)
    except ContractMismatch as error:
        raise Problem(422, str(error), "unmeasured") from error
    found = recognizer.compare_all(*pictures, fmr=fmr, band=band, face=choices, refuse_poor=refuse_poor)
    return comparison_json(found[0], found, choices, recognizer.caution)
