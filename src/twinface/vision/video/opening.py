"""Opens sources for decoding. Runs in the decoding process."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from twinface.vision.video.faults import NO_VIDEO, Log, explained
from twinface.vision.video.live import LiveReader
from twinface.vision.video.reading import FileReader, NotSeekable
from twinface.vision.video.shots import Reader, Report, Shot
from twinface.vision.video.wire import MOST_PIXELS, Refusal, Request

THREADS = 4
"""Threads that decode a file, at most: the faces need the processor too."""

WIDE = 4096 * 2304
"""Pixels of a frame above which two threads decode, for each holds frames of its own."""

NETWORK = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,crypto,data"
"""What a stream may lead to: never to files of this machine."""

_DRAWN_TEXT = {"ansi", "bintext", "idf", "xbin"}
"""What FFmpeg calls texts that it would show as letters on a black screen."""


def reader_of(request: Request, report: Report, log: Log) -> Reader:
    """Opens a source.

    Raises:
        Refusal: it cannot be opened, or shows nothing.
    """
    if request.kind == "pictures":
        from twinface.vision.video.pictures import PictureReader

        return PictureReader(request, report)
    container, stream = _opened(request, log)
    live = request.kind == "camera" or (
        request.kind == "stream" and (container.duration is None or request.targets[0].lower().startswith("rtsp"))
    )
    _set_threads(stream, live=live)
    if live:
        return LiveReader(container, stream, request.kind, report, log)
    return FileReader(container, stream, request, report, log)


def frames_of(reader: Reader, request: Request, report: Report, log: Log) -> Iterator[Shot]:
    """Its frames; a file whose start cannot be gone to is opened again and decoded from its beginning."""
    try:
        yield from reader.frames()
    except NotSeekable:
        container, stream = _opened(request, log)
        _set_threads(stream, live=False)
        yield from FileReader(container, stream, request, report, log, seekable=False).frames()


def _opened(request: Request, log: Log) -> tuple[InputContainer, VideoStream]:
    target, kind, options = _how(request)
    try:
        container = av.open(target, mode="r", format=kind, container_options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Refusal(explained(error, request.kind, log)) from None
    return container, _video_of(container, request)


def _how(request: Request) -> tuple[str, str | None, dict[str, str]]:
    """What FFmpeg is to open, as what, and with which options."""
    target = request.targets[0]
    if request.kind == "file":
        return target, None, {"protocol_whitelist": "file"}
    if request.kind == "camera":
        return _camera(target)
    options = {
        "protocol_whitelist": NETWORK,
        "analyzeduration": "1000000",  # microseconds; five times as long is usual
        "fpsprobesize": "0",
    }
    if target.lower().startswith(("https", "rtsps")) and request.verify:
        authorities = ssl.get_default_verify_paths().cafile
        options |= {"tls_verify": "1"} | ({"ca_file": authorities} if authorities else {})
    if target.lower().startswith("rtsp"):
        options |= {"rtsp_transport": request.transport, "allowed_media_types": "video"}
    return target, None, options


def _camera(target: str) -> tuple[str, str, dict[str, str]]:
    if sys.platform == "darwin":
        return target, "avfoundation", {"framerate": "30"}
    if sys.platform == "win32":
        from av.device import enumerate_input_devices

        cameras = [one.name for one in enumerate_input_devices("dshow") if "video" in one.media_types]
        if int(target) >= len(cameras):
            raise Refusal("there is no such camera; connect one, or give the number of another")
        return f"video={cameras[int(target)]}", "dshow", {}
    return target, "v4l2", {}


def _video_of(container: InputContainer, request: Request) -> VideoStream:
    if container.format.name == "tty":
        raise Refusal(NO_VIDEO)
    moving = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not moving:
        what = "has sound but no pictures" if container.streams.audio else "has no pictures"
        raise Refusal(f"{what}; name a video" if request.kind == "file" else f"{what}; check the address")
    best = container.streams.best("video")
    stream = next((one for one in moving if best is not None and one.index == best.index), moving[0])
    context = stream.codec_context
    if context is None:
        raise Refusal("its pictures are coded in a way that cannot be read; save it as MP4 (H.264)")
    if context.name in _DRAWN_TEXT:
        raise Refusal(NO_VIDEO)
    context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def _set_threads(stream: VideoStream, *, live: bool) -> None:
    """Threads over frames are faster, but each holds one back: not for live sources, nor where packets are chosen."""
    context = stream.codec_context
    context.thread_type = "SLICE" if live or context.codec.intra_only else "AUTO"
    context.thread_count = min(THREADS if context.width * context.height <= WIDE else 2, os.cpu_count() or 1)
