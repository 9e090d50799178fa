"""The template cache: a file in the user's cache folder, readable by its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
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


class SqliteTemplateCache:
    """Templates by space and content digest; implements `core.ports.TemplateCache`. Threads may share it.

    It holds templates, which are biometric data, but no names and no pictures. `clear` overwrites what it deletes.

    Args:
        path: the file; made if missing, with its folder.

    Raises:
        OutputError: it cannot be opened or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA secure_delete = ON")
            self._database.execute(SCHEMA)

    def find(self, space: str, digests: Sequence[str]) -> dict[str, Acquired]:
        """What is known of pictures with these digests; see the port."""
        marks = ",".join("?" * len(digests))
        query = f"SELECT digest, vector, faces, reasons FROM acquired WHERE space = ? AND digest IN ({marks})"  # noqa: S608 - only marks
        with self._lock, self._translated():
            rows = self._database.execute(query, (space, *digests)).fetchall()
            return {
                digest: Acquired(
                    None if vector is None else np.frombuffer(vector, "<f4"), faces, tuple(json.loads(reasons))
                )
                for digest, vector, faces, reasons in rows
            }

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
        """Forgets everything; the freed space is overwritten and given back."""
        with self._lock, self._translated():
            self._database.execute("DELETE FROM acquired")
            self._database.execute("VACUUM")

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
                "go without it (--no-cache), delete the file, or set TWINFACE_CACHE to another folder"
            ) from error


def open_cache(wanted: bool = True) -> SqliteTemplateCache | None:
    """The user's template cache, or None if it is not wanted.

    Raises:
        OutputError: it cannot be opened.
    """
    return SqliteTemplateCache(cache_path()) if wanted else None


def cache_path() -> Path:
    """Where the user's template cache lies, whether it exists or not."""
    return cache_folder() / "templates.sqlite"
