"""Joins the routes to one application."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.websockets import WebSocket

import twinface
from twinface.app.server import edge, routes
from twinface.app.server.limits import BodyLimits
from twinface.app.server.openapi import openapi
from twinface.app.server.options import ServerOptions
from twinface.app.server.problems import Problem, problem_of
from twinface.app.server.security import Guard, requirement_of
from twinface.app.server.state import ServerState
from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery

LOGIN_BYTES = 4096
"""Bytes of a login: whoever sends it has shown no key yet."""

TOLD = 10
"""Mistakes of a request that are told."""

_LOG = logging.getLogger("twinface.server")


def create_app(options: ServerOptions, *, gallery: Gallery | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        options: what it serves, and its limits.
        gallery: one that is open already, and stays open; None to open the one of the options.

    Raises:
        TwinFaceError: the gallery cannot be opened, or another address than this machine's own is to be served and
            no key was ever made.
    """
    from twinface.app.gallery import Gallery

    opened = gallery
    if opened is None:
        opened = Gallery.open(
            options.gallery,
            key_file=options.gallery_key,
            passphrase=options.passphrase,
            model=options.model,
            detector=options.detector,
            providers=options.providers,
            threads=options.threads,
        )
    try:
        state = ServerState(options, opened)
        if not (options.loopback and not options.proxied) and not state.keys.any:
            raise TwinFaceError(
                f"{options.host}: others than this machine could reach the server, and there is no key yet; "
                "twinface serve init makes the first key"
            )
    except BaseException:
        if gallery is None:
            opened.close()
        raise

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if gallery is None:
                stack.callback(opened.close)
            stack.push_async_callback(state.work.close)
            for module in routes.modules():
                if hasattr(module, "lifespan"):
                    await stack.enter_async_context(module.lifespan(state))
            warming = asyncio.create_task(_warm(state))
            yield
            await warming

    app = FastAPI(
        title="TwinFace",
        version=twinface.__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.twinface = state
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    for module in routes.modules():
        app.router.routes.extend(_guarded(route) for route in module.router.routes)
    for kind in (HTTPException, TwinFaceError, RequestValidationError):
        app.add_exception_handler(kind, cast(Any, _tell))
    others = {"/v1/videos": options.max_video_bytes, "/v1/session": LOGIN_BYTES}
    app.add_middleware(BodyLimits, limit=options.max_bytes, others=others)
    app.add_middleware(edge.Edge, options=options, metrics=state.metrics)
    return app


def _guarded(route: BaseRoute) -> BaseRoute:
    """A copy of a route that is refused before it reads anything."""
    if isinstance(route, Mount):
        return route
    if not isinstance(route, APIRoute | APIWebSocketRoute):
        raise TypeError(f"{route}: routes are made by APIRouter's get, post, ..., websocket and mount")
    requirement = requirement_of(route.dependant)
    if requirement is None:
        if route.path not in routes.PUBLIC:
            raise TypeError(f"{route.path}: demands no role; add Depends(require(...)), or name it in PUBLIC")
        return route
    guarded = copy.copy(route)
    guarded.app = Guard(route.app, requirement)
    return guarded


async def _warm(state: ServerState) -> None:
    """Loads the models, so that the first caller need not wait for them."""
    try:
        await state.work.run(lambda: state.identifier)
        state.ready = True
    except TwinFaceError as error:
        _LOG.error("the models cannot be loaded: %s", error)


async def _tell(connection: HTTPConnection, error: Exception) -> Response | None:
    """The answer to an error; a WebSocket is refused or closed."""
    if isinstance(error, RequestValidationError):
        refusal = _invalid(error)
    elif isinstance(error, TwinFaceError):
        refusal = problem_of(error, connection.app.state.twinface.hidden)
    else:
        refusal = edge.problem(error)
    if isinstance(connection, WebSocket):
        await edge.answer(refusal, connection, connection.receive, connection.send)
        return None
    return refusal.response()


def _invalid(error: RequestValidationError) -> Problem:
    """What makes no sense, by field; what was given is not repeated."""
    wrong: list[dict[str, Any]] = [
        {"field": ".".join(map(str, one["loc"])), "problem": str(one["msg"])} for one in error.errors()[:TOLD]
    ]
    first = wrong[0] if wrong else {"field": "request", "problem": "it makes no sense"}
    return Problem(422, f"{first['field']}: {first['problem']}", "invalid", errors=wrong)
