"""The edge of the server: hosts it answers to, headers that browsers heed, and the last catch for every error."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from twinface.app.server.metrics import Metrics
from twinface.app.server.options import ServerOptions, is_loopback
from twinface.app.server.problems import STATUSES, Problem, problem_of
from twinface.errors import TwinFaceError

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Scripts and styles come from this server's files alone; blobs are what the user chose."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Of every answer, where the route says nothing else."""

_LOG = logging.getLogger("twinface.server")


class Edge:
    """Checks the Host, counts, adds headers, and turns every error into a problem.

    Args:
        app: what answers.
        options: say which hosts are meant.
        metrics: told of every answer.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app, self._options, self._metrics = app, options, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, whatever happens."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), secure=scope["scheme"] in ("https", "wss"))
            await send(message)

        try:
            self._check_host(Headers(scope=scope))
            await self._app(scope, receive, sending)
        except (ClientDisconnect, WebSocketDisconnect):  # nobody is left to be answered
            return
        except Exception as error:
            if status:
                _LOG.exception("an answer broke off")
                raise
            await answer(problem(error), HTTPConnection(scope), receive, sending)
        if status:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(_method(scope), route, status, time.perf_counter() - began)

    def _check_host(self, headers: Headers) -> None:
        """Refuses names that are not this server's: another site's name may be made to point here."""
        if not self._options.loopback and not self._options.public_hosts:
            return
        try:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host) and host not in self._options.public_hosts and host != self._options.host:
            raise Problem(421, "this server does not answer to that name; see twinface serve --public-host")


def problem(error: Exception) -> Problem:
    """Any error as a problem; what nobody foresaw goes to the log with its trace, and none of it to the client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        code, title = STATUSES.get(error.status_code, ("error", "The request was refused"))
        return Problem(error.status_code, _words(error, title), code, headers=error.headers)
    if isinstance(error, TwinFaceError):
        return problem_of(error)
    _LOG.error("unexpected %s", type(error).__name__, exc_info=error)
    return Problem(500, "something went wrong that nobody foresaw; the server's log says more")


async def answer(refusal: Problem, connection: HTTPConnection, receive: Receive, send: Send) -> None:
    """Sends a problem; a WebSocket that is open is closed with its code."""
    response: Response = refusal.response()
    if connection.scope["type"] == "http":
        await response(connection.scope, receive, send)
        return
    socket = connection if isinstance(connection, WebSocket) else WebSocket(connection.scope, receive, send)
    if socket.application_state is WebSocketState.CONNECTING and "websocket.http.response" in socket.scope.get(
        "extensions", {}
    ):
        await response(socket.scope, receive, send)
    elif socket.application_state is not WebSocketState.DISCONNECTED:
        await socket.close(1008 if refusal.status_code < 500 else 1011, refusal.code)


def _words(error: HTTPException, title: str) -> str:
    """What to do about a refusal of the framework's own."""
    headers: Mapping[str, str] = error.headers or {}
    if error.status_code == 404:
        return "there is nothing at this address; /docs lists what there is"
    if error.status_code == 405:
        return f"this address takes {headers.get('Allow', 'other methods')}"
    return error.detail if isinstance(error.detail, str) and error.detail else title


def _method(scope: Scope) -> str:
    method = scope.get("method", "WEBSOCKET")
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET") else "OTHER"


def _add_headers(headers: MutableHeaders, *, secure: bool) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
