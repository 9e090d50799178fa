"""Keeps an index in memory in step with the database, by the counters that every change raises."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.errors import GalleryCorrupt
from twinface.gallery.fusion import FusedIndex
from twinface.gallery.records import read_time, read_vectors, the_row, write_time
from twinface.gallery.spaces import StoredSpace, current_space
from twinface.gallery.vault import Vault

Rows = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Vectors, turned, shape (N, D); their samples' and subjects' rows, shape (N,)."""


@dataclass(frozen=True)
class _Mark:
    """What a gallery has been through: space in use, templates added and removed, times everything was turned."""

    space: int
    added: int
    removed: int
    turned: int


class LiveIndex:
    """The nearest subjects of a gallery that others may change at any time.

    Args:
        vault: opens the gallery's templates.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._mark: _Mark | None = None
        self._last = 0
        self._expires = np.iinfo(np.int64).max
        self._index = FusedIndex(1)
        self.space: StoredSpace | None = None

    def refresh(self, connection: sqlite3.Connection) -> FusedIndex:
        """The index as of now; within one transaction of the caller's."""
        mark = _Mark(*the_row(connection.execute("SELECT space, added, removed, turned FROM gallery"), "the gallery"))
        old, self._mark = self._mark, None  # if anything fails on the way, all is read anew
        if old is None or (old.space, old.turned) != (mark.space, mark.turned):
            self.space = current_space(connection, self._vault)
            self._index.clear()
            self._index = FusedIndex(self.space.space.dimension)
            self._last = 0
            self._expires = np.iinfo(np.int64).max
            self._take(connection, self.space)
        elif self.space is not None:
            if old.removed != mark.removed:
                self._drop_gone(connection, self.space)
            if old.added != mark.added:
                self._take(connection, self.space)
        if time.time() >= self._expires:
            self._drop_expired(connection)
        self._mark = mark
        return self._index

    def _take(self, connection: sqlite3.Connection, space: StoredSpace) -> None:
        """Takes the templates that came since."""
        (vectors, samples, subjects), last, expires = load(connection, self._vault, space, self._last)
        try:
            self._index.add(vectors, samples, subjects)
        except ValueError as error:  # a sample came twice
            raise GalleryCorrupt("the table of templates was damaged") from error
        self._last = max(self._last, last)
        self._expires = min(self._expires, expires)

    def _drop_gone(self, connection: sqlite3.Connection, space: StoredSpace) -> None:
        query = "SELECT sample FROM templates WHERE space = ? AND typeof(sample) = 'integer'"
        rows = connection.execute(query, (space.id,)).fetchall()
        there = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        self._index.drop(np.setdiff1d(self._index.samples, there))

    def _drop_expired(self, connection: sqlite3.Connection) -> None:
        """Those whose time is over are no longer found, whether or not anybody has removed them."""
        now = int(time.time())
        gone = connection.execute(
            "SELECT samples.id FROM samples JOIN subjects ON subjects.id = samples.subject WHERE expires <= ?", (now,)
        ).fetchall()
        self._index.drop(np.array([row[0] for row in gone], np.int64))
        (following,) = connection.execute("SELECT min(expires) FROM subjects WHERE expires > ?", (now,)).fetchone()
        self._expires = np.iinfo(np.int64).max if following is None else write_time(read_time(following))


def load(connection: sqlite3.Connection, vault: Vault, space: StoredSpace, after: int = 0) -> tuple[Rows, int, int]:
    """Templates of a space, turned, in the order they came.

    Args:
        connection: in a transaction.
        vault: opens them.
        space: theirs.
        after: only those of later rows.

    Returns:
        The templates; the last row's number; when the first of their subjects expires, seconds since 1970.
    """
    rows = connection.execute(
        "SELECT templates.id, samples.id, subjects.id, templates.vector, subjects.uid, subjects.key, "
        "subjects.expires FROM templates JOIN samples ON samples.id = templates.sample "
        "JOIN subjects ON subjects.id = samples.subject WHERE templates.space = ? AND templates.id > ? "
        "ORDER BY templates.id",
        (space.id, after),
    ).fetchall()
    context, never = space.context, np.iinfo(np.int64).max
    subject, locker = None, None
    contents = []
    for row in rows:
        if row[2] != subject or locker is None:
            subject, locker = row[2], vault.locker(row[4], row[5])
        contents.append(locker.open(row[3], context))
    vectors = read_vectors(contents, space.space.dimension)
    samples = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    subjects = np.fromiter((row[2] for row in rows), np.int64, len(rows))
    times = {row[6] for row in rows} - {None}
    expires = min((write_time(read_time(value)) for value in times), default=never)
    return (vectors, samples, subjects), (rows[-1][0] if rows else after), int(expires)
