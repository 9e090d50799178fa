"""The WebSocket of a live view: the newest frame counts, those that came too late are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from twinface.app.server.camera import to_jpeg
from twinface.app.server.live_session import MOST_BYTES, RATE, LiveFrame, LiveSession, read_frame, write_frame
from twinface.app.server.problems import Problem, problem_of
from twinface.core.video import VideoFrame
from twinface.errors import ImageError, SourceError, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.server.camera import Camera
    from twinface.app.server.work import Work

IDLE = 30.0
"""Seconds without a frame after which a view is closed."""

MOST_BAD = 20
"""Frames in a row that cannot be read before a view is closed."""

TOO_MANY, TOO_LARGE, NOT_UNDERSTOOD, REFUSED, FAILED, GOING = 1013, 1009, 1003, 1008, 1011, 1001
"""Codes with which it is closed."""

_LOOK = 0.03
"""Seconds between two looks at the server's camera."""


class Ended(Exception):
    """The view is over.

    Args:
        code: with which it is closed.
        why: in words, at most 120 bytes.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class LiveSocket:
    """Answers the frames of one view until it is over.

    Args:
        socket: was accepted.
        session: looks at the frames.
        work: threads for that.
        welcome: whether the caller may still look.
    """

    def __init__(
        self,
        socket: WebSocket,
        session: LiveSession,
        work: Work,
        welcome: Callable[[], bool],
    ) -> None:
        self._socket = socket
        self._session = session
        self._work = work
        self._welcome = welcome
        self._newest: LiveFrame | None = None
        self._came = asyncio.Event()
        self._due = 0.0
        self._bad = 0

    async def show_browser(self) -> None:
        """Answers the frames that the browser sends."""
        await self._until_over(self._read_frames(), self._answer_frames())

    async def show_camera(self, camera: Camera) -> None:
        """Shows the server's camera: each frame as a message of its own, then what is seen in it."""
        await self._until_over(self._read_nothing(), self._send_camera(camera))

    async def _until_over(self, *parts: Awaitable[None]) -> None:
        """Runs the parts until one is over, and closes the socket."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.add_done_callback(lambda one: one.cancelled() or one.exception())  # it counts as asked after
                task.cancel()
            await asyncio.wait(tasks)  # unlike gather it leaves a cancellation of ours as it came
        outcomes = [None if task.cancelled() else task.exception() for task in tasks]
        ended = next((one for one in outcomes if isinstance(one, Exception)), None)
        if isinstance(ended, WebSocketDisconnect):
            return
        if isinstance(ended, Ended):
            await self._close(ended.code, ended.why)
        elif isinstance(ended, TwinFaceError):
            await self._close(FAILED, problem_of(ended).code)
        elif ended is not None:
            await self._close(FAILED, "something went wrong")
            raise ended

    async def _close(self, code: int, why: str) -> None:
        try:
            await self._socket.close(code, why)
        except (RuntimeError, WebSocketDisconnect):
            return  # it is closed already

    async def _read_frames(self) -> None:
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive(), IDLE)
            except TimeoutError:
                raise Ended(GOING, f"no frame came for {IDLE:g} s") from None
            content = _content(message)
            if len(content) > MOST_BYTES:
                raise Ended(TOO_LARGE, f"a frame has at most {MOST_BYTES} bytes")
            try:
                self._newest = read_frame(content)
            except ImageError as error:
                raise Ended(NOT_UNDERSTOOD, str(error)) from None
            self._came.set()

    async def _answer_frames(self) -> None:
        while True:
            await self._came.wait()
            await self._pace()
            self._came.clear()
            frame, self._newest = self._newest, None
            if frame is not None:
                await self._tell(frame.number, self._work.run(self._session.see_jpeg, frame))

    async def _read_nothing(self) -> None:
        while True:
            _content(await self._socket.receive())

    async def _send_camera(self, camera: Camera) -> None:
        look = camera.look()  # takes no time: a thread of its own opens the camera
        shown: VideoFrame | None = None
        number = 0
        try:
            while True:
                await self._pace()
                frame = camera.peek(shown)
                if frame is None:
                    await asyncio.sleep(_LOOK)
                    continue
                shown, number = frame, number + 1
                jpeg = await self._work.aside(to_jpeg, frame)
                await self._socket.send_bytes(write_frame(LiveFrame(number, frame.time, jpeg)))
                await self._tell(number, self._work.run(self._session.see, frame.image, number, frame.time))
        except SourceError as error:
            raise Ended(FAILED, "the server's camera shows nothing") from error
        finally:
            await asyncio.shield(self._work.aside(look.close))

    async def _pace(self) -> None:
        """Waits until the next frame may be answered."""
        now = asyncio.get_running_loop().time()
        if now < self._due:
            await asyncio.sleep(self._due - now)
        self._due = max(now, self._due) + 1 / RATE
        if not self._welcome():
            raise Ended(REFUSED, "the key was revoked, or its user has logged out")

    async def _tell(self, number: int, looked: Awaitable[dict[str, Any]]) -> None:
        try:
            answer = await looked
            self._bad = 0
        except ImageError as error:
            self._bad += 1
            if self._bad >= MOST_BAD:
                raise Ended(NOT_UNDERSTOOD, f"{MOST_BAD} frames in a row cannot be read") from None
            answer = _refused(number, problem_of(error))
        except Problem as problem:
            answer = _refused(number, problem)
        await self._socket.send_json(answer)


def _content(message: Any) -> bytes:
    """The bytes of a message.

    Raises:
        WebSocketDisconnect: there are no more messages.
        Ended: it is text.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000), message.get("reason"))
    content = message.get("bytes")
    if content is None:
        raise Ended(NOT_UNDERSTOOD, "send frames as binary messages")
    return bytes(content)


def _refused(number: int, problem: Problem) -> dict[str, Any]:
    told = {"code": problem.code, "status": problem.status_code, "detail": str(problem.detail)}
    return {"seq": number, "frame": None, "faces": [], "events": [], "problem": told}
