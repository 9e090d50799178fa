"""The audit log as rows: sealed on the way in, opened on the way out."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from twinface.core.audit import AuditDraft, AuditRecord, genesis, read_record, seal, write_record
from twinface.core.audit_chain import Head
from twinface.core.facts import field_of, object_of
from twinface.errors import GalleryCorrupt
from twinface.gallery.faults import pragma
from twinface.gallery.records import read_uid, the_row
from twinface.gallery.schema import GUARDS
from twinface.gallery.vault import Vault

RECORD, SEAL = b"audit record", b"seal of the audit log"
"""Contexts of sealed values; they name what was damaged, too."""

_LAST_NUMBER = 2**62
_UID = 16  # bytes

Row = tuple[int, AuditRecord | None]
"""A record and the place where it stands; None where it is not what was sealed."""


class AuditRows:
    """Reads and writes the log's rows; every call happens in a transaction of the caller's.

    Args:
        vault: seals and opens.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @staticmethod
    def are_there(connection: sqlite3.Connection) -> bool:
        """Whether the gallery has a log: those of layout 1 have none."""
        return pragma(connection, "user_version") > 1

    def begin(self, connection: sqlite3.Connection) -> None:
        """Seals the empty log."""
        sealed = self._seal_head((0, self.genesis(connection)))
        connection.execute("INSERT INTO audit_head (only_row, content) VALUES (1, ?)", (sealed,))

    def genesis(self, connection: sqlite3.Connection) -> str:
        """What the first record is sealed to."""
        return genesis(read_uid(the_row(connection.execute("SELECT id FROM gallery"), "the gallery")[0]))

    def head(self, connection: sqlite3.Connection) -> Head:
        """Number and digest of the last record, as the seal says.

        Raises:
            GalleryCorrupt: the seal was damaged or removed.
        """
        if not self.are_there(connection):
            return 0, self.genesis(connection)
        (sealed,) = the_row(connection.execute("SELECT content FROM audit_head"), SEAL.decode())
        try:
            facts = object_of(json.loads(self._vault.common.open(sealed, SEAL)), "the seal")
            return field_of(facts, "number", "int", "the seal"), field_of(facts, "digest", "str", "the seal")
        except ValueError as error:
            raise GalleryCorrupt("the seal of the audit log was damaged") from error

    def end(self, connection: sqlite3.Connection) -> int:
        """Number of the last row, whatever the seal says; 0 if there is none."""
        if not self.are_there(connection):
            return 0
        return int(connection.execute("SELECT coalesce(max(number), 0) FROM audit").fetchone()[0])

    def append(self, connection: sqlite3.Connection, draft: AuditDraft, thumbnail: bytes | None) -> AuditRecord:
        """Writes a record after the last that the seal knows; of whom nobody is enrolled no thumbnail is kept."""
        known, previous = self.head(connection)
        number = 1 + max(known, self.end(connection))
        if number > _LAST_NUMBER:
            raise GalleryCorrupt("the numbering of the audit log was damaged")
        if thumbnail is not None and self._enrolled(connection, draft.subjects):
            draft = replace(draft, thumbnail=hashlib.sha256(thumbnail).hexdigest())
        else:
            thumbnail = None
        record = seal(draft, number, previous)
        content = self._vault.common.seal(write_record(record), RECORD)
        connection.execute("INSERT INTO audit (number, content) VALUES (?, ?)", (number, content))
        connection.execute("UPDATE audit_head SET content = ?", (self._seal_head((number, record.digest)),))
        if thumbnail is not None:
            self._keep_thumbnail(connection, number, draft.subjects, thumbnail)
        return record

    def block(
        self, connection: sqlite3.Connection, first: int, last: int, size: int, *, backwards: bool = False
    ) -> list[Row]:
        """So many rows from `first` on, or back from `last`."""
        if not self.are_there(connection):
            return []
        order = "DESC" if backwards else "ASC"
        query = f"SELECT number, content FROM audit WHERE number BETWEEN ? AND ? ORDER BY number {order} LIMIT ?"  # noqa: S608
        return [(number, self._open(content)) for number, content in connection.execute(query, (first, last, size))]

    def thumbnail(self, connection: sqlite3.Connection, number: int) -> bytes | None:
        """A picture kept beside a record.

        Raises:
            GalleryCorrupt: it was damaged.
        """
        found = self._thumbnail(connection, number)
        return None if found is None else found[1]

    def pictured(self, connection: sqlite3.Connection) -> list[int]:
        """Numbers of records that have a thumbnail beside them."""
        if not self.are_there(connection):
            return []
        return [row[0] for row in connection.execute("SELECT number FROM audit_thumbnails ORDER BY number")]

    def forget(self, connection: sqlite3.Connection, people: Iterable[str]) -> int:
        """Removes the thumbnails that show people, or that do not open any more; how many."""
        gone = {*people}
        whose = self._whose(connection) if gone else ()
        numbers = [number for number, uids in whose if uids is None or gone & {*uids}]
        self.discard(connection, numbers)
        return len(numbers)

    def discard(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
        """Removes the thumbnails of records."""
        connection.executemany("DELETE FROM audit_thumbnails WHERE number = ?", [(number,) for number in numbers])

    def reassign(self, connection: sqlite3.Connection, uid: str, to: str) -> None:
        """Makes the thumbnails of one person another's."""
        for number, whose in self._whose(connection):
            found = self._thumbnail(connection, number) if whose is not None and uid in whose else None
            if found is not None:
                self.discard(connection, [number])
                self._keep_thumbnail(connection, number, [to if one == uid else one for one in found[0]], found[1])

    def digest(self, connection: sqlite3.Connection, number: int) -> str:
        """Of a record; of number 0 the genesis; empty where it cannot be read."""
        if number == 0:
            return self.genesis(connection)
        block = self.block(connection, number, number, 1)
        return "" if not block or block[0][1] is None else block[0][1].digest

    def continue_with(self, connection: sqlite3.Connection, source: sqlite3.Connection) -> None:
        """Adds the records that another state of this gallery has beyond these, and takes over its thumbnails.

        Those of people who are not in this state are left out: nobody could remove them any more.
        """
        rows = source.execute("SELECT number, content FROM audit WHERE number > ?", (self.end(connection),))
        connection.executemany("INSERT INTO audit (number, content) VALUES (?, ?)", rows)
        (head,) = the_row(source.execute("SELECT content FROM audit_head"), SEAL.decode())
        connection.execute("UPDATE audit_head SET content = ?", (head,))
        connection.execute("DELETE FROM audit_thumbnails")
        for number in self.pictured(source):
            thumbnail = self._thumbnail(source, number)
            if thumbnail is not None and self._enrolled(connection, thumbnail[0]):
                self._keep_thumbnail(connection, number, *thumbnail)

    @staticmethod
    def unguarded(connection: sqlite3.Connection) -> bool:
        """Whether a trigger that keeps records from being changed was removed."""
        there = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")}
        return AuditRows.are_there(connection) and not there.issuperset(GUARDS)

    def _keep_thumbnail(self, connection: sqlite3.Connection, number: int, uids: Sequence[str], content: bytes) -> None:
        whose = bytes([len(uids)]) + b"".join(map(bytes.fromhex, uids))
        sealed = self._vault.common.seal(whose + content, _place(number))
        connection.execute("INSERT INTO audit_thumbnails (number, content) VALUES (?, ?)", (number, sealed))

    def _thumbnail(self, connection: sqlite3.Connection, number: int) -> tuple[list[str], bytes] | None:
        """Whom a thumbnail shows, and the picture."""
        if not self.are_there(connection):
            return None
        row = connection.execute("SELECT content FROM audit_thumbnails WHERE number = ?", (number,)).fetchone()
        if row is None:
            return None
        content = self._vault.common.open(row[0], _place(number))
        end = 1 + _UID * content[0]
        return [content[at : at + _UID].hex() for at in range(1, end, _UID)], content[end:]

    def _whose(self, connection: sqlite3.Connection) -> Iterator[tuple[int, list[str] | None]]:
        """Whom every thumbnail shows; None where that cannot be told."""
        for number in self.pictured(connection):
            try:
                found = self._thumbnail(connection, number)
                yield number, None if found is None else found[0]
            except GalleryCorrupt:
                yield number, None

    @staticmethod
    def _enrolled(connection: sqlite3.Connection, uids: Sequence[str]) -> bool:
        query = "SELECT 1 FROM subjects WHERE uid = ?"
        return all(connection.execute(query, (bytes.fromhex(uid),)).fetchone() is not None for uid in uids)

    def _open(self, content: bytes) -> AuditRecord | None:
        try:
            return read_record(self._vault.common.open(content, RECORD))
        except (GalleryCorrupt, ValueError):
            return None

    def _seal_head(self, head: Head) -> bytes:
        return self._vault.common.seal(json.dumps({"number": head[0], "digest": head[1]}).encode(), SEAL)


def _place(number: int) -> bytes:
    return b"thumbnail %d" % number
