"""What the name of a video source means: a file, pictures in a row, a camera or a stream; refusals in one line."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from twinface.core.files import reason, shown
from twinface.errors import SourceUnavailable
from twinface.vision.video.names import is_address, scheme, secrets, shown_address

DEVICES = Path("/dev")
"""Where Linux shows its cameras, as video0, video1 and so on."""

SCHEMES = ("rtsp", "rtsps", "http", "https")

PICTURES = frozenset(
    (".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)
"""How the names of pictures end that make a sequence."""

_PATTERN = re.compile(r"%(0?)([0-9]*)d")

Kind = Literal["file", "pictures", "camera", "stream"]


@dataclass(frozen=True)
class Place:
    """Where a video comes from.

    Attributes:
        kind: what it is.
        said: its name for messages, free of secrets.
        targets: what is to be opened: one path, number of a camera or address; of pictures their paths in order.
        notes: what the reader must know of it.
        hidden: what no message may contain; see `video_names.secrets`.
    """

    kind: Kind
    said: str
    targets: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.targets or (self.kind != "pictures" and len(self.targets) > 1):
            raise ValueError(f"place: {self.kind} with {len(self.targets)} targets")


def locate(source: str | os.PathLike[str] | int) -> Place:
    """Looks at what a source's name means, without opening it.

    Args:
        source: a camera's number from 0, also in digits; the path of its device; a video file; a folder of pictures, or
            a pattern of their names as `frames/%05d.jpg`; or an address (rtsp, rtsps, http, https).

    Raises:
        SourceUnavailable: there is nothing of that kind, or it may not be read.
    """
    if isinstance(source, int) or (isinstance(source, str) and re.fullmatch("[0-9]{1,4}", source)):
        return _camera(int(source), f"camera {int(source)}")
    name = os.fspath(source)
    if is_address(name):
        return _stream(name)
    said = shown(name)
    path = Path(name)
    try:
        if _PATTERN.search(path.name) and not path.exists():
            return _pattern(path, said)
        status = path.stat()
        if stat.S_ISCHR(status.st_mode):
            device = re.fullmatch(r"video([0-9]{1,4})", path.resolve().name)
            if device is None:
                raise SourceUnavailable(f"{said}: the device is no camera; {_cameras()}")
            return _camera(int(device[1]), said)
        if stat.S_ISDIR(status.st_mode):
            return _folder(path, said)
        return _file(path, said, status)
    except (FileNotFoundError, NotADirectoryError):
        advice = _cameras() if path.is_relative_to("/dev") else "check the path"
        raise SourceUnavailable(f"{said}: no such file or device; {advice}") from None
    except PermissionError:
        raise SourceUnavailable(f"{said}: permission denied; make its folder readable for this user") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise SourceUnavailable(f"{said}: cannot be read ({reason(error)}); check the path") from None


def natural(name: str) -> tuple[object, ...]:
    """By what names are sorted so that 9 comes before 10."""
    parts = re.split("([0-9]+)", name)
    return (*(int(part) if place % 2 else part for place, part in enumerate(parts)), name)


def _camera(number: int, said: str) -> Place:
    if number < 0:
        raise SourceUnavailable(f"{said}: cameras are numbered from 0; {_cameras()}")
    if not sys.platform.startswith("linux"):
        return Place("camera", said, (str(number),))
    device = DEVICES / f"video{number}"
    if not device.exists():
        raise SourceUnavailable(f"{said}: there is no {device}; {_cameras()}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceUnavailable(
            f"{said}: no permission for {device}; have yourself added to the group that owns it, mostly video, "
            "and log in again"
        )
    return Place("camera", said, (str(device),))


def _cameras() -> str:
    """What there is to choose from, where the system tells."""
    if not sys.platform.startswith("linux"):
        return "connect a camera, or give the number of another"
    found = sorted(
        (path for path in DEVICES.glob("video*") if path.name[5:].isdecimal()), key=lambda p: int(p.name[5:])
    )
    there = ", ".join(str(path) for path in found)
    return f"there are {there}" if found else "no camera is connected; connect one, or name a video file"


def _stream(address: str) -> Place:
    said = shown_address(address)
    if scheme(address) not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise SourceUnavailable(f"{said}: TwinFace reads streams by {known}; name one of these, or a file by its path")
    if not address.isascii() or not address.isprintable() or " " in address:
        raise SourceUnavailable(f"{said}: not an address; write spaces and letters beyond ASCII as %20 and so on")
    try:
        parts = urlsplit(address)
        doubtful = "@" in parts.path + parts.query + parts.fragment  # a password cut short would name another host
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0) and not doubtful
    except ValueError:  # it would tell what it was given
        sound = False
    if not sound:
        raise SourceUnavailable(
            f"{said}: not an address; write it as rtsp://NAME:PASSWORD@HOST:PORT/PATH, with @ : / ? # in name, "
            "password or path as %40 %3A %2F %3F %23"
        )
    return Place("stream", said, (address,), hidden=secrets(address))


def _file(path: Path, said: str, status: os.stat_result) -> Place:
    if not stat.S_ISREG(status.st_mode):
        raise SourceUnavailable(f"{said}: is not a regular file; name a video file or a camera")
    if status.st_size == 0:
        raise SourceUnavailable(f"{said}: empty, there is nothing to play; get an intact copy")
    if not os.access(path, os.R_OK):
        raise SourceUnavailable(f"{said}: permission denied; make it readable for this user")
    target = os.path.abspath(path)  # noqa: PTH100 - absolute, so that FFmpeg cannot take its start for a protocol
    try:
        target.encode()
    except UnicodeEncodeError:
        raise SourceUnavailable(f"{said}: its name is no Unicode text; rename it") from None
    return Place("pictures" if path.suffix.lower() in PICTURES else "file", said, (target,))


def _folder(path: Path, said: str) -> Place:
    found = [one.name for one in path.iterdir() if one.suffix.lower() in PICTURES]
    names = [name for name in found if not name.startswith(".")]
    if not names:
        raise SourceUnavailable(
            f"{said}: is a directory without pictures ({', '.join(sorted(PICTURES))}); name a video file, or a folder "
            "of pictures"
        )
    return Place("pictures", said, _absolute(path, sorted(names, key=natural)))


def _pattern(path: Path, said: str) -> Place:
    found = _PATTERN.search(path.name)
    assert found is not None
    zeros, width = bool(found[1]), int(found[2] or 0)
    digits = rf"([0-9]{{{width},}})" if zeros else "([0-9]+)"
    wanted = re.compile(re.escape(path.name[: found.start()]) + digits + re.escape(path.name[found.end() :]))
    by_number = {int(match[1]): one.name for one in path.parent.iterdir() if (match := wanted.fullmatch(one.name))}
    if not by_number:
        raise SourceUnavailable(f"{said}: no picture is named so; check the path, and the number of digits")
    missing = max(by_number) - min(by_number) + 1 - len(by_number)
    notes = (f"numbers missing in the sequence: {missing}",) if missing else ()
    return Place("pictures", said, _absolute(path.parent, [by_number[one] for one in sorted(by_number)]), notes)


def _absolute(folder: Path, names: list[str]) -> tuple[str, ...]:
    base = folder.absolute()
    return tuple(str(base / name) for name in names)
