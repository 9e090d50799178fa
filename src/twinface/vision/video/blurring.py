"""Parts of pictures made unrecognisable, and copies of videos with such pictures, their true times and their sound."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from twinface.core.files import reason, shown, write_atomically
from twinface.core.types import Box, Image
from twinface.core.video import VideoInfo
from twinface.errors import OutputError

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

Style = Literal["blur", "pixelate", "box"]

CELLS = 8
"""Mean colours along the shorter side of an enlarged box that are all that is left of it."""

LEAST_CELL = 4.0
"""Pixels of a cell, at least: of a small face even fewer cells are left."""

SIDE, ABOVE = 0.25, 0.45
"""Parts of a box by which it is enlarged to the left, to the right and below; and above, for forehead and hair."""

SHARED = 0.25
"""Part of a face seen to be hidden that may lie within one that is kept; if it is more, that one is hidden too."""

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""What FFmpeg calls the kinds of copies, by their endings."""

HIGH_DEFINITION = 720
"""Lines from which on a copy has the colours of BT.709, below those of BT.601."""

FINEST = 1_000_000
"""Ticks a second of a copy's clock, at most."""

COARSEST = 60_000
"""Ticks a second where MPEG-4, which cannot count finer, takes H.264's place."""

AHEAD = 1.0
"""Seconds that sound may be written before the pictures it belongs to."""


@dataclass(frozen=True)
class Area:
    """A face to be hidden.

    Attributes:
        box: pixels, not enlarged.
        seen: whether a face was found there just before and after; otherwise it is only supposed to be there.
    """

    box: Box
    seen: bool


def enlarged(box: Box) -> Box:
    """The part of a picture that is hidden of a face: its box, and what is around it."""
    return Box(
        box.x - SIDE * box.width,
        box.y - ABOVE * box.height,
        (1 + 2 * SIDE) * box.width,
        (1 + SIDE + ABOVE) * box.height,
    )


def obscure(image: Image, hidden: Sequence[Area], kept: Sequence[Box], style: Style = "blur") -> Image:
    """A copy of a picture with faces made unrecognisable.

    All that is left of a face by "blur" and "pixelate" are some 5 x 7 mean colours, by "box" nothing. A kept face stays
    as it is within its own box, also where the surroundings of another one are hidden; but where more than `SHARED` of
    a face that was seen would stay visible so, it is hidden all the same.

    Args:
        image: RGB uint8, shape (H, W, 3).
        hidden: faces to be hidden; they may reach beyond the picture.
        kept: boxes of faces that stay, pixels.
        style: how.
    """
    out = image.copy()
    for area in hidden:
        _cover(image, out, enlarged(area.box), style)
    for box in kept:
        left, top, right, bottom = _clipped(box, image)
        out[top:bottom, left:right] = image[top:bottom, left:right]
    for area in hidden:
        if area.seen and any(_shared(area.box, box) > SHARED * area.box.area for box in kept):
            _cover(image, out, enlarged(area.box), style)
    return out


def check_copy(video: Path, target: Path) -> None:
    """Refuses a copy that cannot be, before the work is done.

    Raises:
        OutputError: there is something already, or no folder; or its ending names no kind of copy.
    """
    if target.suffix.lower() not in FORMATS:
        raise OutputError(f"{shown(target)}: a copy ends in {', '.join(FORMATS)}; name it so")
    if os.path.lexists(target):
        same = target.exists() and video.exists() and target.samefile(video)
        raise OutputError(f"{shown(target)}: is {'the video itself' if same else 'there already'}; choose another name")
    if not target.parent.is_dir():
        raise OutputError(f"{shown(target)}: there is no folder {shown(target.parent)}; make it first")


def write_copy(
    video: Path, target: Path, info: VideoInfo, pictures: Iterable[tuple[float, Image]], *, sound: bool = True
) -> tuple[str, ...]:
    """Encodes pictures as a copy of a video: H.264 where it can be, with the times they had, and the sound as it is.

    The copy is there once it is complete; before that, and when it is interrupted, there is nothing. Titles, places,
    chapters and whatever else the video says of itself are not copied, nor are subtitles. In Matroska, which knows no
    times before its start, all begins some hundredths of a second later where sound is ahead of the pictures.

    Args:
        video: the file the pictures and the sound are from.
        target: the copy, which must not exist.
        info: of the video, at full size.
        pictures: time in seconds from the start and RGB uint8 (H, W, 3) of each, in order, all of the video's size.
        sound: whether it is copied.

    Returns:
        What the reader must know.

    Raises:
        OutputError: it cannot be written, exists already, or the pictures change their size.
    """
    import av

    notes: list[str] = []

    def write(file: BinaryIO) -> None:
        try:
            with ExitStack() as opened:
                source = opened.enter_context(av.open(os.path.abspath(video), options={"protocol_whitelist": "file"}))  # noqa: PTH100 - a path that FFmpeg takes for no protocol
                sink = opened.enter_context(av.open(file, "w", format=FORMATS[target.suffix.lower()]))
                _encode(source, sink, info, pictures, notes, sound=sound)
        except av.FFmpegError as error:
            raise OutputError(f"{shown(target)}: cannot be encoded ({reason(error)}); choose another ending") from error
        if os.path.lexists(target):  # since a moment ago
            raise OutputError(f"{shown(target)}: is there already; choose another name")

    check_copy(video, target)
    write_atomically(target, write)
    return tuple(notes)


