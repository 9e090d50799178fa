"""Pictures in a row as the frames of a video. Runs in the decoding process, and loads Pillow there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av

from twinface.errors import ImageError
from twinface.vision.images import decode
from twinface.vision.video.pixels import Turn
from twinface.vision.video.shots import MARGIN, Report, Shot
from twinface.vision.video.wire import Request

LEFT_OUT = "pictures left out that cannot be read"


class PictureReader:
    """Reads pictures as the frames of a video.

    Args:
        request: the pictures, their rate, and which are wanted.
        report: where to say how it goes.
    """

    live = False

    def __init__(self, request: Request, report: Report) -> None:
        self._request = request
        self._report = report
        self.rate = request.rate
        self.duration = len(request.targets) / request.rate
        self.tagged = Turn()

    def frames(self) -> Iterator[Shot]:
        """See `Reader`."""
        wanted = self._request
        for number, path in enumerate(wanted.targets):
            due = number / wanted.rate
            if wanted.end is not None and due >= wanted.end - MARGIN:
                return
            if due < wanted.start - MARGIN or number % wanted.every:
                continue
            self._report.alive()
            try:
                pixels = decode(path).pixels
            except ImageError:
                self._report.note(LEFT_OUT, 1)
                continue
            yield Shot(av.VideoFrame.from_ndarray(pixels, "rgb24"), due, number, time.monotonic(), None)

    def close(self) -> None:
        """See `Reader`."""
