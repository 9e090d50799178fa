"""One live view: frames in, and who is seen in them out."""

from __future__ import annotations

import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinface.app.cli.output import quality_json
from twinface.app.server.problems import Problem
from twinface.core.types import Box, Image, Quality
from twinface.core.video import VideoFrame
from twinface.errors import UnreadableImage, UnsupportedFormat
from twinface.services.glance import Glance

if TYPE_CHECKING:
    from twinface.core.ports import GalleryStore
    from twinface.services.recognition import Recognizer
    from twinface.services.watching import Seen, Watcher

HEADER = struct.Struct(">II")
"""Before each JPEG: its sequence number, and when it was taken, in milliseconds from anywhere; both unsigned, 32 bits,
the most significant byte first."""

MOST_BYTES = 2 * 2**20
MOST_PIXELS = 1920 * 1088
"""Of a frame: 2 MB, and as much as full HD."""

RATE = 10.0
"""Frames a second that are answered, at most."""


@dataclass(frozen=True)
class LiveFrame:
    """A frame as it comes.

    Attributes:
        number: its sequence number, which the answer repeats.
        time: when it was taken, seconds from anywhere.
        jpeg: the picture.
    """

    number: int
    time: float
    jpeg: bytes


def read_frame(message: bytes) -> LiveFrame:
    """A frame of a message: HEADER and a JPEG.

    Raises:
        UnreadableImage: there is no picture in it.
    """
    if len(message) <= HEADER.size:
        raise UnreadableImage(f"a frame has {HEADER.size} bytes of header and a JPEG; there came {len(message)} bytes")
    number, milliseconds = HEADER.unpack_from(message)
    return LiveFrame(number, milliseconds / 1000, message[HEADER.size :])


def write_frame(frame: LiveFrame) -> bytes:
    """A frame as a message, as `read_frame` reads it."""
    return HEADER.pack(frame.number % 2**32, int(frame.time * 1000) % 2**32) + frame.jpeg


def decode_frame(jpeg: bytes) -> Image:
    """The pixels of a frame, RGB uint8 (H, W, 3).

    Raises:
        ImageError: it is no JPEG, damaged, or too large.
    """
    from twinface.vision.images import DecodeLimits, decode

    if not jpeg.startswith(b"\xff\xd8\xff"):
        raise UnsupportedFormat("frame: no JPEG; send frames as JPEG")
    pixels = decode(jpeg, limits=DecodeLimits(max_pixels=MOST_PIXELS, max_bytes=MOST_BYTES)).pixels
    return pixels


class LiveSession:
    """Names who is seen in frames by a gallery, as `twinface watch` does. Its calls block.

    Args:
        recognizer: the gallery's models.
        store: the gallery.
        fpir: how often a stranger may be taken for somebody.
        thumbnails: whether events have a picture.

    Raises:
        GalleryError: the rate is none.
    """

    def __init__(self, recognizer: Recognizer, store: GalleryStore, fpir: float, *, thumbnails: bool = False) -> None:
        from twinface.app.video.watching import gallery_namer, make_watcher
        from twinface.core.identification import identification_point
        from twinface.services.recognition import Recognizer as Judge
        from twinface.services.watching import WatchOptions

        rule = recognizer.rule
        identification_point(rule, 1, fpir)
        self._analyzer = _Remembering(recognizer.analyzer)
        options = WatchOptions(rate=RATE, stale=None)
        self._watcher: Watcher = make_watcher(
            Judge(self._analyzer, rule, (recognizer.encoder_name, recognizer.detector_name)),
            gallery_namer(store, rule, fpir, options.confirm),
            options,
            known=lambda uid: bool(store.names([uid])),
            thumbnails=thumbnails,
        )
        self._lock = threading.Lock()

    def see_jpeg(self, frame: LiveFrame) -> dict[str, Any]:
        """The answer to a frame.

        Raises:
            ImageError: it cannot be read.
            Problem: 503, the one before is still being looked at.
            TwinFaceError: as the watcher's.
        """
        return self.see(decode_frame(frame.jpeg), frame.number, frame.time)

    def see(self, image: Image, number: int, moment: float) -> dict[str, Any]:
        """The answer to a frame; as `see_jpeg`.

        Args:
            image: RGB uint8 (H, W, 3).
            number: which the answer repeats.
            moment: when it was taken, seconds from anywhere.
        """
        if not self._lock.acquire(blocking=False):
            raise Problem(503, "the frame before is still being looked at")
        try:
            size = (image.shape[1], image.shape[0])
            events = self._events(VideoFrame(image, moment, number, time.monotonic()), size)
            faces = [_seen_json(one, self._analyzer.quality(one.box)) for one in self._watcher.seen]
        finally:
            self._lock.release()
        return {"seq": number, "frame": list(size), "faces": faces, "events": events}

    def _events(self, frame: VideoFrame, size: tuple[int, int]) -> list[dict[str, Any]]:
        from twinface.app.video.events import event_json

        return [event_json(event, size) for event in self._watcher.feed(frame)]


class _Remembering(Glance):
    """An analyzer that remembers how fit the faces were that it found last."""

    def quality(self, box: Box) -> Quality | None:
        """Of the face that was found there last; None where none was."""
        return next((face.quality for face in self.faces if face.box == box), None)


def _seen_json(seen: Seen, quality: Quality | None) -> dict[str, Any]:
    """A face for the page; `state` is known, unknown, or new while nobody can say."""
    who, box = seen.candidate, seen.box
    return {
        "box": [round(value, 1) for value in (box.x, box.y, box.width, box.height)],
        "track": seen.track,
        "state": "known" if who is not None else "unknown" if seen.stranger else "new",
        "name": None if who is None else who.name,
        "subject": None if who is None else who.uid,
        "probability": None if who is None else round(who.probability, 6),
        "quality": None if quality is None else quality_json(quality),
    }
