"""Tar archives, perhaps from strangers, read in one pass and without unpacking."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast

from twinface.core.files import reason, shown
from twinface.errors import DatasetCorrupt, DatasetMissing

ENDINGS = (".tar", ".tgz", ".tar.gz")
"""Names of archives that are read; whether one is compressed is told by its first bytes."""

LARGEST = 64 * 2**20
"""Bytes; a larger member is refused before it is read."""

LONGEST, DEEPEST = 1_000, 32
"""Characters and steps of a name; one beyond them names nothing. Disks and most programs know no longer ones."""

HEADER = 8 * 2**10
"""Bytes; a larger extended header is refused before it is read."""

HEADERS = 4 * HEADER
"""Bytes that all headers of one member may have together."""

GLOBALS = 100
"""Facts that an archive may state of all its members."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as written in the archive; not to be trusted.
        kind: "other" is a link, a device, a pipe or a sparse file.
        size: bytes.
    """

    name: str
    kind: Literal["file", "folder", "other"]
    size: int


def is_archive(path: Path) -> bool:
    """Whether the name is one of an archive that can be read."""
    return path.name.lower().endswith(ENDINGS)


def plain(name: str) -> str | None:
    """A name below the root, without "./" and doubled strokes; None when it leads out of it, nowhere or too deep."""
    if len(name) > LONGEST or name.startswith("/") or "\0" in name:
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not 0 < len(parts) <= DEEPEST or ".." in parts:
        return None
    return "/".join(parts)


def walk(path: Path) -> Iterator[tuple[Member, Callable[[], bytes]]]:
    """Every member in the order of the archive, with a function that reads it, which works until the next one.

    Raises:
        DatasetMissing: the file cannot be opened.
        DatasetCorrupt: it is no archive, cut short or damaged; its headers are beyond `HEADER`, `HEADERS` or `GLOBALS`;
            or a member read is larger than `LARGEST`. A checksum is compared when the end is reached.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); give another archive") from error
    with file, _damage_told(path):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == b"\x1f\x8b" else file
        forward = _Forward(stream)
        tar: Any = tarfile.TarFile(fileobj=cast(Any, forward), tarinfo=_StrictInfo)
        while (info := _next(tar, forward)) is not None:
            tar.members.clear()  # an archive of very many members shall not fill the memory
            if info.size < 0:
                raise tarfile.ReadError("a member has a negative size")
            kind: Literal["file", "folder", "other"] = "other"
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE) and not info.issparse():
                kind = "file"
            elif info.isdir():
                kind = "folder"
            yield Member(info.name, kind, info.size), lambda info=info: _content(path, forward, info)  # type: ignore[misc]
        while stream.read(2**20):
            pass


def _next(tar: Any, forward: _Forward) -> tarfile.TarInfo | None:
    forward.allow(HEADERS)
    info: tarfile.TarInfo | None = tar.next()
    if len(tar.pax_headers) > GLOBALS:
        raise tarfile.ReadError(f"more than {GLOBALS} facts are stated of all members")
    return info


def _content(path: Path, forward: _Forward, info: tarfile.TarInfo) -> bytes:
    if info.size > LARGEST:
        raise DatasetCorrupt(
            f"{shown(path)}: {shown(info.name)} has {info.size:,} bytes; more than {LARGEST:,} are not read"
        )
    with _damage_told(path):
        forward.seek(info.offset_data)
        forward.allow(info.size)
        content = forward.read(info.size)
        if len(content) < info.size:
            raise tarfile.ReadError("unexpected end of data")
        return content


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as error:
        raise DatasetCorrupt(
            f"{shown(path)}: not a whole .tar or .tar.gz archive ({reason(error)}); fetch it again"
        ) from error


class _StrictInfo(tarfile.TarInfo):
    """A header; where tarfile takes a broken one for the end of the archive, this one says so.

    An extended header is looked at before tarfile interprets it, which takes time and memory that grow with the square
    of what some hold.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            forward = cast(_Forward, tar.fileobj)
            info = cls.frombuf(forward.peek(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
            if info.type in _EXTENDED:
                if not 0 <= info.size <= HEADER:
                    raise tarfile.ReadError(f"a header claims {info.size} bytes")
                if info.type in _RECORDS:
                    _look_at_records(forward.peek(tarfile.BLOCKSIZE + info.size)[tarfile.BLOCKSIZE :])
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


_RECORDS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDED = (*_RECORDS, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


def _look_at_records(content: bytes) -> None:
    """Refuses a header that is not whole records "length key=value" (POSIX.1-2008, pax), or is long digits."""
    place = 0
    while place < len(content) and content[place]:
        length = re.compile(rb"([0-9]{1,5}) ").match(content, place)
        end = place + int(length[1]) if length else 0
        if length is None or b"=" not in content[length.end() : end] or content[end - 1 : end] != b"\n":
            raise tarfile.ReadError("an extended header is malformed")
        place = end
    if re.search(rb"[0-9]{128}", content):
        raise tarfile.ReadError("an extended header holds a number of more than 127 digits")


class _Forward:
    """What tarfile reads from: only onward, and only as much as is allowed, whatever the headers say."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._place = 0
        self._ahead = b""
        self.allow(HEADERS)

    def allow(self, size: int) -> None:
        """Lets so many bytes be read from here on; what `seek` passes over does not count."""
        self._allowed = size

    def tell(self) -> int:
        return self._place

    def peek(self, size: int) -> bytes:
        """What is read next; less than `size` only at the end."""
        self._ahead += self._stream.read(max(size - len(self._ahead), 0))
        return self._ahead[:size]

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._allowed:
            raise tarfile.ReadError(f"the headers of one member have more than {HEADERS:,} bytes")
        self._allowed -= size
        return self._take(size)

    def _take(self, size: int) -> bytes:
        content, self._ahead = self._ahead[:size], self._ahead[size:]
        content += self._stream.read(size - len(content))
        self._place += len(content)
        return content

    def seek(self, place: int) -> None:
        if place < self._place:
            raise tarfile.ReadError("a header points backwards")
        while self._place < place and self._take(min(place - self._place, 2**18)):
            pass
