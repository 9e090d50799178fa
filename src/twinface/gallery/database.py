"""One SQLite file, opened with care: whole transactions, erased bytes, and errors in TwinFace's words."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from twinface.core.files import shown
from twinface.errors import GalleryCorrupt, GalleryError, GalleryLocked
from twinface.gallery.faults import cause, is_unwritable, pragma, translation
from twinface.gallery.placing import existing, log_of, make_private, may_write, size_of
from twinface.gallery.records import the_row
from twinface.gallery.schema import APPLICATION, GUARDS, LAYOUTS, SEQUENCE, VERSION

PATIENCE = 60.0
"""Seconds to wait for others who write."""

ABANDONED = 3600.0
"""Seconds after which nobody writes a copy any more that has not changed since."""

_UNFINISHED = re.compile(r"\.twinface-[0-9a-f]{32}\.part(-wal|-shm|-journal)?")
"""Names of copies in the making."""

_HEADING = "*** in database main ***"
"""What the integrity check writes over what it finds."""


class Database:
    """A connection to a gallery's file. Threads may share it: they take turns.

    Args:
        path: the file, which must exist; a link is followed.
        read_only: whether nothing may be written.
        patience: seconds to wait for others.

    Raises:
        GalleryError: there is none, or it is of another kind or newer, or cannot be opened.
        GalleryLocked: others hold it for longer than that.
        GalleryCorrupt: it is damaged.
    """

    def __init__(self, path: Path, *, read_only: bool = False, patience: float = PATIENCE) -> None:
        self.path = path
        self.real = existing(path)
        self._refusal = "is open for reading only" if read_only else ""
        self._patience = patience
        self._lock = threading.RLock()
        self._unwatched = False  # SQLite looks whether others write, except where it cannot
        with self.translated():
            try:
                if not may_write(self.real):  # SQLite would put files beside it that keep its owner from writing later
                    raise PermissionError(errno.EACCES, "no permission to write")
                self._connection = self._connect("ro" if read_only else "rw")
            except (sqlite3.OperationalError, PermissionError) as error:
                if isinstance(error, sqlite3.OperationalError) and not is_unwritable(error):
                    raise
                self._connection = self._connect_without_writing()
                self._refusal = (
                    "no room on the disk or no permission to write when it was opened; mend that, open it again"
                )
            make_private(self.real)  # now that it is known to be a gallery
            self._file = self._identity()

    def _connect(self, mode: str, extra: str = "", exclusive: bool = False) -> sqlite3.Connection:
        address = f"file:{quote(os.fsencode(self.real))}?mode={mode}{extra}"
        connection = sqlite3.connect(
            address, timeout=self._patience, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            if exclusive:  # before anything is read: then there need be no memory to share
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA temp_store = MEMORY")  # what is being rebuilt is not left in temporary files
            self._check(connection)
            if mode == "rw":
                pragma(connection, "journal_mode = WAL")
            return connection
        except BaseException:
            connection.close()
            raise

    def _connect_without_writing(self) -> sqlite3.Connection:
        """Opens where not even the files beside the database can be made: a full disk, a read-only folder."""
        log = log_of(self.real)
        if size_of(log) or self.real.with_name(self.real.name + "-shm").exists():
            with contextlib.suppress(sqlite3.OperationalError):
                return self._connect("ro")
        if not size_of(log):
            self._unwatched = True
            return self._connect("ro", "&immutable=1")
        with contextlib.suppress(sqlite3.OperationalError):
            return self._connect("rw", exclusive=True)
        raise GalleryError(
            f"{shown(self.path)}: what was written last lies in {shown(log.name)}, which cannot be used here; "
            "give the folder's write permission back, or make room on the disk"
        )

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuses what is no gallery, or one of a layout that is not known."""
        application, version = (pragma(connection, name) for name in ("application_id", "user_version"))
        if application != APPLICATION:
            raise GalleryError(f"{shown(self.path)}: is a database, but no gallery of TwinFace; choose another file")
        if not isinstance(version, int) or version > VERSION:
            raise GalleryError(
                f"{shown(self.path)}: was written by a newer TwinFace (layout {version}, this one knows {VERSION}); "
                "upgrade twinface"
            )
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        found, expected = sorted(str(sql) for (sql,) in rows), {*LAYOUTS.get(version, ()), SEQUENCE}
        if sorted({*found} | (expected & {*GUARDS})) != sorted(expected) or len({*found}) != len(found):
            # no trigger but ours, whatever its name; of a log without its guards `SqliteAudit.problems` tells
            raise GalleryCorrupt(f"{shown(self.path)}: its tables are not those of a gallery; restore a backup")

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """The connection, for this thread alone; refused once the file is gone, for what is written then is lost."""
        with self._lock, self.translated():
            if self._identity() != self._file:
                raise GalleryError(
                    f"{shown(self.path)}: was removed, replaced or changed since it was opened; open it again"
                )
            yield

    def _identity(self) -> tuple[int, ...] | None:
        """What tells the file from another that takes its name, or its content from another; None if there is none."""
        try:
            facts = self.real.stat()
        except FileNotFoundError:
            return None
        content = (facts.st_mtime_ns, facts.st_size, size_of(log_of(self.real))) if self._unwatched else ()
        return facts.st_dev, facts.st_ino, *content

    def _check_writable(self) -> None:
        if self._refusal:
            raise GalleryError(f"{shown(self.path)}: {self._refusal}")

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written, because it was opened so or its place does not let us."""
        return bool(self._refusal)

    @property
    def version(self) -> int:
        """Of the file's layout; others may bring an old one up to date at any time."""
        with self._in_turn():
            return int(pragma(self._connection, "user_version"))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the gallery, whatever others write meanwhile."""
        with self._in_turn():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what is done in it is there when it ends, and on the disk, or nothing of it is."""
        self._check_writable()
        with self._in_turn():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends it before we do
                    self._connection.execute("ROLLBACK")
                raise

    def purge(self) -> int:
        """Writes the file anew from what is live and empties the log, so that no erased byte is left in either.

        `secure_delete` overwrites what is deleted, but copies that were left when pages were split long ago it does
        not know. Copies beside the file that somebody left unfinished are removed, too.

        Returns:
            Bytes of the file afterwards.

        Raises:
            GalleryError: there is no room, or others read an older state for too long (`GalleryLocked`), or another
                part of the file is damaged (`GalleryCorrupt`); the bytes are erased by the next purge that can.
        """
        try:
            self._check_writable()
            with self._in_turn():
                (due,) = the_row(self._connection.execute("SELECT unpurged FROM gallery"), "the gallery")
                self._rebuild()
                with self.writing() as connection:  # another erasure since then is another's to purge
                    connection.execute("UPDATE gallery SET unpurged = 0 WHERE unpurged = ?", (due,))
                self._clear_leftovers()
                return self._bytes()
        except GalleryError as error:
            why = cause(error).removeprefix(f"{shown(self.path)}: ")
            raise type(error)(
                f"{shown(self.path)}: what was erased is found no more, but bytes of it may be left in the file, which "
                f"could not be written anew ({why}); once that is mended, run twinface gallery verify"
            ) from error

    def _rebuild(self) -> None:
        try:
            self._connection.execute("VACUUM")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # gives back the room that the attempt took
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise
        self._empty_log()

    @staticmethod
    def owe_purge(connection: sqlite3.Connection) -> None:
        """Notes, within a transaction that erases, that bytes are left to be purged, lest we die before we do it."""
        connection.execute("UPDATE gallery SET unpurged = ?", (1 + secrets.randbelow(2**62),))

    def _clear_leftovers(self) -> None:
        """Removes backups and the like of processes that were ended before they were done; people are in them."""
        with contextlib.suppress(OSError):
            for path in self.real.parent.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    with contextlib.suppress(OSError):  # somebody else's, or another was quicker
                        if path.stat().st_mtime < time.time() - ABANDONED:
                            path.unlink()

    def unpurged(self) -> bool:
        """Whether an erasure was cut short before its bytes were gone."""
        with self.reading() as connection:
            return bool(the_row(connection.execute("SELECT unpurged FROM gallery"), "the gallery")[0])

    def _empty_log(self) -> None:
        end = time.monotonic() + self._patience
        while self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > end:
                raise GalleryLocked(f"{shown(self.path)}: another process still reads an older state; end it first")
            time.sleep(0.005)  # whoever else empties it is not waited for by SQLite

    def settle(self) -> None:
        """Brings all that was written into the file itself, so that it can be moved without its log."""
        with self._in_turn():
            self._empty_log()

    def _bytes(self) -> int:
        return int(pragma(self._connection, "page_count")) * int(pragma(self._connection, "page_size"))

    def size(self) -> int:
        """Bytes of the file and of the log beside it."""
        return size_of(self.real) + size_of(log_of(self.real))

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when it is sound."""
        with self.reading() as connection:
            rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
            found = [line for (text,) in rows for line in str(text).splitlines() if line not in ("ok", _HEADING)]
            found += [f"{row[0]}: a row points nowhere" for row in connection.execute("PRAGMA foreign_key_check")]
            return found

    def copy_to(self, target: Path) -> None:
        """Writes a compact copy of one state into a file that must not exist. The copy needs the gallery's key too.

        It is its owner's alone from the first byte on, and keeps a log as a gallery does: opening it changes nothing.
        """
        with self._in_turn():
            full = os.fsencode(target.absolute())  # `file:...` would be taken for an address
            os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection.execute("VACUUM INTO CAST(? AS TEXT)", (full,))
            with contextlib.closing(sqlite3.connect(full, isolation_level=None)) as copy:
                pragma(copy, "journal_mode = WAL")

    def become(self, source: Database, check: Callable[[], None]) -> None:
        """Takes over the whole content of another gallery, in one transaction; nothing of the old one is left.

        Args:
            source: the other.
            check: called once nobody else can write here any more; what it raises stops it, and nothing has changed.
                It sees the old content, by connections of its own.
        """
        self._check_writable()
        with source.writing() as connection:
            self.owe_purge(connection)
        checked = False

        def look(status: int, remaining: int, total: int) -> None:  # noqa: ARG001 - SQLite gives them
            nonlocal checked
            if not checked and status == sqlite3.SQLITE_OK:  # the first page is copied, so the lock is held
                check()
                checked = True

        with self._in_turn():
            source._connection.backup(self._connection, pages=1, progress=look)
            pragma(self._connection, "journal_mode = WAL")
            self.purge()

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """The edge: what SQLite and the file system raise becomes an error of ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise translation(self.path, error) from error
        except UnicodeDecodeError as error:  # an error of SQLite's that quotes what is no text
            raise GalleryCorrupt(f"{shown(self.path)}: the gallery is damaged; restore a backup") from error
        except GalleryCorrupt as error:
            if shown(self.path) in str(error):
                raise
            raise GalleryCorrupt(
                f"{shown(self.path)}: {error}; twinface gallery verify lists what is, restore a backup"
            ) from error
