"""`/healthz`, `/readyz`, `/metrics`: for what looks after the server."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from twinface.app.server.metrics import CONTENT_TYPE
from twinface.app.server.problems import Problem
from twinface.app.server.security import require
from twinface.app.server.state import state_of

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the server runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Whether the models are loaded and the gallery answers."""
    state = state_of(request)
    if not state.ready:
        raise Problem(503, "the models are not loaded yet", "not-ready", headers={"Retry-After": "1"})
    await state.work.aside(state.gallery.store.space)
    return {"status": "ready"}


@router.get("/metrics", dependencies=[Depends(require("read"))], response_class=Response)
async def metrics(request: Request) -> Response:
    """Requests, latencies, queue and time in models, as Prometheus reads them."""
    return Response(state_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})
