"""Where a gallery's file lies: found, made whole or not at all, and its owner's alone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import GalleryError
from twinface.gallery.faults import pragma, translation
from twinface.gallery.schema import APPLICATION, TABLES, VERSION


def existing(path: Path) -> Path:
    """Where a gallery's file really is.

    Raises:
        GalleryError: there is none, or something else is there.
    """
    try:
        real = Path(os.path.realpath(path))
        if not real.exists():
            if path.is_symlink():
                raise GalleryError(f"{shown(path)}: is a link to {shown(real)}, where nothing is; mend or remove it")
            raise GalleryError(f"{shown(path)}: there is no gallery; twinface enroll makes one")
        if not real.is_file():
            raise GalleryError(f"{shown(path)}: is no file; choose another place for the gallery")
        if not real.stat().st_size:
            raise GalleryError(f"{shown(path)}: is empty, no gallery; remove it, and twinface enroll makes one")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise GalleryError(f"{shown(path)}: cannot be opened ({reason(error)})") from error
    return real


def may_write(real: Path) -> bool:
    """Whether we have the permission to write a file."""
    return os.access(real, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def make_private(real: Path) -> None:
    """Lets the owner alone read a gallery that was copied or unpacked carelessly, and the files beside it."""
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # not there, or somebody else's
            file = real.with_name(real.name + ending)
            if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)


def create(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Makes a gallery's file, whole or not at all; one that is there already, made by whomever meanwhile, stays.

    Args:
        path: where.
        fill: writes the first rows.

    Raises:
        GalleryError: it cannot be made there.
    """
    try:
        if path.is_symlink():
            raise GalleryError(f"{shown(path)}: is a link that leads nowhere; mend or remove it")
        check_name(path)
        folder = path.parent.absolute()  # SQLite may take `file:...` for an address
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise _impossible(path, error) from error
    with unfinished(folder) as part:
        try:
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise _impossible(path, error) from error
        try:
            _write(part, fill)
            publish(part, path)
        except (sqlite3.Error, OSError) as error:
            raise translation(path, error) from error


def _write(part: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(part, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA synchronous = FULL")
        pragma(connection, f"application_id = {APPLICATION}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            connection.execute(statement)
        fill(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
        pragma(connection, "journal_mode = WAL")  # no sooner: the file is moved without its log


def _impossible(path: Path, error: Exception) -> GalleryError:
    return GalleryError(f"{shown(path)}: a gallery cannot be made there ({reason(error)}); choose another place")


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A name for a gallery in the making; nothing of it, nor of what SQLite puts beside it, is left behind."""
    part = folder / f".twinface-{uuid.uuid4().hex}.part"
    try:
        yield part
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + ending).unlink(missing_ok=True)


def check_name(path: Path) -> None:
    """Refuses what can be no gallery's name, before anything is made.

    Raises:
        OSError, ValueError: the system takes no such name, or none for the files that SQLite puts beside it.
    """
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + "-journal").lstat()


def publish(part: Path, path: Path) -> bool:
    """Gives a finished gallery its name, unless there is a file of that name.

    Returns:
        Whether it has the name now.

    Raises:
        GalleryError: beside it lies the log of another gallery, which SQLite would write into this one.
        OSError: it cannot be done.
    """
    for log in (log_of(path), path.with_name(path.name + "-journal")):
        if size_of(log) and not os.path.lexists(path):
            raise GalleryError(
                f"{shown(path)}: {shown(log.name)} beside it is left of a gallery that is gone, and holds people of "
                "that; remove it first"
            )
    published = True
    try:
        os.link(part, path)
    except FileExistsError:
        published = False
    except (OSError, NotImplementedError):
        published = not os.path.lexists(path)
        if published:  # a file system without hard links
            part.rename(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return published


def log_of(path: Path) -> Path:
    """Where SQLite keeps what was written last."""
    return path.with_name(path.name + "-wal")


def size_of(path: Path) -> int:
    """Bytes of a file; none if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
