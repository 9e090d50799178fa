"""`/docs` and `/openapi.json`: the description of the API, for people and for programs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from twinface.app.server.problems import Problem
from twinface.app.server.security import require

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "reference"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


@router.get("/openapi.json", dependencies=[Depends(require("read"))])
async def document(request: Request) -> dict[str, Any]:
    """OpenAPI."""
    described: dict[str, Any] = request.app.openapi()
    return described


@router.get("/docs")
async def page() -> Response:
    """A page that lists every call; it reads /openapi.json and loads nothing from elsewhere."""
    return _answer("reference.html")


@router.get("/docs/{name}")
async def part(name: str) -> Response:
    """What the page loads."""
    if name not in _files():
        raise Problem(404, "there is nothing at this address; /docs lists what there is")
    return _answer(name)


def _answer(name: str) -> Response:
    kind = TYPES[Path(name).suffix]
    return Response(_files()[name], media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})


@cache
def _files() -> dict[str, bytes]:
    """All there is, read once: no name that a client sends meets the file system."""
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
