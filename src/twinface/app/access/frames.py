"""The newest frame of a source, taken by a thread of its own: whoever decides never waits for a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from twinface.core.ports import FrameSource
from twinface.core.video import VideoFrame, VideoInfo
from twinface.errors import SourceStalled


class Playback:
    """A video file as if it were a camera: every frame at its time, and stamped when it comes.

    Args:
        source: the file.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._closing = threading.Event()

    @property
    def info(self) -> VideoInfo:
        """See the port."""
        return self._source.info

    def frames(self) -> Iterator[VideoFrame]:
        """See the port."""
        began: float | None = None
        for frame in self._source.frames():
            if began is None:
                began = time.monotonic() - frame.time
            if self._closing.wait(max(0.0, began + frame.time - time.monotonic())):
                return
            yield replace(frame, arrived=time.monotonic())

    def close(self) -> None:
        """See the port."""
        self._closing.set()
        self._source.close()


class Newest:
    """Reads a source until it is closed, and keeps the newest frame.

    Args:
        source: live, or a `Playback`.
    """

    def __init__(self, source: FrameSource) -> None:
        self.error: Exception | None = None
        """Why it ended, if it ended badly."""
        self._source = source
        self._changed = threading.Condition()
        self._frame: VideoFrame | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="twinface-frames", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether no more frames come."""
        with self._changed:
            return self._ended and self._frame is None

    def take(self, timeout: float) -> VideoFrame | None:
        """The newest frame that was not taken yet; None if none comes in so many seconds, or none ever will."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended, timeout)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        """Lets go of the source."""
        self._source.close()
        self._thread.join(5.0)

    def _read(self) -> None:
        try:
            for frame in self._source.frames():
                with self._changed:
                    self._frame = frame
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - told to whoever takes frames
            self.error = error
        with self._changed:
            self._ended = True
            if self.error is None and self._source.info.live:
                self.error = SourceStalled(f"{self._source.info.name}: gives no more frames")
            self._changed.notify_all()
