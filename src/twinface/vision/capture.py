"""Reads cameras and video files through OpenCV in a thread of its own, without its noise."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from twinface.core.files import reason
from twinface.core.types import Image
from twinface.errors import SourceStalled, SourceUnavailable
from twinface.vision.sources import DEFAULT_LIMITS

if TYPE_CHECKING:
    from cv2.typing import MatLike

PAUSE = 0.02
"""Seconds until a camera that gave nothing is asked again."""

RATE = 25.0
"""Frames a second of a file that does not say when each is due."""

_TEXT_ART = int.from_bytes(b"ansi", "little")
"""What FFmpeg calls a text file that it would show as letters on a black screen."""

_FFMPEG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a recording.

    Attributes:
        image: RGB uint8, shape (H, W, 3), read-only.
        time: seconds since the first frame: of a camera as the clock runs, of a file as it was recorded.
    """

    image: Image
    time: float


class Reader:
    """Reads a source in a thread of its own, as OpenCV's reads cannot be called off.

    Args:
        said: what to call the source.
        target: a camera's number, or a file's path.
    """

    def __init__(self, said: str, target: int | str) -> None:
        self._said = said
        self._target = target
        self._live = isinstance(target, int)
        self._stop = threading.Event()
        self._ready: queue.Queue[Frame | Exception | None] = queue.Queue(1 if self._live else 2)
        self._thread = threading.Thread(target=self._work, name=f"twinface reads {said}", daemon=True)

    def start(self) -> None:
        """Opens the source and reads ahead."""
        self._thread.start()

    def next(self, patience: float) -> Frame | None:
        """The frame that is next, None after the last.

        Raises:
            SourceError: what went wrong, or that nothing arrived in so many seconds.
        """
        try:
            item = self._ready.get(timeout=patience)
        except queue.Empty:
            what = "plug it in anew, or close other programs that use it" if self._live else "check the disk it is on"
            raise SourceStalled(f"{self._said}: no frame arrived for {patience:g} s; {what}") from None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self, grace: float) -> None:
        """Has the device let go, and waits for that so many seconds."""
        self._stop.set()
        with suppress(queue.Empty):
            while True:  # a thread that waits for room goes on, sees the sign and ends
                self._ready.get_nowait()
        if self._thread.is_alive():
            self._thread.join(grace)

    def _work(self) -> None:
        try:
            with _quiet():
                for frame in self._read():
                    self._put(frame)
            self._put(None)
        except cv2.error as error:
            self._put(SourceUnavailable(f"{self._said}: cannot be read ({reason(error)}); get an intact copy"))
        except Exception as error:  # noqa: BLE001 - it is raised where the frames are wanted
            self._put(error)

    def _put(self, item: Frame | Exception | None) -> None:
        """Hands on what was read: waits for room, but a camera's older frame makes room for the newer."""
        while not self._stop.is_set():
            if not self._live:
                self._ready.put(item)
                return
            try:
                self._ready.put_nowait(item)
                return
            except queue.Full:
                with suppress(queue.Empty):  # just taken
                    self._ready.get_nowait()

    def _read(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            self._check(capture)
            clock = _Clock(None if self._live else capture)
            began = False
            while not self._stop.is_set():
                arrived, pixels = capture.read()
                if arrived:
                    began = True
                    yield Frame(_rgb(pixels), clock.now())
                elif self._live:  # a dropped frame, or the camera was unplugged: the other side loses patience
                    self._stop.wait(PAUSE)
                elif not began:
                    raise self._no_video()
                else:
                    return
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        if isinstance(self._target, int):
            on_linux = sys.platform.startswith("linux")
            return cv2.VideoCapture(self._target, _backend(cv2.CAP_V4L2 if on_linux else cv2.CAP_ANY))
        return cv2.VideoCapture(self._target, _backend(cv2.CAP_FFMPEG))

    def _check(self, capture: cv2.VideoCapture) -> None:
        """Raises SourceUnavailable if there is nothing to read."""
        if not capture.isOpened():
            if self._live:
                raise SourceUnavailable(
                    f"{self._said}: cannot be opened; close other programs that use it, and see that this one may"
                )
            raise self._no_video()
        if not self._live and int(capture.get(cv2.CAP_PROP_FOURCC)) == _TEXT_ART:
            raise self._no_video()
        width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > DEFAULT_LIMITS.max_pixels:
            raise SourceUnavailable(
                f"{self._said}: frames of {width} x {height}, more pixels than the limit of "
                f"{DEFAULT_LIMITS.max_pixels:,}; make the video smaller"
            )

    def _no_video(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self._said}: not a video, damaged, or of a kind OpenCV as installed here cannot read; "
            "get an intact copy, or save it as MP4 (H.264) or AVI (MJPEG)"
        )


class _Clock:
    """When frames are due, seconds since the first: by the file's own word, where it says so, or as time goes by.

    Args:
        capture: a file's; None for a camera.
    """

    def __init__(self, capture: cv2.VideoCapture | None) -> None:
        self._capture = capture
        self._first: float | None = None
        self._last = 0.0
        self._step = 1 / RATE
        if capture is not None and 1 <= capture.get(cv2.CAP_PROP_FPS) <= 1000:
            self._step = 1 / capture.get(cv2.CAP_PROP_FPS)

    def now(self) -> float:
        """Of the frame just read."""
        stamp = time.monotonic() if self._capture is None else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._first is None:
            self._first = stamp
            return 0.0
        due = stamp - self._first
        if self._capture is not None and not due > self._last:  # damaged files stand still, or know no times at all
            due = self._last + self._step
        self._last = due
        return due


def _rgb(pixels: MatLike) -> Image:
    """What OpenCV read, blue first or grey, as the rest of TwinFace has it; read-only."""
    image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB), np.uint8)
    image.setflags(write=False)
    return image


def _backend(wanted: int) -> int:
    """The one wanted, where this build of OpenCV has it: the others only write to stderr that they cannot."""
    return wanted if wanted == cv2.CAP_ANY or cv2.videoio_registry.hasBackend(wanted) else cv2.CAP_ANY


_quieting = threading.Lock()
_quieted: list[int] = []
"""For every reader at work, what OpenCV's level of logging was before the first."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences OpenCV, and FFmpeg, which reads its level from the environment when it is first used in a process."""
    with _quieting:
        _quieted.append(_quieted[0] if _quieted else cv2.utils.logging.getLogLevel())
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        os.environ.setdefault(_FFMPEG_LEVEL, "-8")
    try:
        yield
    finally:
        with _quieting:
            before = _quieted.pop()
            if not _quieted:
                cv2.utils.logging.setLogLevel(before)
