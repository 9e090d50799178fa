"""Frames of video files, with their true times and numbers. Runs in the decoding process."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from twinface.vision.video.faults import Log
from twinface.vision.video.pixels import Turn
from twinface.vision.video.shots import DAMAGED, MARGIN, RATE, Clock, Report, Shot, believed
from twinface.vision.video.wire import Request

PATIENCE = 50
"""Failures to read in a row after which the rest of a file is given up."""

CUT_SHORT = "the end of the file is missing"
FEWER = "frames missing that the file should have"
UNREADABLE = "the rest of the file cannot be read"
CLOCK = "its times are not in order and were mended"
COMBED = "it is interlaced: what moves has combed edges"


class FileReader:
    """Reads a video that begins and ends.

    Args:
        container: opened.
        stream: of it, the video.
        request: which frames are wanted.
        report: where to say how it goes.
        log: what FFmpeg writes.
        seekable: whether the start may be gone to; otherwise all before it is decoded.
    """

    live = False

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        request: Request,
        report: Report,
        log: Log,
        *,
        seekable: bool = True,
    ) -> None:
        self._container = container
        self._stream = stream
        self._every, self._start, self._end = request.every, request.start, request.end
        self._seekable = seekable
        self._report = report
        self._log = log
        self._intra = stream.codec_context.codec.intra_only
        self.rate = believed(stream.average_rate) or believed(stream.guessed_rate)
        self.duration = None if container.duration is None else max(0.0, container.duration / 1e6) or None
        self.tagged = Turn.of_degrees(_number(stream.metadata.get("rotate", "0")))
        self._origin = None if container.start_time is None else container.start_time / 1e6
        self._packets_seen = 0
        self._latest = 0.0
        self._last_cut = False

    def frames(self) -> Iterator[Shot]:
        """See `Reader`.

        Raises:
            NotSeekable: the start cannot be gone to; before the first frame only.
        """
        clock = Clock(self._origin, 1 / (self.rate or RATE), lambda: self._report.note(CLOCK))
        base = self._stream.time_base  # a frame's own is missing after the last packet
        ranks = self._seek()
        number = 0
        for packet in self._packets():
            if self._intra and number % self._every and packet is not None:
                number += 1  # each packet is a frame of its own, and may be left undecoded
                continue
            for frame in self._decoded(packet):
                if frame is None:
                    number += 1
                    continue
                if ranks is not None:
                    number = ranks.of(frame.pts)
                    ranks = None
                due = clock.time(None if frame.pts is None or base is None else float(frame.pts * base))
                if self._end is not None and due >= self._end - MARGIN:
                    return
                if due >= self._start - MARGIN and number % self._every == 0:
                    yield Shot(frame, due, number, time.monotonic(), self._stream.sample_aspect_ratio)
                number += 1
        if ranks is not None:  # it went too far
            raise NotSeekable
        self._judge_end()

    def close(self) -> None:
        """See `Reader`."""
        self._container.close()

    def _decoded(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame | None]:
        """The frames of a packet; None for each that is damaged."""
        try:
            frames = self._stream.decode(packet)
        except av.error.EOFError:  # it was told of the end before
            return []
        except av.error.FFmpegError:
            self._report.note(DAMAGED, 1)
            return [None]
        torn = self._intra and packet is not None and packet.is_corrupt
        whole = [None if frame.is_corrupt or torn else frame for frame in frames]
        if damaged := whole.count(None):
            self._report.note(DAMAGED, damaged)
        if any(frame.interlaced_frame for frame in frames):
            self._report.note(COMBED)
        return whole

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The video's packets; None after the last."""
        failures = 0
        while failures < PATIENCE:
            try:
                for packet in self._container.demux(self._stream):
                    self._report.alive()
                    if packet.size:
                        failures = 0
                        self._packets_seen += 1
                        self._last_cut = packet.is_corrupt
                        if packet.pts is not None and packet.time_base is not None:
                            self._latest = max(self._latest, float(packet.pts * packet.time_base))
                        yield packet
                break
            except IndexError:  # PyAV at the end of a file that brought another stream late
                break
            except av.error.FFmpegError:
                failures += 1
        if failures == PATIENCE:
            self._report.note(UNREADABLE)
        yield None

    def _seek(self) -> _Ranks | None:
        """Goes to the last key frame before the start; None where reading begins with the first frame.

        Raises:
            NotSeekable: it cannot be gone to.
        """
        base = self._stream.time_base
        if self._start <= 0 or base is None or not self._seekable:
            return None
        target = int((self._start + (self._origin or 0.0)) / base)
        stamps: list[int] = []
        key: int | None = None
        for packet in self._packets():
            if packet is None or (packet.dts is not None and packet.dts > target):
                break
            if packet.pts is None:
                raise NotSeekable
            if not packet.is_discard:
                stamps.append(packet.pts)
            if packet.is_keyframe and packet.pts <= target:
                key = packet.pts
        if key is None:
            raise NotSeekable
        try:
            self._container.seek(key, stream=self._stream)
        except av.error.FFmpegError:
            raise NotSeekable from None
        return _Ranks(key, sorted(stamps))

    def _judge_end(self) -> None:
        """Notes a file that ends before it should."""
        step = 1 / (self.rate or RATE)
        due = self.duration if len(self._container.streams) == 1 else None  # of several, sound may last longer
        if self._stream.duration is not None and self._stream.time_base is not None:
            due = float(self._stream.duration * self._stream.time_base)
        early = due is not None and self._latest - (self._origin or 0.0) + step < due - max(0.5, 2 * step)
        if early or self._last_cut or self._log.says("File ended prematurely"):
            self._report.note(CUT_SHORT)
        elif self._container.format.name == "avi" and self._start <= 0:  # its header counts the frames
            missing = self._stream.frames - self._packets_seen
            if missing > 0:
                self._report.note(FEWER, missing)


class NotSeekable(Exception):
    """Frames cannot be gone to; all must be read."""


@dataclass(frozen=True)
class _Ranks:
    """What number a frame has by which reading begins.

    Attributes:
        key: stamp of the key frame that was gone to.
        stamps: of all frames up to it, and more, in order.
    """

    key: int
    stamps: list[int]

    def of(self, stamp: int | None) -> int:
        """The number of the first frame that came.

        Raises:
            NotSeekable: it is a later one.
        """
        if stamp is None or stamp > self.key:
            raise NotSeekable
        return bisect_left(self.stamps, stamp)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
