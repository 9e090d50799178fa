"""`/v1/live`: a camera's frames in, boxes and names out, over a WebSocket.

The browser sends binary messages, each a frame: 4 bytes sequence number, 4 bytes milliseconds from anywhere (both
unsigned, most significant byte first), and a JPEG of at most 2 MB and full HD. The answer is JSON:

    {"seq": 7, "frame": [640, 480], "faces": [...], "events": [...]}

A face has box, track, state (new, known, unknown), name, subject, probability and quality; events are those of
`twinface watch --json`. A frame that cannot be read is answered with `problem` beside empty lists. At most ten frames
a second are answered, and of those that come meanwhile the newest: wait for the answer before the next one is sent.

With `?source=server` it is the server's own camera that is shown: each frame comes as such a binary message, and the
JSON follows. The key travels as usual, or, as pages of other programs cannot set headers, as a subprotocol beside
`twinface.live`: `new WebSocket(address, ["twinface.live", "twinface.key." + key])`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, WebSocket
from starlette.requests import HTTPConnection

from twinface.app.server.camera import Camera, camera_of
from twinface.app.server.live_session import LiveSession
from twinface.app.server.live_socket import TOO_MANY, LiveSocket
from twinface.app.server.problems import Problem
from twinface.app.server.security import Caller, Requirement
from twinface.app.server.sessions import COOKIE
from twinface.app.server.state import ServerState, state_of
from twinface.core.identification import DEFAULT_FPIR

router = APIRouter(tags=["live"])

MOST, MOST_OF_ONE = 8, 4
"""Views at once: all, and of one key."""

PROTOCOL, KEY = "twinface.live", "twinface.key."


class LiveDesk:
    """What live views share.

    Args:
        camera: the server's; None where it has none.
    """

    def __init__(self, camera: Camera | None) -> None:
        self.camera = camera
        self._open: Counter[str] = Counter()

    @contextmanager
    def place(self, key: str) -> Iterator[bool]:
        """Whether there is room for one more view of a key, which holds it until it is over."""
        if self._open.total() >= MOST or (key and self._open[key] >= MOST_OF_ONE):
            yield False
            return
        self._open[key] += 1
        try:
            yield True
        finally:
            self._open[key] -= 1


class _KeyInProtocol(Requirement):
    """As `require`, for a key that comes as a subprotocol too."""

    async def __call__(self, connection: HTTPConnection) -> Caller:
        headers = connection.scope["headers"]
        offered = [one for one in offered_protocols(connection) if one.startswith(KEY)]
        if offered and not any(name in (b"x-api-key", b"authorization") for name, _ in headers):
            secret = offered[0].removeprefix(KEY).encode("latin-1", "replace")
            connection.scope["headers"] = [*headers, (b"x-api-key", secret)]
            connection = HTTPConnection(connection.scope)
        return await super().__call__(connection)


_READ = _KeyInProtocol("read")


@asynccontextmanager
async def lifespan(state: ServerState) -> AsyncIterator[None]:
    """Makes the server's camera ready; it is opened when somebody looks."""
    source = state.options.source
    state.attached[__name__] = LiveDesk(None if source is None else camera_of(source))
    yield


def camera_in(state: ServerState) -> Camera | None:
    """The server's camera; None where it has none."""
    desk: LiveDesk | None = state.attached.get(__name__)
    return None if desk is None else desk.camera


def offered_protocols(connection: HTTPConnection) -> list[str]:
    """The subprotocols that the client offers."""
    return [one.strip() for one in connection.headers.get("sec-websocket-protocol", "").split(",") if one.strip()]


@router.websocket("/v1/live")
async def live(
    socket: WebSocket,
    caller: Annotated[Caller, Depends(_READ)],
    source: Literal["browser", "server"] = "browser",
    fpir: Annotated[float, Query(gt=0, lt=1, description="How often a stranger may be taken for somebody.")] = (
        DEFAULT_FPIR
    ),
    thumbnails: Annotated[bool, Query(description="Whether events have a picture: a JPEG in base64.")] = False,
) -> None:
    """Names who is before a camera; see the module."""
    state = state_of(socket)
    desk: LiveDesk = state.attached[__name__]
    if source == "server" and desk.camera is None:
        raise Problem(409, "this server has no camera: it was started without --source", "no-camera")
    with desk.place(caller.key) as free:
        if not free:
            await _accept(socket)
            await socket.close(TOO_MANY, "too many live views; try again later")
            return
        session = await state.work.run(_session, state, fpir, thumbnails)
        await _accept(socket)
        view = LiveSocket(socket, session, state.work, lambda: _welcome(socket, caller))
        if source == "server" and desk.camera is not None:
            await view.show_camera(desk.camera)
        else:
            await view.show_browser()


async def _accept(socket: WebSocket) -> None:
    await socket.accept(PROTOCOL if PROTOCOL in offered_protocols(socket) else None)


def _session(state: ServerState, fpir: float, thumbnails: bool) -> LiveSession:
    return LiveSession(state.recognizer, state.gallery.store, fpir, thumbnails=thumbnails)


def _welcome(socket: WebSocket, caller: Caller) -> bool:
    """Whether the caller's key was not revoked since, nor the session ended; without a key, whether none was made."""
    state = state_of(socket)
    if caller.session is not None and state.sessions.find(socket.cookies.get(COOKIE, "")) is None:
        return False
    return state.keys.find(caller.key) is not None if caller.key else not state.keys.any
