"""Unpacking of archives, perhaps from strangers: nothing leaves the folder, and nothing is left by halves."""

from __future__ import annotations

import os
import shutil
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.datasets.archives import Member, plain, walk
from twinface.errors import DatasetCorrupt, OutputError


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        size: bytes of all files together.
        members: files and folders.
    """

    size: int = 4 * 2**30
    members: int = 200_000


def extract(
    archive: Path, folder: Path, *, limits: Limits | None = None, progress: Callable[[int], None] | None = None
) -> None:
    """Unpacks an archive: `folder` appears whole or not at all.

    Only files and folders are made, with the rights the user's new files have. The one folder in which most archives
    wrap their content becomes `folder` itself.

    Args:
        archive: .tar, .tgz or .tar.gz.
        folder: must not exist; the folder above it must.
        limits: what the archive may hold.
        progress: told the bytes written so far.

    Raises:
        DatasetMissing: the archive cannot be opened.
        DatasetCorrupt: the archive is damaged, holds nothing, too much, a link, a device, a name that leads out of the
            folder, or two names that are one on some disks. Nothing is left behind.
        OutputError: the folder exists or cannot be written. Nothing is left behind.
    """
    if os.path.lexists(folder):
        raise OutputError(f"{shown(folder)}: is there already; remove it first or choose another place")
    building = folder.parent / f".twinface-{uuid.uuid4().hex}.part"
    try:
        with _writing(folder):
            building.mkdir()
        _unpack(archive, building, limits or Limits(), progress)
        with _writing(folder):
            inside = list(building.iterdir())
            (inside[0] if len(inside) == 1 and inside[0].is_dir() else building).rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _unpack(archive: Path, building: Path, limits: Limits, progress: Callable[[int], None] | None) -> None:
    claimed: dict[str, tuple[str, bool]] = {}
    written = members = files = 0
    for member, content in walk(archive):
        members, written = members + 1, written + (member.size if member.kind == "file" else 0)
        if members > limits.members or written > limits.size:
            raise DatasetCorrupt(
                f"{shown(archive)}: holds more than {limits.members:,} members or {limits.size:,} bytes; not unpacked"
            )
        name = _harmless(archive, member)
        if name is None:
            continue
        _claim(archive, claimed, name, is_file=member.kind == "file")
        target = building / name
        if member.kind == "folder":
            with _writing(target):
                target.mkdir(parents=True, exist_ok=True)
            continue
        data = content()
        with _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(data)
        files += 1
        if progress is not None:
            progress(written)
    if not files:
        raise DatasetCorrupt(f"{shown(archive)}: holds no files; fetch it again")


def _harmless(archive: Path, member: Member) -> str | None:
    """The member's name below the folder; None for the folder itself.

    A stroke or a colon of Windows is refused everywhere: one archive shall not be safe here and hostile there.
    """
    if member.kind == "folder" and not member.name.strip("./") and ".." not in member.name.split("/"):
        return None
    name = plain(member.name)
    if member.kind == "other" or name is None or "\\" in name or ":" in name:
        what = "a link or a device" if member.kind == "other" else "a name that leads out of the folder"
        raise DatasetCorrupt(f"{shown(archive)}: {shown(member.name)} is {what}; not unpacked, fetch it elsewhere")
    return name


def _claim(archive: Path, claimed: dict[str, tuple[str, bool]], name: str, *, is_file: bool) -> None:
    """Notes a name and its folders; refuses one that is there already, also as disks see it that ignore case."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        entry = ("/".join(parts[:depth]), is_file and depth == len(parts))
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", entry[0]).casefold())
        if folded in claimed and (entry[1] or claimed[folded] != entry):
            raise DatasetCorrupt(
                f"{shown(archive)}: {shown(entry[0])} and {shown(claimed[folded][0])} share one name; not unpacked"
            )
        claimed[folded] = entry


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name that the disk cannot spell
        raise OutputError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place") from error
