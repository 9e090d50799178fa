"""Frames of a camera or a video file, one by one: what goes wrong is told in one line, and no read hangs for ever."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Generator
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import SourceStalled, SourceUnavailable
from twinface.vision.capture import Frame, Reader

__all__ = ["DEVICES", "PATIENCE", "Frame", "frames"]

DEVICES = Path("/dev")
"""Where Linux shows its cameras, as video0, video1 and so on."""

PATIENCE = 10.0
"""Seconds without a frame after which a source has stalled. Some cameras take several to open."""

GRACE = 2.0
"""Seconds that closing waits for the device to be let go."""


def frames(
    source: str | os.PathLike[str] | int,
    *,
    seconds: float,
    limit: int | None = None,
    patience: float = PATIENCE,
) -> Generator[Frame, None, None]:
    """The frames of a camera or a video file. The source is looked at here and opened when the first frame is wanted.

    A file gives every frame in its order, as fast as they are taken; one that is cut short ends with its last whole
    frame. A camera gives its newest frame each time and drops what nobody took meanwhile. The source is let go when the
    frames are at an end, or the generator is closed. What OpenCV and FFmpeg write to stderr is silenced meanwhile; a
    camera or disk that hangs is left to a thread that ends with the process.

    Args:
        source: a camera's number from 0, also in digits; the path of its device, as /dev/video0; or a video file.
        seconds: how long to record; what comes later is left out. Infinite: until the file ends.
        limit: most frames; None for all.
        patience: seconds to wait for a frame before giving up.

    Raises:
        SourceUnavailable: there is no such camera or file, it is no video, damaged, empty, or may not be read.
        SourceStalled: no frame arrived in time.
        ValueError: seconds, limit or patience are not positive.
    """
    if not seconds > 0 or not patience > 0 or (limit is not None and limit < 1):
        raise ValueError(f"seconds, limit and patience must be positive, got {seconds}, {limit}, {patience}")
    return _frames(Reader(*_target(source)), seconds, limit, patience)


def _frames(reader: Reader, seconds: float, limit: int | None, patience: float) -> Generator[Frame, None, None]:
    grace = GRACE
    given = 0
    try:
        reader.start()
        while limit is None or given < limit:
            try:
                frame = reader.next(patience)
            except SourceStalled:
                grace = 0.0  # the thread hangs, and waiting for it would double the wait
                raise
            if frame is None or frame.time >= seconds:
                return
            yield frame
            given += 1
    finally:
        reader.close(grace)


def _target(source: str | os.PathLike[str] | int) -> tuple[str, int | str]:
    """What to call the source, and what OpenCV is to open: a camera's number or a file.

    Raises:
        SourceUnavailable: it is neither, or may not be read.
    """
    if isinstance(source, int) or (isinstance(source, str) and re.fullmatch("[0-9]{1,4}", source)):
        return _camera(int(source), f"camera {int(source)}")
    name = os.fspath(source)
    said = shown(name)
    if "://" in name:
        raise SourceUnavailable(f"{said}: TwinFace reads no network streams; record it to a file and name that")
    try:
        status = Path(name).stat()
        if stat.S_ISCHR(status.st_mode):
            device = re.fullmatch(r"video([0-9]{1,4})", Path(name).resolve().name)
            if device is None:
                raise SourceUnavailable(f"{said}: the device is no camera; {_cameras()}")
            return _camera(int(device[1]), said)
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = _cameras() if Path(name).is_relative_to("/dev") else "check the path"
        raise SourceUnavailable(f"{said}: no such file or device; {advice}") from error
    except PermissionError as error:
        raise SourceUnavailable(f"{said}: permission denied; make its folder readable for this user") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise SourceUnavailable(f"{said}: cannot be read ({reason(error)}); check the path") from error
    return said, _file(name, said, status)


def _camera(number: int, said: str) -> tuple[str, int]:
    if number < 0:
        raise SourceUnavailable(f"{said}: cameras are numbered from 0; {_cameras()}")
    if sys.platform.startswith("linux"):
        device = DEVICES / f"video{number}"
        if not device.exists():
            raise SourceUnavailable(f"{said}: there is no {device}; {_cameras()}")
        if not os.access(device, os.R_OK | os.W_OK):
            raise SourceUnavailable(
                f"{said}: no permission for {device}; have yourself added to the group that owns it, mostly video, "
                "and log in again"
            )
    return said, number


def _cameras() -> str:
    """What there is to choose from, where the system tells."""
    if not sys.platform.startswith("linux"):
        return "connect a camera, or give the number of another"
    found = sorted(
        (path for path in DEVICES.glob("video*") if path.name[5:].isdecimal()), key=lambda p: int(p.name[5:])
    )
    there = ", ".join(str(path) for path in found)
    return f"there are {there}" if found else "no camera is connected; connect one, or name a video file"


def _file(name: str, said: str, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise SourceUnavailable(f"{said}: is {kind}; name a video file or a camera")
    if status.st_size == 0:
        raise SourceUnavailable(f"{said}: empty, there is nothing to play; get an intact copy")
    if not os.access(name, os.R_OK):
        raise SourceUnavailable(f"{said}: permission denied; make it readable for this user")
    path = str(Path(name).absolute())  # so that FFmpeg cannot take its start for a protocol
    try:
        path.encode()
    except UnicodeEncodeError as error:  # OpenCV 5.0 ends the process over such names
        raise SourceUnavailable(f"{said}: its name is no Unicode text; rename it") from error
    return path
