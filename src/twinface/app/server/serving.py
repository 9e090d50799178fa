"""Runs the server until it is told to end; what was begun is finished."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from twinface.app.server.create import create_app
from twinface.app.server.options import ServerOptions
from twinface.core.files import reason
from twinface.errors import TwinFaceError

GRACE = 30
"""Seconds that requests under way have when the server is told to end."""

FIRST = 15.0
"""Seconds that a connection has for the head of its first request."""

ARENA_MAX = -8
"""What glibc's mallopt calls the number of arenas."""

CONNECTIONS = 1000
"""More are told to come again."""


def serve(options: ServerOptions, announce: Callable[[ServerOptions], object]) -> None:
    """Serves until SIGTERM, SIGINT or Ctrl-C.

    Args:
        options: what, and where.
        announce: called once it listens, with the port in use.

    Raises:
        TwinFaceError: the address cannot be listened on, the gallery cannot be opened, or keys are missing.
    """
    _settle_memory()
    app = create_app(options)
    listening = _listen(options)
    config = uvicorn.Config(
        app,
        http=_Http,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=4 * 2**20,
        lifespan="off",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=CONNECTIONS,
        proxy_headers=options.proxied,
        forwarded_allow_ips="127.0.0.1,::1",
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what clients send wrong is theirs to know
    signal.signal(signal.SIGTERM, _leave)
    with listening:
        server = _Server(config, app, lambda: announce(replace(options, port=listening.getsockname()[1])))
        server.run(sockets=[listening])


class _Http(H11Protocol):
    """HTTP as uvicorn speaks it; a connection that sends no whole request in time is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(FIRST, self._give_up)

    def _give_up(self) -> None:
        speaks_http = self in self.connections  # and is no WebSocket by now
        if speaks_http and self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn, with the application's start and end as our own affair: what goes wrong there is raised, not logged."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, announce: Callable[[], object]) -> None:
        super().__init__(config)
        self._app, self._announce = app, announce
        self._life = AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._life.enter_async_context(self._app.router.lifespan_context(self._app))
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._life.aclose()


def _listen(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms
        return listening
    except OSError as error:
        raise TwinFaceError(
            f"{options.host}:{options.port}: cannot be listened on ({reason(error)}); choose another --host or --port"
        ) from error


def _settle_memory() -> None:
    """What a command that ends soon need not care for: garbage, and memory that one thread freed for another.

    glibc keeps an arena for each thread, and pictures that many threads decode in turn leave each of them grown; with
    one arena a thousand decompression bombs cost 200 MB less.
    """
    gc.enable()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library has no such thing
            ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM means once the server has ended: uvicorn sends it again then, to whoever wants to know."""
    del number, frame
    raise SystemExit(0)
