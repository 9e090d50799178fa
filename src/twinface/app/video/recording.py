"""Records frames as a video file."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from twinface.core.files import reason, shown
from twinface.core.types import Image
from twinface.errors import OutputError

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

RECORDINGS = (".mp4", ".m4v", ".mov", ".mkv")
"""Endings of the files that are recorded."""

TICKS = 90_000
"""Of a second, in which a recording tells its times."""

KEYS = 50
"""Frames between two key frames: so much is lost of a recording whose process was killed."""

HYBRID = (61, 7)
"""Since which libavformat an MP4 file that was never finished can be played all the same."""


class Recording:
    """A video file of the frames it is given, each at its own time; close it, or use it in a `with`.

    It shows faces, so its owner alone may read it.

    Args:
        path: of a file that is not there yet; its folder is.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        check_recording(path)
        self._path = path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first = 0.0
        self._last = -1
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise self._failed(error) from error

    def add(self, image: Image, time: float) -> None:
        """Adds a frame, RGB uint8 (H, W, 3), at a time in seconds, later than the one before.

        Raises:
            OutputError: the disk is full, or the like.
        """
        import av
        import cv2

        try:
            stream = self._stream or self._begin(image, time)
            ticks = round(TICKS * (time - self._first))
            if ticks <= self._last:
                return
            self._last = ticks
            if image.shape[:2] != (stream.height, stream.width):
                image = np.asarray(cv2.resize(image, (stream.width, stream.height)), np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
            assert self._container is not None
            self._container.mux(stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Finishes the file; one without frames is removed.

        Raises:
            OutputError: the disk is full, or the like.
        """
        import av

        container, stream = self._container, self._stream
        self._container = self._stream = None
        if container is None or stream is None:
            if self._last < 0:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            return
        try:
            try:
                container.mux(stream.encode())
            finally:
                container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, OutputError):
            with contextlib.suppress(OutputError):  # the first trouble is the one to tell
                self.close()
        else:
            self.close()

    def _begin(self, image: Image, time: float) -> VideoStream:
        import av

        height, width = (max(2, side - side % 2) for side in image.shape[:2])
        self._first = time
        whole = self._path.suffix.lower() == ".mkv" or av.library_versions["libavformat"] < HYBRID
        options = {} if whole else {"movflags": "+hybrid_fragmented", "flush_packets": "1"}
        self._container = av.open(str(self._path.absolute()), "w", options=options)
        best = "libx264" in av.codecs_available
        stream = self._container.add_stream("libx264" if best else "mpeg4", rate=30)
        if best:
            stream.options = {"preset": "veryfast", "crf": "23", "g": str(KEYS), "bf": "0"}
        else:
            stream.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS if best else 1000)
        self._stream = stream
        return stream

    def _failed(self, error: Exception) -> OutputError:
        return OutputError(f"{shown(self._path)}: cannot be written ({reason(error)}); choose another place")


def check_recording(path: Path) -> None:
    """Refuses a name before the work begins.

    Raises:
        OutputError: nothing can be recorded there.
    """
    import importlib.util

    if path.suffix.lower() not in RECORDINGS:
        raise OutputError(
            f"{shown(path)}: recordings are written as {', '.join(RECORDINGS)}; choose a name with one of these endings"
        )
    if os.path.lexists(path):
        raise OutputError(f"{shown(path)}: is there already; choose another name, nothing is recorded over")
    if not path.parent.is_dir():
        raise OutputError(f"{shown(path)}: there is no folder {shown(path.parent)}; make it first or choose another")
    if importlib.util.find_spec("av") is None:
        raise OutputError(f'{shown(path)}: recording needs PyAV; install it with: pip install "twinface[video]"')
