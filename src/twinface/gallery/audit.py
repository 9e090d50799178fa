"""The audit log in the gallery's own file; implements `core.ports.AuditLog`.

Every record is sealed by the gallery's vault, as is the head: number and digest of the last one. In an encrypted
gallery nobody without its key can write a record that opens, or a head that fits a shorter log. In a plain one the
secret lies in the file: whoever can write it, and knows how, can write all of it anew; a head that was noted elsewhere
tells. An older state of the whole file is told by such a head alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from twinface.core.audit import AuditDraft, AuditRecord
from twinface.core.audit_chain import Chain, Head, Problem
from twinface.core.files import shown
from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.audit_rows import AuditRows, Row
from twinface.gallery.database import Database
from twinface.gallery.vault import Vault

BLOCK = 256
"""Records read at once: between two blocks others take their turn."""

_LOWEST = -(2**63)


class SqliteAudit:
    """What was asked of a gallery's access control, decided and done. Threads and processes may share it.

    Args:
        database: the gallery's file. Of an old one that has no log, and cannot be given one, the log is empty.
        vault: of the gallery.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._rows = AuditRows(vault)

    @property
    def rows(self) -> AuditRows:
        """What reads and writes its rows."""
        return self._rows

    def append(self, draft: AuditDraft, thumbnail: bytes | None = None) -> AuditRecord:
        """See the port. The thumbnail of somebody who was removed from the gallery meanwhile is not kept."""
        with self._database.writing() as connection:
            if not self._rows.are_there(connection):
                raise GalleryError(
                    f"{shown(self._database.path)}: has no audit log yet, and could not be given one when it was "
                    "opened; make room on the disk and open it again"
                )
            return self._rows.append(connection, draft, thumbnail)

    def records(
        self,
        first: int = 1,
        *,
        last: int | None = None,
        since: datetime | None = None,
        place: str | None = None,
        newest: int | None = None,
    ) -> Iterator[AuditRecord]:
        """See the port."""
        for number, record in self.entries(first, last=last, since=since, place=place, newest=newest):
            if record is None:
                raise GalleryCorrupt(
                    f"{shown(self._database.path)}: audit record {number} was edited or damaged; twinface access audit "
                    "verify tells what is wrong"
                )
            yield record

    def entries(
        self,
        first: int = 1,
        *,
        last: int | None = None,
        since: datetime | None = None,
        place: str | None = None,
        newest: int | None = None,
    ) -> Iterator[Row]:
        """As `records`, each with its place; where one cannot be read is None, whatever was asked for."""
        with self._database.reading() as connection:
            end = self._rows.end(connection)
        last = end if last is None else min(last, end)

        def fits(record: AuditRecord | None) -> bool:
            return record is None or (
                (since is None or record.at >= since) and (place is None or record.place == place)
            )

        if newest is None:
            yield from (row for row in self._blocks(first, last) if fits(row[1]))
            return
        found: list[Row] = []
        for row in self._blocks(first, last, backwards=True):
            if len(found) >= newest:
                break
            if fits(row[1]):
                found.append(row)
        yield from reversed(found)

    def head(self) -> Head:
        """See the port.

        Raises:
            GalleryCorrupt: the seal that says so was damaged or removed.
        """
        with self._database.reading() as connection:
            return self._rows.head(connection)

    def problems(self, expected: Head | None = None) -> list[Problem]:
        """See the port. What is appended meanwhile is not looked at."""
        head, broken = None, ""
        with self._database.reading() as connection:
            beginning, end = self._rows.genesis(connection), self._rows.end(connection)
            pictured, unguarded = self._rows.pictured(connection), self._rows.unguarded(connection)
            try:
                head = self._rows.head(connection)
            except GalleryCorrupt as error:
                broken = str(error)
        chain = Chain(beginning, head, expected)
        if broken:
            chain.add(0, "seal", f"{broken}: whether the end of the log was cut off cannot be told")
        if unguarded:
            chain.add(0, "seal", "the triggers that keep records from being changed were removed from the file")
        for number, record in self._blocks(_LOWEST, end):
            chain.follow(number, record)
        for number, words in self._bad_thumbnails(pictured):
            chain.add(number, "thumbnail", words)
        return chain.finish()

    def thumbnail(self, number: int) -> bytes | None:
        """See the port."""
        with self._database.reading() as connection:
            return self._rows.thumbnail(connection, number)

    def expire_thumbnails(self, before: datetime) -> int:
        """See the port. The file is written anew without them, unless there are none."""
        with self._database.reading() as connection:
            numbers = self._rows.pictured(connection)
        over = [number for number in numbers if self._is_before(number, before)]
        if over:
            self.discard_thumbnails(over)
        return len(over)

    def discard_thumbnails(self, numbers: Iterable[int]) -> None:
        """Erases the thumbnails of records."""
        with self._database.writing() as connection:
            self._rows.discard(connection, numbers)
            self._database.owe_purge(connection)
        self._database.purge()

    def _is_before(self, number: int, moment: datetime) -> bool:
        """Whether a record is older; one that cannot be read is: its thumbnail has no time any more."""
        with self._database.reading() as connection:
            block = self._rows.block(connection, number, number, 1)
        return not block or block[0][1] is None or block[0][1].at < moment

    def _bad_thumbnails(self, numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
        for number in numbers:
            try:
                with self._database.reading() as connection:
                    content = self._rows.thumbnail(connection, number)
                    block = self._rows.block(connection, number, number, 1)
            except GalleryCorrupt:
                yield number, f"the thumbnail of record {number} was edited or damaged"
                continue
            if content is None:  # erased meanwhile
                continue
            record = block[0][1] if block else None
            if record is None or hashlib.sha256(content).hexdigest() != record.thumbnail:
                yield number, f"the thumbnail of record {number} is not the one that was kept"

    def _blocks(self, first: int, last: int, *, backwards: bool = False) -> Iterator[Row]:
        while first <= last:
            with self._database.reading() as connection:
                block = self._rows.block(connection, first, last, BLOCK, backwards=backwards)
            yield from block
            if len(block) < BLOCK:
                return
            first, last = (first, block[-1][0] - 1) if backwards else (block[-1][0] + 1, last)
