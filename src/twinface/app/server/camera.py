"""The server's own camera: opened once, however many look through it, and only while somebody does."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from twinface.app.access.frames import Playback
from twinface.core.video import VideoFrame, VideoInfo
from twinface.errors import SourceStalled, SourceUnavailable, TwinFaceError

if TYPE_CHECKING:
    from twinface.core.ports import FrameSource

LONGEST = 1280
"""Pixels of the longer side of the frames."""

FRESH = 2.0
"""Seconds after which the last frame shows nothing of now."""

PATIENCE = 10.0
"""Seconds that a source may take to be let go."""

_LOG = logging.getLogger("twinface.server")


class Camera:
    """Shows several the frames of one source.

    It is opened by a thread of its own when the first look begins, and let go after the last one ends. A video file
    is played as if it were a camera, from its start each time.

    Args:
        open_source: opens the source.
    """

    def __init__(self, open_source: Callable[[], FrameSource]) -> None:
        self._open_source = open_source
        self._changed = threading.Condition()
        self._looks = 0
        self._turn = 0
        self._thread: threading.Thread | None = None
        self._source: FrameSource | None = None
        self._frame: VideoFrame | None = None
        self._ended = True
        self._error: Exception | None = None

    def look(self) -> Look:
        """Begins to look through it; close what is returned."""
        with self._changed:
            self._looks += 1
            if self._ended:
                self._turn += 1
                self._frame, self._error, self._ended = None, None, False
                turn = (self._turn, self._thread)
                self._thread = threading.Thread(target=self._read, args=turn, name="twinface-camera", daemon=True)
                self._thread.start()
        return Look(self)

    def next(self, after: VideoFrame | None, timeout: float) -> VideoFrame | None:
        """The newest frame that is not `after`; None if none comes in so many seconds.

        Raises:
            SourceError: none ever will.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._frame not in (None, after)), timeout)
            if self._frame is not None and self._frame is not after:
                return self._frame
            if self._ended:
                raise self._error or SourceStalled("the camera gives no more frames")
            return None

    def peek(self, after: VideoFrame | None) -> VideoFrame | None:
        """As `next`, without waiting."""
        return self.next(after, 0.0)

    def newest(self) -> VideoFrame | None:
        """The newest frame, if it shows what is now; None if nobody looks, or nothing comes."""
        with self._changed:
            frame = self._frame
        return frame if frame is not None and time.monotonic() - frame.arrived <= FRESH else None

    def leave(self) -> None:
        """Ends a look."""
        with self._changed:
            self._looks -= 1
            source = self._source if self._looks == 0 else None
            if self._looks == 0:
                self._ended = True
                self._frame = None
                self._changed.notify_all()
        if source is not None:
            source.close()

    def _read(self, turn: int, before: threading.Thread | None) -> None:
        error: Exception | None = None
        source: FrameSource | None = None
        try:
            if before is not None:
                before.join(PATIENCE)  # it may still hold the device
            source = self._opened()
            with self._changed:
                if turn != self._turn or self._ended:
                    return
                self._source = source
            for frame in source.frames():
                with self._changed:
                    if turn != self._turn or self._ended:
                        return
                    self._frame = frame
                    self._changed.notify_all()
        except TwinFaceError as found:
            error = found
        except Exception as found:  # noqa: BLE001 - the thread's edge: told to whoever looks
            _LOG.exception("the camera failed")
            error = SourceUnavailable(f"the camera failed ({type(found).__name__}); the log says more")
        finally:
            if source is not None:
                source.close()
            with self._changed:
                if turn == self._turn:
                    self._source, self._ended, self._error = None, True, error
                    self._changed.notify_all()

    def _opened(self) -> FrameSource:
        source = self._open_source()
        return source if source.info.live else Playback(source)


class Look:
    """Somebody's look through the camera, as the port `FrameSource` wants it.

    Args:
        camera: which.
    """

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._closed = threading.Event()
        self._frame: VideoFrame | None = None

    @property
    def info(self) -> VideoInfo:
        """See the port."""
        return VideoInfo("the server's camera", True, 0, 0, None, None)

    def next(self, timeout: float) -> VideoFrame | None:
        """The newest frame that was not taken yet; None if none comes in so many seconds.

        Raises:
            SourceError: none ever will.
        """
        found = self._camera.next(self._frame, timeout)
        if found is not None:
            self._frame = found
        return found

    def frames(self) -> Iterator[VideoFrame]:
        """See the port: the newest frame each time."""
        while not self._closed.is_set():
            frame = self.next(0.5)
            if frame is not None and not self._closed.is_set():
                yield frame

    def close(self) -> None:
        """See the port."""
        if not self._closed.is_set():
            self._closed.set()
            self._camera.leave()


def camera_of(source: str) -> Camera:
    """The camera of a server.

    Args:
        source: as `open_video` takes it.
    """

    def open_source() -> FrameSource:
        from twinface.vision.video.source import VideoOptions, open_video

        return open_video(source, VideoOptions(longest=LONGEST))

    return Camera(open_source)


def to_jpeg(frame: VideoFrame) -> bytes:
    """A frame as a JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame.image).save(file, "JPEG", quality=80)
    return file.getvalue()
