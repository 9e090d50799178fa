"""The bytes of a picture: from a path, bytes or a file object, never more of them than the limit allows."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|data:image/", re.IGNORECASE)


@dataclass(frozen=True)
class DecodeLimits:
    """What is refused before decoding.

    Attributes:
        max_pixels: width x height; decoding takes up to about 10 bytes a pixel. The default lets the 108-megapixel
            photos of phones pass. Above twice `PIL.Image.MAX_IMAGE_PIXELS` (179 million) Pillow itself refuses.
        max_bytes: size of the file.
        min_side: pixels of the shorter side; anything smaller cannot hold a face.
    """

    max_pixels: int = 120_000_000
    max_bytes: int = 256 * 2**20
    min_side: int = 16

    def __post_init__(self) -> None:
        if min(self.max_pixels, self.max_bytes, self.min_side) < 1:
            raise ValueError(f"decode limits: must be positive, got {self}")


DEFAULT_LIMITS = DecodeLimits()


def read_bytes(source: object, limits: DecodeLimits) -> tuple[str, bytes]:
    """Name and content of a path, bytes or a file object; reads at most one byte more than the limit.

    Args:
        source: a path, bytes, or a binary file object, read from its position on and never closed.
        limits: `max_bytes` counts here.

    Returns:
        The name for messages (the path as given, a file object's name, or a word such as "<bytes>") and the bytes.

    Raises:
        UnreadableImage: missing, no regular file, empty, or reading failed.
        ImageTooLarge: more bytes than the limit allows.
        UnsupportedFormat: none of the sources above, a URL, or a file opened as text.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        name = "<bytes>"
        _check_bytes(memoryview(source).nbytes, name, limits)
        content = bytes(source)
    elif isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        content = _read_path(name, limits)
    elif callable(reader := getattr(source, "read", None)):
        given = getattr(source, "name", None)
        name = given if isinstance(given, str) and given else "<file>"
        if isinstance(source, io.TextIOBase):
            raise UnsupportedFormat(f'{shown(name)}: the file was opened as text; open it in binary mode ("rb")')
        content = _read_stream(reader, name, limits)
    else:
        raise UnsupportedFormat(
            f"{type(source).__name__} is not a picture; give a path, bytes, a binary file object or a uint8 array"
        )
    _check_bytes(len(content), name, limits)
    if not content:
        raise UnreadableImage(
            f"{shown(name)}: empty, there are no bytes to read; get an intact copy, or seek a file object to its start"
        )
    return name, content


def _read_path(name: str, limits: DecodeLimits) -> bytes:
    if _ADDRESS.match(name):
        raise UnsupportedFormat(
            f"{shown(name)}: TwinFace reads no URLs; download the picture first, then name the file"
        )
    if not name:
        raise UnreadableImage("'': no such file; the path is empty")
    path = Path(name)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableImage(f"{shown(name)}: is a directory; name a picture in it")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage(f"{shown(name)}: not a regular file; copy the picture to a file, or pass its bytes")
        _check_bytes(status.st_size, name, limits)
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableImage(f"{shown(name)}: no such file; check the path") from error
    except PermissionError as error:
        raise UnreadableImage(f"{shown(name)}: permission denied; make it readable for this user") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UnreadableImage(f"{shown(name)}: cannot be read ({reason(error)}); check the path") from error


def _read_stream(read: Callable[[int], object], name: str, limits: DecodeLimits) -> bytes:
    content = bytearray()
    try:
        while len(content) <= limits.max_bytes:
            part = read(limits.max_bytes + 1 - len(content))
            if not isinstance(part, bytes | bytearray | memoryview):
                raise UnsupportedFormat(
                    f"{shown(name)}: read() gave {type(part).__name__}, not bytes; open the file in binary mode"
                )
            if not part:
                break
            content += part
    except (OSError, ValueError, EOFError) as error:  # ValueError: the file is closed
        raise UnreadableImage(f"{shown(name)}: cannot be read ({reason(error)}); open it anew") from error
    return bytes(content)


def _check_bytes(size: int, name: str, limits: DecodeLimits) -> None:
    if size > limits.max_bytes:
        raise ImageTooLarge(
            f"{shown(name)}: more than {limits.max_bytes:,} bytes, the limit; save it smaller or raise max_bytes"
        )
