"""Copies of a whole gallery: backups, and a gallery made of one again."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.core.subjects import GalleryInfo
from twinface.errors import GalleryCorrupt, GalleryError, GalleryLocked
from twinface.gallery.audit_copies import keep_log, log_restoring
from twinface.gallery.database import Database
from twinface.gallery.faults import cause
from twinface.gallery.keys import Key
from twinface.gallery.placing import check_name, existing, log_of, publish, unfinished
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
        try:
            gallery.database.copy_to(part)
        except GalleryCorrupt:
            raise
        except GalleryError as error:
            raise GalleryError(
                f"{shown(target)}: cannot be written ({cause(error)}); make room or choose another place"
            ) from error
        if not _finish(part, target):
            raise GalleryError(f"{shown(target)}: is there already; name another file for the backup")
        return target.stat().st_size


@dataclass(frozen=True)
class Restored:
    """What came of restoring a backup.

    Attributes:
        info: what the gallery is now.
        again: people whom the gallery had removed since the backup, removed again.
        aside: where the damaged gallery is that was there before, with everybody it holds; None where there was none.
    """

    info: GalleryInfo
    again: int
    aside: Path | None


def restore(backup: Path, path: Path, key: Key | None, *, replace: bool = False) -> Restored:
    """Makes a gallery of a backup. Those whom the present gallery has removed since are removed again.

    Everything is checked before anything is written; a gallery that is there is replaced in one transaction, or
    stays as it is.

    Args:
        backup: the backup's file; it stays as it is.
        path: the gallery.
        key: opens both.
        replace: whether a gallery that is there may be replaced: who was enrolled since the backup is lost.

    Raises:
        WrongKey: it does not open the backup.
        GalleryCorrupt: the backup is damaged.
        GalleryError: there is a gallery and `replace` is off, or something cannot be read or written.
    """
    there = os.path.lexists(path)
    if _are_one(path, backup):
        raise GalleryError(f"{shown(path)}: is the backup itself; name the gallery with --gallery")
    erased = _erased(path, key) if there and replace else []
    if there and not replace:
        raise GalleryError(
            f"{shown(path)}: is there already, and whoever was enrolled since the backup would be lost; "
            "say --replace if that is wanted"
        )
    source = existing(backup)
    log = log_of(source)
    if log.exists() and log.stat().st_size:
        raise GalleryError(
            f"{shown(backup)}: is a gallery in use, or one that was not closed: what was written last lies in "
            f"{shown(log.name)}; make a backup of it first (twinface gallery backup)"
        )
    with _beside(path) as part:
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as to, source.open("rb") as from_file:
                shutil.copyfileobj(from_file, to)
        except OSError as error:
            raise GalleryError(f"{shown(path)}: cannot be written ({reason(error)}); make room first") from error
        with _called(part, backup), contextlib.closing(SqliteGallery(part, key=key)) as gallery:
            problems = gallery.problems(log=False)
            if problems:
                raise GalleryCorrupt(f"{shown(backup)}: the backup is damaged ({problems[0]}); take an older one")
            again = len(gallery.remove_uids(erased).subjects) if erased else 0
            gallery.startle()
            taken = there and _take_over(path, key, gallery)
            if not taken:
                log_restoring(gallery, gallery.audit.head()[0], aside=there)
            info = gallery.info()
            gallery.database.settle()
        aside = None
        if not taken:
            aside = _put_aside(path) if there else None
            if not _finish(part, path):
                raise GalleryError(f"{shown(path)}: was made by somebody else meanwhile; nothing was restored")
    return Restored(info, again, aside)


def _erased(path: Path, key: Key | None) -> list[str]:
    """Uids that a gallery has removed; none if it is damaged, which is when it is restored."""
    try:
        with contextlib.closing(SqliteGallery(path, key=key)) as gallery:
            return gallery.erased()
    except GalleryCorrupt:
        return []


def _are_one(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one is not there; whoever opens it says so
        return False


def _take_over(path: Path, key: Key | None, source: SqliteGallery) -> bool:
    """Puts a gallery's content in place of another's, unless that is too damaged to be opened; whether it was done."""
    present = _sound(path, key)
    if present is None:
        return False
    with contextlib.closing(present), contextlib.closing(Database(path)) as database:
        ended = source.audit.head()[0]
        head = keep_log(source, present)
        log_restoring(source, ended, aside=False)

        def check() -> None:
            if present.audit.head() != head:
                raise GalleryLocked(
                    f"{shown(path)}: its audit log goes on being written; stop access control, then restore again"
                )

        database.become(source.database, check)
    return True


def _sound(path: Path, key: Key | None) -> SqliteGallery | None:
    """A gallery; None where it is damaged, or its audit log is not what was written."""
    with contextlib.suppress(GalleryCorrupt):
        gallery = SqliteGallery(path, key=key)
        try:
            sound = not gallery.audit.problems()
        except BaseException:
            gallery.close()
            raise
        if sound:
            return gallery
        gallery.close()
    return None


def _put_aside(path: Path) -> Path:
    """Gives a damaged gallery another name; which."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for ending in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    return aside


@contextlib.contextmanager
def _called(part: Path, name: Path) -> Iterator[None]:
    """Errors about a file in the making name the file that it is made of."""
    try:
        yield
    except GalleryError as error:
        raise type(error)(str(error).replace(shown(part), shown(name))) from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name for a file in the making in the same folder; nothing of it is left behind."""
    try:
        check_name(path)
        if not path.parent.is_dir():
            raise GalleryError(f"{shown(path)}: there is no folder {shown(path.parent)}; make it first")
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    with unfinished(path.parent) as part:
        yield part


def _finish(part: Path, path: Path) -> bool:
    """Gives a finished file its name, once it is on the disk; False if there is one of that name."""
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        return publish(part, path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> GalleryError:
    return GalleryError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place")
