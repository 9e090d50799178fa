"""`/v1/gallery`: what the gallery is, and what should be mended in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.core.identification import DEFAULT_FPIR
from twinface.services.gallery_health import examine

router = APIRouter(prefix="/v1/gallery", tags=["people"])

READ = [Depends(require("read"))]
FINDING = {
    "kind": "probable duplicate",
    "subjects": ["Ada", "Ada L."],
    "samples": [1, 7],
    "words": "Ada and Ada L. are probably one person",
    "advice": "twinface people merge Ada 'Ada L.'",
    "distance": 0.21,
}


@router.get("", dependencies=READ)
async def show_gallery(request: Request) -> dict[str, Any]:
    """Tell what the gallery is and how much it holds."""
    state = state_of(request)
    facts = asdict(await state.work.aside(state.gallery.info))
    space = facts.pop("space")
    return {
        **facts,
        "created": facts["created"].isoformat(),
        "model": state.recognizer.encoder_name if state.ready else None,
        "mirror": space["mirror"],
        "dimension": space["dimension"],
    }


@router.get(
    "/findings",
    dependencies=READ,
    responses={200: {"content": {"application/json": {"example": {"findings": [FINDING]}}}}},
)
async def examine_gallery(
    request: Request,
    fpir: Annotated[float, Query(gt=0, lt=1, allow_inf_nan=False)] = DEFAULT_FPIR,
    few: Annotated[int, Query(ge=1, le=1000, description="So many pictures of a person are enough.")] = 2,
) -> dict[str, Any]:
    """Find what should be mended: doubles, wrong pictures, look-alikes, poor or few pictures."""
    state = state_of(request)
    return {"findings": await state.work.run(_examine, state, fpir, few)}


def _examine(state: ServerState, fpir: float, few: int) -> list[dict[str, Any]]:
    store = state.gallery.store
    rule = state.recognizer.rule
    return [
        asdict(one) for one in examine(store.templates(), store.subjects(), store.samples, rule, fpir=fpir, few=few)
    ]