def _encode(
    source: InputContainer,
    sink: OutputContainer,
    info: VideoInfo,
    pictures: Iterable[tuple[float, Image]],
    notes: list[str],
    *,
    sound: bool,
) -> None:
    import av
    from av.video.reformatter import Colorspace, VideoReformatter

    base = _base(source)
    high = info.height >= HIGH_DEFINITION
    stream, base = _video_stream(sink, info, base, high=high)
    audible = _Sound(source, sink, notes) if sound else None
    reformatter = VideoReformatter()
    last = -1
    for time, image in pictures:
        if image.shape != (info.height, info.width, 3):
            raise OutputError(
                f"{info.name}: its pictures change their size after {time:.1f} s, which a copy cannot; cut it there"
            )
        image = np.pad(image, ((0, info.height % 2), (0, info.width % 2), (0, 0)), "edge")
        frame = reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709 if high else Colorspace.ITU601,
            dst_color_range=1,
        )
        last = max(last + 1, round(time / base))
        frame.pts, frame.time_base = last, base
        sink.mux(stream.encode(frame))
        if audible is not None:
            audible.mux(time + AHEAD)
    sink.mux(stream.encode())
    if audible is not None:
        audible.mux(math.inf)


def _base(source: InputContainer) -> Fraction:
    """Seconds of a tick of the video's clock, so that the copy's times are the same."""
    best = source.streams.best("video")
    base = None if best is None else best.time_base
    return base if base is not None and base > 0 and base.denominator <= FINEST else Fraction(1, 90_000)


def _video_stream(
    sink: OutputContainer, info: VideoInfo, base: Fraction, *, high: bool
) -> tuple[VideoStream, Fraction]:
    """The stream pictures are encoded into, and its clock's tick in seconds."""
    import av

    rate = Fraction(info.rate or 25.0).limit_denominator(1001)
    if "libx264" in av.codecs_available:  # frames in their order, so that times need not be shifted
        options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        stream: VideoStream = sink.add_stream("libx264", rate=rate, options=options)
    else:
        stream = sink.add_stream("mpeg4", rate=rate)
        stream.codec_context.bit_rate = max(1_000_000, round(0.2 * info.width * info.height * float(rate)))
        base = base if base.denominator <= COARSEST else Fraction(1, COARSEST)
    stream.width, stream.height = info.width + info.width % 2, info.height + info.height % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    stream.time_base = context.time_base = base
    context.color_range = 1
    context.colorspace = context.color_primaries = context.color_trc = 1 if high else 6
    return stream, base


class _Sound:
    """Copies packets of sound.

    Args:
        source: where from.
        sink: where to.
        notes: what the reader must know is put here.
    """

    def __init__(self, source: InputContainer, sink: OutputContainer, notes: list[str]) -> None:
        self._sink = sink
        self._notes = notes
        self._origin = (source.start_time or 0) / 1e6
        self._streams: dict[int, AudioStream] = {}
        for stream in source.streams.audio:
            if stream.codec_context is not None and stream.codec_context.name in sink.supported_codecs:
                self._streams[stream.index] = sink.add_stream_from_template(stream)
            else:
                notes.append("its sound is of a kind that such a copy cannot hold and was left out; try .mkv")
        self._packets = self._read(source)
        self._next: tuple[float, Packet[Any]] | None = next(self._packets, None)

    def mux(self, until: float) -> None:
        """Writes the packets up to a time, seconds."""
        while self._next is not None and self._next[0] <= until:
            self._sink.mux(self._next[1])
            self._next = next(self._packets, None)

    def _read(self, source: InputContainer) -> Iterator[tuple[float, Packet[Any]]]:
        import av

        last: dict[int, int] = {}
        if not self._streams:
            return
        try:
            for packet in source.demux([source.streams[number] for number in self._streams]):
                base, number = packet.time_base, packet.stream.index
                if packet.dts is None or packet.pts is None or base is None or packet.dts <= last.get(number, -(2**62)):
                    continue
                last[number] = packet.dts
                shift = round(self._origin / base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self._streams[number]
                yield float(packet.pts * base), packet
        except (av.FFmpegError, IndexError):  # IndexError: another stream came late
            self._notes.append("the rest of its sound cannot be read and was left out")


def _cover(image: Image, out: Image, box: Box, style: Style) -> None:
    """Hides a part of a picture in its copy; both (H, W, 3)."""
    import cv2

    left, top, right, bottom = _clipped(box, image)
    if left >= right or top >= bottom:
        return
    part = out[top:bottom, left:right]
    if style == "box":
        part[:] = 0
        return
    cell = max(LEAST_CELL, min(box.width, box.height) / CELLS)
    width, height = right - left, bottom - top
    grid = (max(1, round(width / cell)), max(1, round(height / cell)))
    cells = cv2.resize(image[top:bottom, left:right], grid, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_NEAREST if style == "pixelate" else cv2.INTER_LINEAR
    covered = cv2.resize(cells, (width, height), interpolation=way)
    part[:] = cv2.GaussianBlur(covered, (0, 0), cell) if style == "blur" else covered


def _clipped(box: Box, image: Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that a box touches; empty beyond the picture."""
    height, width = image.shape[:2]
    left, top, right, bottom = box.corners
    return (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(width, math.ceil(right)),
        min(height, math.ceil(bottom)),
    )


def _shared(one: Box, other: Box) -> float:
    """Square pixels that two boxes share."""
    a, b = one.corners, other.corners
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
