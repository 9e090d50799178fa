"""Access control over HTTP: ask for a place, see what was decided, check the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from twinface.app.access.answers import public_json
from twinface.app.access.requests import LONGEST, request_of
from twinface.app.gallery import Gallery
from twinface.app.server.access_post import AccessPost
from twinface.app.server.camera import Camera, to_jpeg
from twinface.app.server.problems import Problem
from twinface.app.server.routes.live import camera_in
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.core.access.evidence import Reason, in_words
from twinface.core.audit import AuditRecord, record_facts
from twinface.errors import BadRequest

router = APIRouter(prefix="/v1/access", tags=["access"])

_OPERATE, _ADMIN = [Depends(require("operate"))], [Depends(require("admin"))]
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["place"],
                    "additionalProperties": False,
                    "properties": {
                        "place": {"type": "string", "maxLength": 200, "examples": ["floor-7"]},
                        "pin": {"type": "string", "format": "password"},
                        "card": {"type": "string"},
                    },
                }
            }
        },
    }
}


PATIENCE = 1.0
"""Seconds that a decision waits for others who write into the gallery; then it is a refusal."""


@asynccontextmanager
async def lifespan(state: ServerState) -> AsyncIterator[None]:
    """Opens the access point, if the server was started with a policy and a source."""
    policy, camera = state.options.policy, camera_in(state)
    if policy is None or camera is None:
        yield
        return
    with ExitStack() as stack:
        state.attached[__name__] = await asyncio.to_thread(_opened, state, policy, camera, stack)
        try:
            yield
        finally:
            await asyncio.to_thread(stack.close)


def _opened(state: ServerState, policy: File, camera: Camera, stack: ExitStack) -> AccessPost:
    """The access point. It has the gallery opened for itself: a door must not open a minute after it was asked for."""
    options = state.options
    gallery = Gallery.open(
        state.gallery.store.path,
        key_file=options.gallery_key,
        passphrase=options.passphrase,
        create=False,
        detector=options.detector,
        providers=options.providers,
        threads=options.threads,
        patience=PATIENCE,
    )
    stack.enter_context(gallery)
    post = AccessPost(policy, gallery, camera, detector=options.detector)
    stack.callback(post.close)
    return post


def _post(request: Request) -> AccessPost:
    post: AccessPost | None = state_of(request).attached.get(__name__)
    if post is None:
        raise Problem(
            409,
            "this server lets nobody in: it was started without --policy and --source",
            "access-not-configured",
        )
    return post


@router.get("/policy", dependencies=_OPERATE)
async def show_policy(request: Request) -> dict[str, Any]:
    """The policy in force, in words: who may go where and when, and what is asked of them."""
    from twinface.app.access.policy_words import nowhere, place_words

    policy = _post(request).policy
    return {
        "digest": policy.digest,
        "zone": policy.zone,
        "places": [asdict(place_words(policy, place)) for place in policy.places.values()],
        "people": len(policy.people),
        "nowhere": list(nowhere(policy)),
    }


@router.get("/status", dependencies=_OPERATE)
async def show_status(request: Request) -> dict[str, Any]:
    """Whether anybody can be let in, whether a request is being decided, and what the person should do now."""
    post: AccessPost | None = state_of(request).attached.get(__name__)
    if post is None:
        return {"configured": False, "running": False, "busy": False, "prompt": "", "trouble": None}
    return {"configured": True, **post.status()}


@router.post("/requests", dependencies=_OPERATE, openapi_extra=_BODY)
async def ask_for_place(request: Request) -> dict[str, Any]:
    """Asks for a place, and waits until that is decided: `decision` is grant or refuse, `words` say why.

    Frames from now on count. PIN and card are as the policy has them; neither is logged or repeated.
    """
    post = _post(request)
    return public_json(await post.ask(request_of(await _body(request))))


@router.get("/frame", dependencies=_OPERATE, response_class=Response, responses=_JPEG)
async def show_frame(request: Request) -> Response:
    """What the camera sees now, as a JPEG."""
    _post(request)
    state = state_of(request)
    camera: Camera | None = camera_in(state)
    frame = None if camera is None else camera.newest()
    if frame is None:
        raise Problem(503, "the camera shows nothing at present", "no-picture", headers={"Retry-After": "1"})
    return Response(await state.work.aside(to_jpeg, frame), media_type="image/jpeg")


@router.get("/events", dependencies=_OPERATE)
async def list_events(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500, description="Records at most.")] = 50,
    before: Annotated[
        int | None, Query(ge=1, le=2**53, description="Records before this number: the `next` of the last answer.")
    ] = None,
    place: Annotated[str | None, Query(max_length=200, description="Of this place only.")] = None,
) -> dict[str, Any]:
    """What was asked, decided and done, newest first, with the names of those whom the gallery still knows.

    `next` is what `before` takes for earlier records; null where there are none.
    """
    state = state_of(request)
    return await state.work.aside(_events, state, limit, before, place)


@router.get("/events/{number}/thumbnail", dependencies=_OPERATE, response_class=Response, responses=_JPEG)
async def show_thumbnail(request: Request, number: Annotated[int, Path(ge=1, le=2**53)]) -> Response:
    """The picture kept beside a record; it is erased after the policy's retention, or with the person."""
    state = state_of(request)
    picture = await state.work.aside(state.gallery.store.audit.thumbnail, number)
    if picture is None:
        raise Problem(404, "there is no picture beside this record, or none any more")
    return Response(picture, media_type="image/jpeg")


