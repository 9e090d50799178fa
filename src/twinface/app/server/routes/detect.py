"""`POST /v1/detect`: the faces of a picture."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Request, UploadFile

from twinface.app.cli.output import analysis_json
from twinface.app.server.analyzing import Upload
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.app.server.uploads import RAW, picture

router = APIRouter(tags=["compare"])

EXAMPLE = {
    "path": "picture",
    "width": 640,
    "height": 480,
    "faces": [
        {
            "box": [178.28, 59.28, 89.38, 117.89],
            "landmarks": [[204.6, 101.3], [246.8, 104.8], [223.5, 127.5], [203.7, 142.2], [241.2, 145.2]],
            "score": 0.942,
            "quality": {
                "usable": True,
                "reasons": [],
                "eye_distance": 42.3,
                "sharpness": 0.42,
                "brightness": 131.0,
                "contrast": 44.1,
                "yaw": 3.1,
                "roll": 4.7,
            },
        }
    ],
    "notes": [],
    "seconds": {"decode": 0.002, "detect": 0.009, "encode": 0.0, "total": 0.011},
}


@router.post(
    "/v1/detect",
    dependencies=[Depends(require("read"))],
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
    openapi_extra=RAW,
)
async def detect(
    request: Request,
    picture_: Annotated[UploadFile | None, File(alias="picture", description="A picture.")] = None,
) -> dict[str, Any]:
    """Find the faces of a picture: boxes, landmarks, and whether each is fit for comparison."""
    state = state_of(request)
    return await state.work.run(_detect, state, await picture(request, picture_, "picture"))


def _detect(state: ServerState, source: Upload) -> dict[str, Any]:
    return analysis_json(state.recognizer.locate(source))
