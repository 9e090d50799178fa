"""Limits on what a client sends: how much, and how slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinface.app.server.problems import Problem

PAUSE = 30.0
"""Seconds without a byte until a body is given up."""

GRACE, SLOWEST = 60.0, 100_000
"""A whole body may take so many seconds, and one more for every so many bytes that are allowed."""

JSON_BYTES = 64 * 2**10
"""Bytes of a body of JSON, which is read whole before anybody looks at it."""

PICTURES_IN_JSON = "/api/"
"""Where bodies of JSON may hold pictures: CompreFace's routes."""


class BodyLimits:
    """Refuses bodies that are too large or too slow, before they fill memory or hold a connection.

    Args:
        app: what answers.
        limit: bytes of a body.
        others: paths with another limit, and that limit.
        pause: seconds without a byte.
    """

    def __init__(self, app: ASGIApp, limit: int, others: Mapping[str, int] | None = None, pause: float = PAUSE) -> None:
        self._app, self._limit, self._others, self._pause = app, limit, dict(others or {}), pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the app read so much and no more.

        Raises:
            Problem: 413 the body says it is too large. Later 413 and 408 reach the app where it reads.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = self._others.get(scope["path"], self._limit)
        if b"json" in headers.get(b"content-type", b"").lower() and not scope["path"].startswith(PICTURES_IN_JSON):
            limit = min(limit, JSON_BYTES)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18:
            raise Problem(400, "the header Content-Length is no number")
        if int(length) > limit:
            raise _too_large(limit)
        await self._app(scope, self._reader(receive, limit), send)

    def _reader(self, receive: Receive, limit: int) -> Receive:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE + limit / SLOWEST
        taken, more = 0, True

        async def read() -> Message:
            nonlocal taken, more
            if not more:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), min(self._pause, max(0.0, deadline - loop.time())))
            except TimeoutError:
                more = False
                raise Problem(408, "the body came too slowly; try again", headers={"Connection": "close"}) from None
            more = message["type"] == "http.request" and bool(message.get("more_body"))
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        return read


def _too_large(limit: int) -> Problem:
    return Problem(
        413, f"the body is larger than {limit:,} bytes; make it smaller", headers={"Connection": "close"}, limit=limit
    )
