"""Unpacking of archives, perhaps from strangers: nothing leaves the folder, and nothing is left by halves."""

from __future__ import annotations

import os
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.datasets.archives import Member, plain, walk
from twinface.errors import DatasetCorrupt, OutputError


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        size: bytes of all files together.
        members: files and folders, also those that only a name within them makes.
    """

    size: int = 4 * 2**30
    members: int = 200_000


DAY = 24 * 60 * 60.0
"""Seconds after which a folder that an extraction builds in was left behind; none takes so long."""


def extract(
    archive: Path, folder: Path, *, limits: Limits | None = None, progress: Callable[[int], None] | None = None
) -> None:
    """Unpacks an archive: `folder` appears whole or not at all.

    Only files and folders are made, with the rights the user's new files have. The one folder in which most archives
    wrap their content becomes `folder` itself. What extractions that were killed left beside it is removed after a day.

    Args:
        archive: .tar, .tgz or .tar.gz.
        folder: must not exist; the folder above it must.
        limits: what the archive may hold.
        progress: told the bytes written so far.

    Raises:
        DatasetMissing: the archive cannot be opened.
        DatasetCorrupt: the archive is damaged, holds nothing, too much, a link, a device, a name that leads out of the
            folder, too long or too deep a one, or two names that are one on some disks. Nothing is left behind.
        OutputError: the folder exists or cannot be written. Nothing is left behind.
    """
    if os.path.lexists(folder):
        raise OutputError(f"{shown(folder)}: is there already; remove it first or choose another place")
    _clear_leftovers(folder.parent)
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


def _clear_leftovers(home: Path) -> None:
    """Removes folders of extractions that had no time to; what cannot be removed stays, links are not followed."""
    with suppress(OSError), os.scandir(home) as entries:
        for entry in entries:
            if re.fullmatch(r"\.twinface-[0-9a-f]{32}\.part", entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):  # another extraction may have been quicker
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - DAY:
                        shutil.rmtree(entry.path, ignore_errors=True)


def _unpack(archive: Path, building: Path, limits: Limits, progress: Callable[[int], None] | None) -> None:
    claimed = _Claimed()
    written = members = files = 0
    for member, content in walk(archive):
        members, written = members + 1, written + (member.size if member.kind == "file" else 0)
        name = _harmless(archive, member)
        if name is not None:
            claimed.claim(archive, name, is_file=member.kind == "file")
        if max(members, claimed.count) > limits.members or written > limits.size:
            raise DatasetCorrupt(
                f"{shown(archive)}: holds more than {limits.members:,} members or {limits.size:,} bytes; not unpacked"
            )
        if name is None:
            continue
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
        what = "a name that leads out of the folder, or is too long or too deep"
        if member.kind == "other":
            what = "a link or a device"
        raise DatasetCorrupt(f"{shown(archive)}: {shown(member.name)} is {what}; not unpacked, fetch it elsewhere")
    return name


@dataclass(slots=True)
class _Claimed:
    """A folder of the names taken so far, each by what disks that ignore case and ways of writing accents see.

    Attributes:
        name: as the archive has it.
        inside: what lies in it; None for a file.
        count: files and folders below, kept at the root.
    """

    name: str = ""
    inside: dict[str, _Claimed] | None = field(default_factory=dict)
    count: int = 0

    def claim(self, archive: Path, name: str, *, is_file: bool) -> None:
        """Notes a name and its folders; refuses one that is there already."""
        parts = name.split("/")
        here = self
        for depth, part in enumerate(parts, 1):
            assert here.inside is not None  # a file that is a folder too was refused
            as_file = is_file and depth == len(parts)
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())
            known = here.inside.get(folded)
            if known is None:
                known = here.inside[folded] = _Claimed(part, None if as_file else {})
                self.count += 1
            elif as_file or known.inside is None or known.name != part:
                above = "/".join(parts[: depth - 1])
                one, other = "/".join(parts[:depth]), f"{above}/{known.name}" if above else known.name
                raise DatasetCorrupt(f"{shown(archive)}: {shown(one)} and {shown(other)} share one name; not unpacked")
            here = known


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name that the disk cannot spell
        raise OutputError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place") from error
