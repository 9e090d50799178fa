"""Copies of a whole gallery: backups, and a gallery made of one again."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.core.subjects import GalleryInfo
from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.database import existing
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery


def back_up(gallery: SqliteGallery, target: Path) -> int:
    """Writes one state of a gallery to a file, whole or not at all; what was removed before is not in it.

    Args:
        gallery: others may go on using it.
        target: must not exist. The copy opens with the gallery's key.

    Returns:
        Bytes written.

    Raises:
        GalleryError: there is such a file, or it cannot be written.
    """
    with _beside(target) as part:
        gallery.database.copy_to(part)
        _sync(part)
        try:
            if os.path.lexists(target):
                raise GalleryError(f"{shown(target)}: is there already; name another file for the backup")
            part.rename(target)
            return target.stat().st_size
        except OSError as error:
            raise GalleryError(f"{shown(target)}: cannot be written ({reason(error)}); choose another place") from error


def restore(backup: Path, path: Path, key: Key | None, *, replace: bool = False) -> tuple[GalleryInfo, int]:
    """Makes a gallery of a backup. Those whom the present gallery has removed since are removed again.

    Everything is checked before anything is written; a gallery that is there is replaced in one transaction, or
    stays as it is.

    Args:
        backup: the backup's file; it stays as it is.
        path: the gallery.
        key: opens both.
        replace: whether a gallery that is there may be replaced: who was enrolled since the backup is lost.

    Returns:
        What the gallery is now, and how many were removed again.

    Raises:
        WrongKey: it does not open the backup.
        GalleryCorrupt: the backup is damaged.
        GalleryError: there is a gallery and `replace` is off, or something cannot be read or written.
    """
    there = os.path.lexists(path)
    if there and path.exists() and backup.exists() and path.samefile(backup):
        raise GalleryError(f"{shown(path)}: is the backup itself; name the gallery with --gallery")
    erased = _erased(path, key) if there and replace else []
    if there and not replace:
        raise GalleryError(
            f"{shown(path)}: is there already, and whoever was enrolled since the backup would be lost; "
            "say --replace if that is wanted"
        )
    source = existing(backup)
    with _beside(path) as part:
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as to, source.open("rb") as from_file:
                shutil.copyfileobj(from_file, to)
        except OSError as error:
            raise GalleryError(f"{shown(path)}: cannot be written ({reason(error)}); make room first") from error
        with contextlib.closing(SqliteGallery(part, key=key)) as gallery:
            problems = gallery.problems()
            if problems:
                raise GalleryCorrupt(f"{shown(backup)}: the backup is damaged ({problems[0]}); take an older one")
            again = len(gallery.remove_uids(erased).subjects) if erased else 0
            gallery.startle()
            info = gallery.info()
            if there:
                _take_over(path, gallery)
        if not there:
            part.rename(path)
    return info, again


def _erased(path: Path, key: Key | None) -> list[str]:
    """Uids that a gallery has removed; none if it is damaged, which is when it is restored."""
    try:
        with contextlib.closing(SqliteGallery(path, key=key)) as gallery:
            return gallery.erased()
    except GalleryCorrupt:
        return []


def _take_over(path: Path, source: SqliteGallery) -> None:
    """Puts a gallery's content in place of another's, or its file in place of a damaged one."""
    from twinface.gallery.database import Database

    try:
        database = Database(path)
    except GalleryCorrupt:
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
        source.database.copy_to(path)
        return
    with contextlib.closing(database):
        database.become(source.database)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name for a file in the making in the same folder; nothing of it is left behind."""
    if not path.parent.is_dir():
        raise GalleryError(f"{shown(path)}: there is no folder {shown(path.parent)}; make it first")
    part = path.parent / f".twinface-{uuid.uuid4().hex}.part"
    try:
        yield part
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    path.chmod(0o600)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
