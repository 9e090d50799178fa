"""Tar archives, perhaps from strangers, read in one pass and without unpacking."""

from __future__ import annotations

import gzip
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
"""Bytes; a larger member, or a larger header, is refused before it is read."""


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
    """A name below the root, without "./" and doubled strokes; None when it leads out of it or nowhere."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or not parts or ".." in parts or "\0" in name:
        return None
    return "/".join(parts)


def walk(path: Path) -> Iterator[tuple[Member, Callable[[], bytes]]]:
    """Every member in the order of the archive, with a function that reads it, which works until the next one.

    Raises:
        DatasetMissing: the file cannot be opened.
        DatasetCorrupt: it is no archive, cut short or damaged; or a member read is larger than `LARGEST`. A checksum
            is compared when the end is reached.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); give another archive") from error
    with file, _damage_told(path):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == b"\x1f\x8b" else file
        forward = _Forward(stream)
        tar: Any = tarfile.TarFile(fileobj=cast(Any, forward), tarinfo=_StrictInfo)
        while (info := tar.next()) is not None:
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


def _content(path: Path, forward: _Forward, info: tarfile.TarInfo) -> bytes:
    if info.size > LARGEST:
        raise DatasetCorrupt(
            f"{shown(path)}: {shown(info.name)} has {info.size:,} bytes; more than {LARGEST:,} are not read"
        )
    with _damage_told(path):
        forward.seek(info.offset_data)
        content = forward.read(info.size)
        if len(content) < info.size:
            raise tarfile.ReadError("unexpected end of data")
        return content


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise DatasetCorrupt(
            f"{shown(path)}: not a whole .tar or .tar.gz archive ({reason(error)}); fetch it again"
        ) from error


class _StrictInfo(tarfile.TarInfo):
    """A header; where tarfile takes a broken one for the end of the archive, this one says so."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class _Forward:
    """What tarfile reads from: only onward, and only portions of bounded size, whatever the headers say."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._place = 0

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST + tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        content = self._stream.read(size)
        self._place += len(content)
        return content

    def seek(self, place: int) -> None:
        if place < self._place:
            raise tarfile.ReadError("a header points backwards")
        while self._place < place and self.read(min(place - self._place, 2**18)):
            pass