@router.get("/audit", dependencies=_ADMIN)
async def check_log(
    request: Request,
    expect: Annotated[
        str | None,
        Query(pattern="^[0-9]{1,15}:[0-9a-f]{64}$", description="A head noted earlier: the log must hold it."),
    ] = None,
) -> dict[str, Any]:
    """Whether the log is what was written: `problems` where it is not, and its `head`, to be noted elsewhere."""
    state = state_of(request)
    return await state.work.run(_check, state, expect)


async def _body(request: Request) -> Mapping[str, Any]:
    """The body, which is never repeated: it may hold a PIN.

    Raises:
        BadRequest: it is no JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "send JSON, with Content-Type: application/json")
    content = await request.body()
    if len(content) > LONGEST:
        raise BadRequest(f"a request has at most {LONGEST} bytes")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise BadRequest('a request is a JSON object as {"place": "floor-7", "pin": "1234"}')
    return facts


def _events(state: ServerState, limit: int, before: int | None, place: str | None) -> dict[str, Any]:
    store = state.gallery.store
    last = None if before is None else before - 1
    rows = list(store.audit.entries(last=last, place=place, newest=limit + 1))[::-1]
    shown, more = rows[:limit], len(rows) > limit
    names = store.names(sorted({uid for _, one in shown if one is not None for uid in one.subjects}))
    return {
        "events": [_event(number, record, names) for number, record in shown],
        "next": shown[-1][0] if more else None,
    }


def _event(number: int, record: AuditRecord | None, names: Mapping[str, str]) -> dict[str, Any]:
    if record is None:
        return {"number": number, "damaged": True}
    known = {str(one) for one in Reason}
    words = in_words(Reason(record.reason)) if record.reason in known else record.reason
    return {**record_facts(record), "people": [names.get(uid) for uid in record.subjects], "words": words}


def _check(state: ServerState, expect: str | None) -> dict[str, Any]:
    from twinface.app.cli.access.audit import head_text, parse_head
    from twinface.errors import GalleryCorrupt

    log = state.gallery.store.audit
    try:
        head = log.head()
    except GalleryCorrupt:
        head = None
    problems = log.problems(None if expect is None else parse_head(expect))
    told = [{"number": one.number, "kind": one.kind, "words": one.words} for one in problems]
    return {"sound": not problems, "head": head_text(head), "problems": told}
