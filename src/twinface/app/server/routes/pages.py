"""The pages: plain HTML in one frame, and the files they load. They hold no data; what they show they ask of /v1."""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from twinface.app.server.problems import Problem

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parents[2] / "web"

PAGES = {
    "compare": "Compare",
    "people": "People",
    "live": "Live",
    "search": "Search",
    "access": "Access",
    "models": "Models",
    "settings": "Settings",
}
"""The pages by their addresses, in the order of the navigation; the first one is also at /."""

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""What /static gives, by the ending of its name."""

FRESH = {"Cache-Control": "no-cache"}
"""The browser asks whether its copy still holds; the answer is mostly that it does."""


@router.get("/")
async def start() -> RedirectResponse:
    """Leads to the first page."""
    return RedirectResponse("/compare", status_code=307)


@router.get("/login")
async def login(request: Request) -> Response:
    """The page that asks for a key."""
    return _answer(request, _page("login", "Sign in").encode(), "text/html")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """A stylesheet, script or drawing."""
    content = _files().get(name)
    if content is None:
        raise Problem(404, "there is no such file")
    return _answer(request, content, TYPES[Path(name).suffix])


def _show(page: str, title: str) -> None:
    @router.get(f"/{page}", name=page)
    async def show(request: Request) -> Response:
        return _answer(request, _page(page, title).encode(), "text/html")


for _name, _title in PAGES.items():
    _show(_name, _title)


def _answer(request: Request, content: bytes, kind: str) -> Response:
    """The content, or that the browser has it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {**FRESH, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


@cache
def _files() -> dict[str, bytes]:
    """All that /static may give: read once, so that no name a browser sends ever meets the file system."""
    return {path.name: path.read_bytes() for path in (WEB / "static").iterdir() if path.suffix in TYPES}


@cache
def _page(page: str, title: str) -> str:
    frame = (WEB / "layout.html").read_text("utf-8")
    parts = {
        "title": escape(title),
        "page": page,
        "nav": "\n".join(_link(name, words, here=name == page) for name, words in PAGES.items()),
        "main": (WEB / "pages" / f"{page}.html").read_text("utf-8"),
    }
    for key, value in parts.items():
        frame = frame.replace("{{" + key + "}}", value)
    return frame


def _link(page: str, words: str, *, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    icon = f'<svg aria-hidden="true"><use href="/static/icons.svg#{page}"></use></svg>'
    return f'<a href="/{page}"{current}>{icon}<span>{escape(words)}</span></a>'
