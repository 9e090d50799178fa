"""Subjects, samples and templates as rows: sealed on the way in, opened on the way out."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from twinface.core.naming import clean_name, name_key
from twinface.core.subjects import Entry, Outcome, Sample, Subject
from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.creation import ID
from twinface.gallery.records import (
    FACTS,
    NAME,
    PHOTO,
    read_facts,
    read_time,
    read_uid,
    read_vectors,
    template_context,
    the_row,
    write_facts,
    write_time,
    write_vector,
)
from twinface.gallery.spaces import StoredSpace, find_space
from twinface.gallery.vault import Locker, Vault

_SUBJECT = (
    "SELECT subjects.uid, subjects.key, subjects.name, count(samples.id), count(photos.sample), subjects.created, "
    "subjects.expires FROM subjects LEFT JOIN samples ON samples.subject = subjects.id "
    "LEFT JOIN photos ON photos.sample = samples.id"
)


class People:
    """Reads and writes the rows of people; every call happens in a transaction of the caller's.

    Args:
        vault: seals and opens.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def find(self, connection: sqlite3.Connection, name: str) -> int | None:
        """The row of the person of that name.

        Raises:
            GalleryCorrupt: it is another's: the index of names was damaged.
        """
        query = "SELECT id, uid, key, name FROM subjects WHERE name_key = ?"
        row = connection.execute(query, (self._name_key(name),)).fetchone()
        if row is None:
            return None
        if name_key(self._open_name(*row[1:])) != name_key(name):
            raise GalleryCorrupt("the index of names was damaged")
        return int(row[0])

    def one(self, connection: sqlite3.Connection, row: int) -> Subject:
        """A person."""
        query = f"{_SUBJECT} WHERE subjects.id = ? GROUP BY subjects.id"
        return self._subject(the_row(connection.execute(query, (row,)), "a person"))

    def all(self, connection: sqlite3.Connection) -> list[Subject]:
        """Everybody."""
        return [self._subject(row) for row in connection.execute(f"{_SUBJECT} GROUP BY subjects.id")]

    def name(self, connection: sqlite3.Connection, uid: bytes) -> str | None:
        """A person's name."""
        row = connection.execute("SELECT key, name FROM subjects WHERE uid = ?", (uid,)).fetchone()
        return None if row is None else self._open_name(uid, *row)

    def uids(self, connection: sqlite3.Connection, rows: Iterable[int]) -> dict[int, str]:
        """Uids by row."""
        return {
            row: read_uid(the_row(connection.execute("SELECT uid FROM subjects WHERE id = ?", (row,)), "a person")[0])
            for row in rows
        }

    def owner(self, connection: sqlite3.Connection, digest: str) -> int | None:
        """The row of whom a picture is enrolled for.

        Raises:
            GalleryCorrupt: what was found is another picture: the index of pictures was damaged.
        """
        query = "SELECT subject, facts FROM samples WHERE digest = ?"
        row = connection.execute(query, (self._digest(digest),)).fetchone()
        if row is None:
            return None
        if read_facts(self._locker(connection, row[0]).open(row[1], FACTS))[0] != digest:
            raise GalleryCorrupt("the index of pictures was damaged")
        return int(row[0])

    def samples(self, connection: sqlite3.Connection, uid: bytes) -> list[Sample]:
        """What is kept of a person's pictures, less templates and pictures."""
        rows = connection.execute(
            "SELECT samples.id, samples.facts, samples.added, photos.sample IS NOT NULL, subjects.key "
            "FROM samples JOIN subjects ON subjects.id = samples.subject "
            "LEFT JOIN photos ON photos.sample = samples.id WHERE subjects.uid = ? ORDER BY samples.id",
            (uid,),
        ).fetchall()
        found = []
        for number, facts, added, has_photo, key in rows:
            digest, source, quality, box = read_facts(self._vault.locker(uid, key).open(facts, FACTS))
            found.append(Sample(number, uid.hex(), digest, source, read_time(added), quality, box, bool(has_photo)))
        return found

    def enroll(
        self, connection: sqlite3.Connection, entry: Entry, vector: NDArray[np.float32], space: StoredSpace
    ) -> Outcome:
        """Adds a sample with its template, turned; makes the person if there is none of that name."""
        row = self.find(connection, entry.name)
        owner = self.owner(connection, entry.sample.digest)
        if owner is not None:
            return Outcome("duplicate" if owner == row else "conflict", self.one(connection, owner).name)
        if row is None:
            row = self._admit(connection, entry.name)
        if entry.expires is not None:
            self.set_expiry(connection, row, entry.expires)
        locker = self._locker(connection, row)
        sample = entry.sample
        (number,) = connection.execute(
            "INSERT INTO samples (subject, digest, facts, added) VALUES (?, ?, ?, ?) RETURNING id",
            (row, self._digest(sample.digest), locker.seal(write_facts(sample), FACTS), int(time.time())),
        ).fetchone()
        if sample.photo is not None:
            connection.execute("INSERT INTO photos VALUES (?, ?)", (number, locker.seal(sample.photo, PHOTO)))
        self._insert_template(connection, number, space, locker, vector)
        return Outcome("enrolled", clean_name(entry.name))

    def _admit(self, connection: sqlite3.Connection, name: str) -> int:
        uid = secrets.token_bytes(ID)
        locker, key = self._vault.admit(uid)
        (row,) = connection.execute(
            "INSERT INTO subjects (uid, name_key, name, key, created) VALUES (?, ?, ?, ?, ?) RETURNING id",
            (uid, self._name_key(name), locker.seal(clean_name(name).encode(), NAME), key, int(time.time())),
        ).fetchone()
        return int(row)

    def rename(self, connection: sqlite3.Connection, row: int, new: str) -> None:
        """Gives a person another name."""
        sealed = self._locker(connection, row).seal(clean_name(new).encode(), NAME)
        connection.execute(
            "UPDATE subjects SET name = ?, name_key = ? WHERE id = ?", (sealed, self._name_key(new), row)
        )

    def set_expiry(self, connection: sqlite3.Connection, row: int, expires: datetime | None) -> None:
        """Says when a person is to be forgotten."""
        value = None if expires is None else write_time(expires)
        connection.execute("UPDATE subjects SET expires = ? WHERE id = ?", (value, row))

    def move_samples(self, connection: sqlite3.Connection, source: int, target: int) -> None:
        """Gives one person's samples to another; what is sealed is sealed anew, under the other's key."""
        old, new = self._locker(connection, source), self._locker(connection, target)
        rows = connection.execute("SELECT id, facts FROM samples WHERE subject = ?", (source,)).fetchall()
        for number, facts in rows:
            connection.execute(
                "UPDATE samples SET subject = ?, facts = ? WHERE id = ?",
                (target, new.seal(old.open(facts, FACTS), FACTS), number),
            )
            for (photo,) in connection.execute("SELECT content FROM photos WHERE sample = ?", (number,)).fetchall():
                resealed = new.seal(old.open(photo, PHOTO), PHOTO)
                connection.execute("UPDATE photos SET content = ? WHERE sample = ?", (resealed, number))
            kept = connection.execute(
                "SELECT templates.id, templates.vector, spaces.identity FROM templates "
                "JOIN spaces ON spaces.id = templates.space WHERE sample = ?",
                (number,),
            ).fetchall()
            for template, vector, identity in kept:
                context = template_context(identity)
                resealed = new.seal(old.open(vector, context), context)
                connection.execute("UPDATE templates SET vector = ? WHERE id = ?", (resealed, template))

    def add_template(
        self, connection: sqlite3.Connection, number: int, space: StoredSpace, vector: NDArray[np.float32]
    ) -> None:
        """Adds a sample's template of another space; a sample removed meanwhile is passed over."""
        owner = self._owner_of(connection, number)
        if owner is not None:
            connection.execute("DELETE FROM templates WHERE sample = ? AND space = ?", (number, space.id))
            self._insert_template(connection, number, space, owner, vector)

    def replace_template(
        self, connection: sqlite3.Connection, number: int, space: StoredSpace, vector: NDArray[np.float32]
    ) -> None:
        """Writes another template, turned, in place of a sample's."""
        locker = self._owner_of(connection, number)
        if locker is None:  # though its row was read in this transaction
            raise GalleryCorrupt("an index was damaged")
        sealed = locker.seal(write_vector(vector), space.context)
        connection.execute("UPDATE templates SET vector = ? WHERE sample = ? AND space = ?", (sealed, number, space.id))

    def photo(self, connection: sqlite3.Connection, number: int) -> bytes | None:
        """A sample's picture; None where there is none."""
        row = connection.execute("SELECT content FROM photos WHERE sample = ?", (number,)).fetchone()
        locker = self._owner_of(connection, number)
        return None if row is None or locker is None else locker.open(row[0], PHOTO)

    def problems(self, connection: sqlite3.Connection) -> list[str]:
        """What does not open or does not make sense, each in a line."""
        found: list[str] = []
        try:
            for (identity,) in connection.execute("SELECT identity FROM spaces").fetchall():
                find_space(connection, self._vault, identity)
        except GalleryCorrupt as error:
            return [str(error)]
        for row, uid, key, name in connection.execute("SELECT id, uid, key, name FROM subjects").fetchall():
            try:
                clean_name(self._open_name(uid, key, name))
                locker = self._vault.locker(uid, key)
            except GalleryError as error:
                found.append(f"person {uid.hex() if isinstance(uid, bytes) else f'in row {row}'}: {error}")
                continue
            found += [f"person {uid.hex()}, {words}" for words in self._sample_problems(connection, row, locker)]
        return found

    def _sample_problems(self, connection: sqlite3.Connection, row: int, locker: Locker) -> list[str]:
        found = []
        numbers = connection.execute("SELECT id, facts FROM samples WHERE subject = ?", (row,)).fetchall()
        if not numbers:
            found.append("has no picture")
        for number, facts in numbers:
            try:
                read_facts(locker.open(facts, FACTS))
                for (photo,) in connection.execute("SELECT content FROM photos WHERE sample = ?", (number,)).fetchall():
                    locker.open(photo, PHOTO)
                templates = connection.execute(
                    "SELECT vector, identity, dimension FROM templates JOIN spaces ON spaces.id = templates.space "
                    "WHERE sample = ?",
                    (number,),
                ).fetchall()
                for vector, identity, dimension in templates:
                    read_vectors([locker.open(vector, template_context(identity))], dimension)
                if not templates:
                    raise GalleryCorrupt("it has no template")
            except GalleryCorrupt as error:
                found.append(f"picture {number}: {error}")
        return found

    def _insert_template(
        self,
        connection: sqlite3.Connection,
        number: int,
        space: StoredSpace,
        locker: Locker,
        vector: NDArray[np.float32],
    ) -> None:
        connection.execute(
            "INSERT INTO templates (sample, space, vector) VALUES (?, ?, ?)",
            (number, space.id, locker.seal(write_vector(vector), space.context)),
        )

    def _owner_of(self, connection: sqlite3.Connection, number: int) -> Locker | None:
        """The locker of whom a sample belongs to."""
        row = connection.execute(
            "SELECT uid, key FROM subjects JOIN samples ON samples.subject = subjects.id WHERE samples.id = ?",
            (number,),
        ).fetchone()
        return None if row is None else self._vault.locker(*row)

    def _locker(self, connection: sqlite3.Connection, row: int) -> Locker:
        query = "SELECT uid, key FROM subjects WHERE id = ?"
        return self._vault.locker(*the_row(connection.execute(query, (row,)), "a person"))

    def _subject(self, row: tuple[bytes, bytes | None, bytes, int, int, int, int | None]) -> Subject:
        uid, key, name, samples, photos, created, expires = row
        return Subject(
            read_uid(uid), self._open_name(uid, key, name), samples, photos, read_time(created),
            None if expires is None else read_time(expires),
        )  # fmt: skip

    def _open_name(self, uid: bytes, key: bytes | None, name: bytes) -> str:
        return self._vault.locker(uid, key).open(name, NAME).decode("utf-8", "replace")

    def _name_key(self, name: str) -> bytes:
        return self._vault.blind("name", name_key(name).encode())

    def _digest(self, digest: str) -> bytes:
        return self._vault.blind("picture", bytes.fromhex(digest))
