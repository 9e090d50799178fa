"""Frames of cameras and streams. Runs in the decoding process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from twinface.vision.video.faults import Log, explained
from twinface.vision.video.pixels import Turn
from twinface.vision.video.shots import DAMAGED, Report, Shot, believed
from twinface.vision.video.wire import Refusal

BEHIND = 1.0
"""Seconds of decoding without once waiting for the next packet after which decoding is too slow for the stream."""

WAITED = 0.002
"""Seconds that reading takes when the packet was not there yet."""

TOO_SLOW = "this machine is too slow for the stream; packets passed over"


class Pace:
    """Tells which packets of a live stream to pass over, so that what is decoded is new.

    When decoding is too slow, packets pile up and every frame is older than the one before. Then all are passed over
    until reading has to wait again, and from there to the next key frame.
    """

    def __init__(self, now: float) -> None:
        self._waited_at = now
        self._behind = False

    def passes_over(self, asked: float, now: float, *, key: bool) -> bool:
        """Whether to pass over a packet.

        Args:
            asked: `time.monotonic()` when it was asked for.
            now: when it came.
            key: whether decoding can begin with it.
        """
        if now - asked >= WAITED:
            self._waited_at = now
            if key:
                self._behind = False
        elif now - self._waited_at > BEHIND:
            self._behind = True
        return self._behind


class LiveReader:
    """Reads a camera or a stream, until it breaks off.

    Args:
        container: opened.
        stream: of it, the video.
        kind: of the source, for what is said of failures.
        report: where to say how it goes.
        log: what FFmpeg writes.
    """

    live = True
    duration = None

    def __init__(self, container: InputContainer, stream: VideoStream, kind: str, report: Report, log: Log) -> None:
        self._container = container
        self._stream = stream
        self._kind = kind
        self._report = report
        self._log = log
        self.rate = believed(stream.average_rate)
        self.tagged = Turn()

    def frames(self) -> Iterator[Shot]:
        """See `Reader`.

        Raises:
            Refusal: it broke off.
        """
        number = 0
        try:
            for packet, arrived in self._packets():
                for frame in self._decoded(packet):
                    if not frame.is_corrupt:
                        yield Shot(frame, 0.0, number, arrived, self._stream.sample_aspect_ratio)
                    number += 1
        except av.error.FFmpegError as error:
            if self._kind == "camera":
                raise Refusal(explained(error, self._kind, self._log)) from None
        raise Refusal("it broke off; check the network, and that the camera or server is on")

    def close(self) -> None:
        """See `Reader`."""
        self._container.close()

    def _packets(self) -> Iterator[tuple[Packet[VideoStream], float]]:
        """Those to be decoded, and when each arrived."""
        asked = time.monotonic()
        pace = Pace(asked)
        for packet in self._container.demux(self._stream):
            now = time.monotonic()
            if packet.size:
                if pace.passes_over(asked, now, key=packet.is_keyframe):
                    self._report.note(TOO_SLOW, 1)
                else:
                    yield packet, now
            asked = time.monotonic()

    def _decoded(self, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError:
            self._report.note(DAMAGED, 1)
            return []
        if damaged := sum(frame.is_corrupt for frame in frames):
            self._report.note(DAMAGED, damaged)
        return frames
