"""The template cache: a file in the user's cache folder, readable by its owner only.

SQLite saves the pages it is about to change in a journal beside the file, templates among them. That journal stays
between writes (journal_mode PERSIST) instead of being removed with its content, so that `clear` can overwrite it.
What a disk or file system keeps elsewhere, as SSDs and snapshots do, no program can overwrite.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from twinface.app.settings import cache_folder
from twinface.core.files import reason, shown
from twinface.core.types import Acquired
from twinface.errors import OutputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS acquired (
    space TEXT NOT NULL,
    digest TEXT NOT NULL,
    vector BLOB,
    faces INTEGER NOT NULL,
    reasons TEXT NOT NULL,
    PRIMARY KEY (space, digest)
) WITHOUT ROWID
"""

PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

MEASURING = "go without it (--no-cache), empty it (twinface data cache --clear)"
"""What who wants figures can do about a cache that cannot be used."""

LOOKING = "empty it (twinface data cache --clear)"
"""What who asks about the cache itself can do."""


class SqliteTemplateCache:
    """Templates by space and content digest; implements `core.ports.TemplateCache`. Threads may share it.

    It holds templates, which are biometric data, but no names and no pictures. What it cannot have written itself, as
    after damage, it does not know. `clear` overwrites what it deletes.

    Args:
        path: the file; made if missing, with its folder.
        advice: what to do when it cannot be used.

    Raises:
        OutputError: it cannot be opened or written, or is damaged.
    """

    def __init__(self, path: Path, advice: str = MEASURING) -> None:
        self.path = path
        self._advice = advice
        self._lock = threading.Lock()
        with self._translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _own(path)
            self._database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            self._database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            try:
                self._database.execute("PRAGMA secure_delete = ON")
                self._database.execute("PRAGMA journal_mode = PERSIST")
                self._database.execute(SCHEMA)
                self._database.execute("PRAGMA user_version = 1")  # a write, so that trouble shows before the work
            except BaseException:
                self._database.close()
                raise

    def find(self, space: str, digests: Sequence[str]) -> dict[str, Acquired]:
        """What is known of pictures with these digests; see the port."""
        marks = ",".join("?" * len(digests))
        query = f"SELECT digest, vector, faces, reasons FROM acquired WHERE space = ? AND digest IN ({marks})"  # noqa: S608 - only marks
        with self._lock, self._translated():
            rows = self._database.execute(query, (space, *digests)).fetchall()
        read = {digest: _acquired(vector, faces, reasons) for digest, vector, faces, reasons in rows}
        return {digest: row for digest, row in read.items() if row is not None}

    def keep(self, space: str, rows: Mapping[str, Acquired]) -> None:
        """Remembers more; see the port."""
        values = [
            (space, digest, None if row.vector is None else row.vector.astype("<f4").tobytes(), row.faces,
             json.dumps(row.reasons))
            for digest, row in rows.items()
        ]  # fmt: skip
        with self._lock, self._translated(), self._database:  # rolled back if anything fails
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO acquired VALUES (?, ?, ?, ?, ?)", values)

    def count(self) -> int:
        """Pictures remembered, each once for every space."""
        with self._lock, self._translated():
            return int(self._database.execute("SELECT count(*) FROM acquired").fetchone()[0])

    def clear(self) -> None:
        """Forgets everything: the freed space is overwritten and given back, and so is the journal's content."""
        with self._lock, self._translated():
            ((health,),) = self._database.execute("PRAGMA integrity_check(1)").fetchall()
            if health != "ok":
                raise sqlite3.DatabaseError("it is damaged")
            self._database.execute("DELETE FROM acquired")
            self._database.execute("VACUUM")
            with self._database:
                self._database.execute("BEGIN EXCLUSIVE")  # nobody else writes the journal meanwhile
                _overwrite(_files(self.path)[1])

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """The edge: what SQLite and the file system raise becomes an OutputError."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise OutputError(
                f"{shown(self.path)}: the template cache cannot be used ({reason(error)}); "
                f"{self._advice}, or set TWINFACE_CACHE to another folder"
            ) from error


def _acquired(vector: object, faces: object, reasons: object) -> Acquired | None:
    """A row of the file; None where it is none that `keep` can have written."""
    if type(faces) is not int or faces < 0 or not isinstance(reasons, str):
        return None
    try:
        words = json.loads(reasons)
    except (ValueError, RecursionError):
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) and word.isprintable() for word in words):
        return None
    if vector is None:
        return Acquired(None, faces, tuple(words)) if words else None
    if not isinstance(vector, bytes) or not vector or len(vector) % 4:
        return None
    values = np.frombuffer(vector, "<f4")
    return Acquired(values, faces, tuple(words)) if np.isfinite(values).all() and values.any() else None


def clear(path: Path) -> None:
    """Forgets all templates in a cache file. One that is damaged is overwritten as it lies, and removed.

    Raises:
        OutputError: another process is using it, or it cannot be overwritten.
    """
    files = _files(path)
    if files[0].is_file() and files[0].stat().st_size:
        try:
            with contextlib.closing(SqliteTemplateCache(path)) as cache:
                cache.clear()
            return
        except OutputError as error:
            if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OutputError(
                    f"{shown(path)}: another process is using the template cache; clear it when that has ended"
                ) from error
    try:
        for one in files:
            _overwrite(one)
            one.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(path)}: the template cache cannot be overwritten ({reason(error)}); remove it yourself"
        ) from error


def size(path: Path) -> int:
    """Bytes of a cache file and what lies beside it."""
    return sum(one.stat().st_size for one in _files(path) if one.is_file())


def _files(path: Path) -> list[Path]:
    """A cache file, its journal, and what else SQLite may put beside it; a link is followed, as SQLite does."""
    real = Path(os.path.realpath(path))
    return [real, *(real.with_name(real.name + ending) for ending in ("-journal", "-wal", "-shm"))]


def _own(path: Path) -> None:
    """Makes the file, or keeps others out of one that is there.

    A file that is there is not opened: closing it would undo the locks of whoever in this process has it open.
    """
    files = _files(path)
    try:
        os.close(os.open(files[0], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        for one in files if os.name == "posix" else ():
            if one.is_file() and stat.S_IMODE(one.stat().st_mode) & 0o077:
                one.chmod(0o600)


def _overwrite(path: Path) -> None:
    """Writes zeros over a file's content and then cuts it off; what is not there stays so."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 2**20)))
        file.flush()
        os.fsync(file.fileno())
        file.truncate(0)


def open_cache(wanted: bool = True) -> SqliteTemplateCache | None:
    """The user's template cache, or None if it is not wanted.

    Raises:
        OutputError: it cannot be opened.
    """
    return SqliteTemplateCache(cache_path()) if wanted else None


def cache_path() -> Path:
    """Where the user's template cache lies, whether it exists or not."""
    return cache_folder() / "templates.sqlite"
