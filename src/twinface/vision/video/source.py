"""Frames of a video file, a camera, a stream or pictures in a row, decoded in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from twinface.core.types import Image
from twinface.core.video import VideoFrame, VideoInfo
from twinface.errors import SourceStalled, SourceUnavailable
from twinface.vision.video.decoder import GRACE, Broken, Decoder, Stalled
from twinface.vision.video.names import scrubbed
from twinface.vision.video.options import VideoOptions
from twinface.vision.video.places import Place, locate
from twinface.vision.video.wire import Placed, Request, Shape

__all__ = ["VideoOptions", "VideoSource", "open_video"]

LOST = "times the stream was lost"

_ADVICE = {
    "file": "check the disk it is on",
    "pictures": "check the disk they are on",
    "camera": "plug it in anew, or close other programs that use it",
    "stream": "check the network, and that the camera or server is on",
}


def open_video(source: str | os.PathLike[str] | int, options: VideoOptions | None = None) -> VideoSource:
    """Opens a source and waits for its first frame.

    Args:
        source: a video file; a camera's number from 0, also in digits, or the path of its device; a folder of pictures,
            taken in natural order, or a pattern of their names as `frames/%05d.jpg`; or an address (rtsp, rtsps, http,
            https), which may contain name and password: they are never shown.
        options: how to read it.

    Raises:
        SourceUnavailable: there is no such source, it cannot be opened, it shows nothing, or PyAV is not installed.
    """
    place = locate(source)
    if importlib.util.find_spec("av") is None:
        raise SourceUnavailable(
            f'{place.said}: reading videos needs PyAV; install it with: pip install "twinface[video]"'
        )
    return VideoSource(place, options or VideoOptions())


class VideoSource:
    """An open source, as the port `FrameSource` wants it.

    Frames are decoded ahead in a process of their own and come through shared memory, of which little is held however
    long the video is. A process that hangs or breaks down is noticed: a file is given up, a live source is opened
    again. Close it, or use it in a `with`; what is forgotten is closed when it is thrown away.

    Args:
        place: what to read.
        options: how.

    Raises:
        SourceUnavailable: it cannot be opened.
    """

    def __init__(self, place: Place, options: VideoOptions) -> None:
        self._place = place
        self._options = options
        self._request = Request(
            place.kind,
            place.targets,
            place.hidden,
            options.every,
            options.longest,
            options.start,
            options.end,
            options.rate,
            options.transport,
            options.verify,
        )
        self._closing = threading.Event()
        self._held: list[Decoder] = []
        self._finalizer = weakref.finalize(self, _close_all, self._held)
        self._earlier: dict[str, int] = {}
        self._losses = 0
        self._numbers = self._next_number = 0
        self._first: float | None = None
        self._pause = options.pause
        self._due = self._opened = 0.0
        try:
            self._shape = self._open()
        except Stalled:
            self.close()
            raise SourceUnavailable(f"{place.said}: {self._stall()}") from None
        except Broken as broken:
            self.close()
            raise SourceUnavailable(f"{place.said}: {self._words(broken)}") from None
        except BaseException:  # Ctrl-C
            self.close()
            raise

    @property
    def info(self) -> VideoInfo:
        """What is known of it; notes may come as frames are read."""
        counts = dict(self._earlier)
        for decoder in self._held:
            for text, count in decoder.notes.items():
                counts[text] = counts.get(text, 0) + count
        if self._losses:
            counts[LOST] = self._losses
        told = (f"{text}: {count}" if count else text for text, count in counts.items())
        notes = tuple(scrubbed(text, self._place.hidden) for text in (*self._place.notes, *told))
        shape = self._shape
        return VideoInfo(self._place.said, shape.live, shape.width, shape.height, shape.duration, shape.rate, notes)

    def frames(self) -> Iterator[VideoFrame]:
        """The frames from where reading stands, each once; what is handed over is read-only and stays as it is.

        Of a file every frame that was asked for, at its own size should that change, with those before the one that
        cannot be read. Of a live source the newest one each time; it ends only when it is closed, unless it is not to
        be opened again.

        Raises:
            SourceUnavailable: the file cannot be read any further.
            SourceStalled: no frame came for too long, or a live source that is not to be opened again broke off.
        """
        while (given := self._next()) is not None:
            yield self._frame(*given)

    def close(self) -> None:
        """Lets go of the source; `frames` ends."""
        self._closing.set()
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Shape:
        """Starts decoding.

        Raises:
            Stalled: no frame came.
            Broken: it cannot be opened.
        """
        decoder = Decoder(self._request, self._place.said)
        self._held.append(decoder)
        if self._closing.is_set():  # just now, by another thread
            decoder.close(0)
        shape = decoder.shape(self._options.stall)
        self._opened = time.monotonic()
        return shape

    def _next(self) -> tuple[Placed, Image] | None:
        """The next frame, whatever it takes; None when there is none and when closed."""
        while not self._closing.is_set():
            try:
                if not self._held:
                    self._reopen()
                given = self._held[-1].next(self._options.stall)
                if given is None and self._live and not self._closing.is_set():
                    raise Broken(f"it broke off; {_ADVICE[self._place.kind]}", crashed=False)
            except (Stalled, Broken) as trouble:
                if not self._closing.is_set():
                    self._lose(trouble)
                continue
            if given is None:
                self.close()
            return given
        return None

    def _lose(self, trouble: Stalled | Broken) -> None:
        """Gives the source up, or prepares to open it again.

        Raises:
            SourceUnavailable, SourceStalled: it is given up.
        """
        said = self._place.said
        for decoder in self._held:
            decoder.close(0 if isinstance(trouble, Stalled) else GRACE)
        if not (self._live and self._options.reconnect):
            self.close()
            if isinstance(trouble, Stalled):
                raise SourceStalled(f"{said}: {self._stall()}") from None
            raise (SourceStalled if self._live else SourceUnavailable)(f"{said}: {self._words(trouble)}") from None
        for decoder in self._held:
            for text, count in decoder.notes.items():
                self._earlier[text] = self._earlier.get(text, 0) + count
        self._held.clear()
        now = time.monotonic()
        if self._opened:
            self._losses += 1
            self._numbers = self._next_number
            if now - self._opened >= self._options.longest_pause:
                self._pause = self._options.pause
            self._due = now + self._pause
            self._opened = 0.0

    def _reopen(self) -> None:
        """Makes the next attempt when it is time.

        Pauses count from attempt to attempt: one that hung until it stalled is followed by the next at once.
        """
        self._closing.wait(max(0.0, self._due - time.monotonic()))
        if self._closing.is_set():
            raise Broken("closed", crashed=False)
        self._pause = min(2 * self._pause, self._options.longest_pause)
        self._due = time.monotonic() + self._pause
        self._shape = self._open()

    def _frame(self, placed: Placed, image: Image) -> VideoFrame:
        number = self._numbers + placed.number
        self._next_number = number + 1
        if self._first is None:
            self._first = placed.arrived
        when = placed.arrived - self._first if self._live else placed.time
        return VideoFrame(image, when, number, placed.arrived)

    @property
    def _live(self) -> bool:
        return self._shape.live

    def _stall(self) -> str:
        return f"no frame came for {self._options.stall:g} s; {_ADVICE[self._place.kind]}"

    def _words(self, broken: Broken) -> str:
        text = scrubbed(str(broken), self._place.hidden)
        return f"{text}; {_ADVICE[self._place.kind]}, or get an intact copy" if broken.crashed else text


def _close_all(decoders: list[Decoder]) -> None:
    for decoder in decoders:
        decoder.close()
