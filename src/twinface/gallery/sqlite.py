"""The gallery in one SQLite file; implements `core.ports.GalleryStore`."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinface.core.files import shown
from twinface.core.naming import name_key
from twinface.core.subjects import (
    Enrolled,
    Entry,
    ErasureReceipt,
    GalleryInfo,
    Neighbour,
    Outcome,
    Sample,
    Subject,
    TemplateSpace,
    now,
)
from twinface.errors import ContractMismatch, DuplicateSubject, GalleryCorrupt, GalleryError, UnknownSubject, WrongKey
from twinface.gallery.audit import SqliteAudit
from twinface.gallery.audit_rows import AuditRows
from twinface.gallery.creation import bring_up_to_date, create_gallery
from twinface.gallery.database import PATIENCE, Database
from twinface.gallery.erasure import Erasure, erase_samples, erase_subjects, remember
from twinface.gallery.keys import Key
from twinface.gallery.live_index import LiveIndex, load
from twinface.gallery.people import People
from twinface.gallery.records import read_time, read_uid, the_row
from twinface.gallery.renewal import Renewal
from twinface.gallery.spaces import current_space, read_space
from twinface.gallery.vault import Vault, kind_of, open_vault


class SqliteGallery:
    """People and their templates in one file. Threads and processes may share it.

    Args:
        path: the file.
        key: of an encrypted gallery.
        create: what makes the templates of a gallery that is not there yet; None if there must be one.
        read_only: whether nothing may be written.
        patience: seconds to wait for others who write.

    Raises:
        WrongKey: it is encrypted, and not with this key; nothing is written.
        GalleryError: there is none, or it cannot be opened or made; see `GalleryLocked`, `GalleryCorrupt`.
    """

    def __init__(
        self,
        path: Path,
        *,
        key: Key | None = None,
        create: TemplateSpace | None = None,
        read_only: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self.path = path
        if create is not None and not read_only:
            create_gallery(path, create, key)
        self._database = Database(path, read_only=read_only, patience=patience)
        try:
            with self._database.reading() as connection:
                (facts,) = the_row(connection.execute("SELECT vault FROM gallery"), "the gallery")
                self._vault: Vault = open_vault(facts, key)
                current_space(connection, self._vault)
                if self._vault.logged and not AuditRows.are_there(connection):
                    raise GalleryCorrupt(f"{shown(path)}: its audit log was removed; restore a backup")
        except WrongKey as error:
            self._database.close()
            raise WrongKey(f"{shown(path)}: {error}") from error
        except BaseException:
            self._database.close()
            raise
        self._people = People(self._vault)
        self._renewal = Renewal(self._vault, self._people)
        self._index = LiveIndex(self._vault)
        self._index_lock = threading.Lock()
        self._audit = SqliteAudit(self._database, self._vault)
        with suppress(GalleryError):  # no room, say: reading is possible all the same, and both are tried again
            self._finish_erasures()
            bring_up_to_date(self._database, self._vault, key)

    @staticmethod
    def encrypted_with(path: Path) -> str:
        """What opens a gallery: "" (nothing is needed), "key file" or "passphrase".

        Raises:
            GalleryError: there is none, or it cannot be opened.
        """
        database = Database(path, read_only=True)
        try:
            with database.reading() as connection:
                return kind_of(the_row(connection.execute("SELECT vault FROM gallery"), "the gallery")[0])
        finally:
            database.close()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written, because it was opened so or its place does not let us."""
        return self._database.read_only

    @property
    def audit(self) -> SqliteAudit:
        """The log of access control."""
        return self._audit

    def info(self) -> GalleryInfo:
        """See the port."""
        with self._database.reading() as connection:
            identity, created = the_row(connection.execute("SELECT id, created FROM gallery"), "the gallery")
            counts = {
                name: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own words
                for name, table in (
                    ("subjects", "subjects"),
                    ("samples", "samples"),
                    ("photos", "photos"),
                    ("templates", "templates WHERE space = (SELECT space FROM gallery)"),
                    ("expiring", "subjects WHERE expires IS NOT NULL"),
                )
            }
            return GalleryInfo(
                id=read_uid(identity),
                schema=self._database.version,
                created=read_time(created),
                encrypted=self._vault.encrypted,
                space=read_space(connection),
                size=self._database.size(),
                records=max(0, self._audit.rows.end(connection)),
                **counts,
            )

    def space(self) -> TemplateSpace:
        """See the port."""
        with self._database.reading() as connection:
            return read_space(connection)

    def subjects(self) -> list[Subject]:
        """See the port."""
        with self._database.reading() as connection:
            return sorted(self._people.all(connection), key=lambda one: (name_key(one.name), one.uid))

    def find(self, name: str) -> Subject:
        """See the port."""
        with self._database.reading() as connection:
            return self._people.one(connection, self._row(connection, name))

    def names(self, uids: Sequence[str]) -> dict[str, str]:
        """See the port."""
        with self._database.reading() as connection:
            return {
                uid: name for uid in uids if (name := self._people.name(connection, bytes.fromhex(uid))) is not None
            }

    def samples(self, uid: str) -> list[Sample]:
        """See the port."""
        with self._database.reading() as connection:
            return self._people.samples(connection, bytes.fromhex(uid))

    def known(self, digests: Sequence[str]) -> dict[str, str]:
        """See the port."""
        with self._database.reading() as connection:
            found = {digest: self._people.owner(connection, digest) for digest in digests}
            return {digest: self._people.one(connection, row).name for digest, row in found.items() if row is not None}

    def enroll(self, entries: Sequence[Entry]) -> list[Outcome]:
        """See the port."""
        if not entries:
            return []
        self.expire()  # else a picture could go to somebody who is about to be forgotten
        vectors = np.stack([entry.sample.template.vector for entry in entries])
        with self._database.writing() as connection:
            space = current_space(connection, self._vault)
            for entry in entries:
                _check_space(entry.sample.template.model, space.space)
            turned = space.turned(vectors)
            outcomes = [
                self._people.enroll(connection, entry, vector, space)
                for entry, vector in zip(entries, turned, strict=True)
            ]
            added = sum(outcome.kind == "enrolled" for outcome in outcomes)
            turns = sum(entry.expires is not None for entry in entries) > 0
            connection.execute("UPDATE gallery SET added = added + ?, turned = turned + ?", (added, int(turns)))
        return outcomes

    def nearest(self, probes: NDArray[np.float32], top: int) -> tuple[list[list[Neighbour]], int]:
        """See the port."""
        with self._index_lock, self._database.reading() as connection:
            index = self._index.refresh(connection)
            assert self._index.space is not None  # refresh has set it
            found = index.search(self._index.space.turned(np.asarray(probes, np.float32)), top)
            uids = self._people.uids(connection, {subject for one in found for subject, _, _ in one})
            neighbours = [[Neighbour(uids[subject], sample, gap) for subject, sample, gap in one] for one in found]
            return neighbours, len(index)

    def templates(self) -> Enrolled:
        """See the port."""
        with self._database.reading() as connection:
            space = current_space(connection, self._vault)
            (vectors, samples, subjects), _, _ = load(connection, self._vault, space)
            order = np.argsort(samples)
            rows, places = np.unique(subjects[order], return_inverse=True)
            uids = self._people.uids(connection, rows.tolist())
            return Enrolled(
                space.space,
                space.plain(vectors[order]),
                samples[order],
                places.astype(np.int64).reshape(-1),
                tuple(uids[row] for row in rows.tolist()),
            )

    def rename(self, name: str, new: str) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            row = self._row(connection, name)
            other = self._people.find(connection, new)
            if other is not None and other != row:
                taken = self._people.one(connection, other).name
                raise DuplicateSubject(
                    f"{shown(self.path)}: there is a {shown(taken)} already; merge the two, or take another name"
                )
            self._people.rename(connection, row, new)
            erasure.changed = True
        return self._receipt(erasure)

    def merge(self, into: str, others: Sequence[str]) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            target = self._row(connection, into)
            sources = [row for row in dict.fromkeys(self._row(connection, name) for name in others) if row != target]
            uids = self._people.uids(connection, [target, *sources])
            for source in sources:
                self._people.move_samples(connection, source, target)
                self._audit.rows.reassign(connection, uids[source], uids[target])
            erase_subjects(connection, sources, erasure, forget=False)
            connection.execute("UPDATE gallery SET turned = turned + 1")
        return self._receipt(erasure)

    def remove(self, names: Sequence[str]) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            rows = list(dict.fromkeys(self._row(connection, name) for name in names))
            erase_subjects(connection, rows, erasure)
        return self._receipt(erasure)

    def remove_uids(self, uids: Sequence[str]) -> ErasureReceipt:
        """As `remove`, by uid; those unknown are remembered as removed all the same."""
        with self._erasing() as (connection, erasure):
            found = [connection.execute("SELECT id FROM subjects WHERE uid = ?", (bytes.fromhex(uid),)) for uid in uids]
            erase_subjects(connection, [row[0] for rows in found for row in rows.fetchall()], erasure)
            remember(connection, [bytes.fromhex(uid) for uid in uids])
            erasure.photos += self._audit.rows.forget(connection, uids)  # also of those who are not here
        return self._receipt(erasure)

    def remove_samples(self, numbers: Sequence[int]) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            for number in numbers:
                if connection.execute("SELECT 1 FROM samples WHERE id = ?", (number,)).fetchone() is None:
                    raise GalleryError(f"{shown(self.path)}: has no picture number {number}; see twinface people show")
            erase_samples(connection, numbers, erasure)
        return self._receipt(erasure)

    def set_expiry(self, name: str, expires: datetime | None) -> None:
        """See the port."""
        with self._database.writing() as connection:
            self._people.set_expiry(connection, self._row(connection, name), expires)
            connection.execute("UPDATE gallery SET turned = turned + 1")

    def expire(self) -> ErasureReceipt | None:
        """See the port."""
        moment = (int(time.time()),)
        query = "SELECT id FROM subjects WHERE expires <= ?"
        with self._database.reading() as connection:
            if connection.execute(query, moment).fetchone() is None:
                return None
        with self._erasing() as (connection, erasure):
            erase_subjects(connection, [row[0] for row in connection.execute(query, moment).fetchall()], erasure)
        return self._receipt(erasure)

    def photo(self, number: int) -> bytes | None:
        """See the port."""
        with self._database.reading() as connection:
            return self._people.photo(connection, number)

    def stage(self, space: TemplateSpace, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """See the port."""
        with self._database.writing() as connection:
            self._renewal.stage(connection, space, vectors)

    def staged(self, space: TemplateSpace) -> dict[int, NDArray[np.float32]]:
        """See the port."""
        with self._database.reading() as connection:
            return self._renewal.staged(connection, space)

    def switch(self, space: TemplateSpace) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            erasure.changed = self._renewal.switch(connection, space)
        return self._receipt(erasure)

    def renew(self) -> ErasureReceipt:
        """See the port."""
        with self._erasing() as (connection, erasure):
            self._renewal.turn(connection)
            erasure.changed = True
        return self._receipt(erasure)

    def erased(self) -> list[str]:
        """Uids of everybody ever removed."""
        with self._database.reading() as connection:
            return [read_uid(row[0]) for row in connection.execute("SELECT uid FROM erasures")]

    def problems(self, *, log: bool = True) -> list[str]:
        """See the port. An erasure that was cut short is finished first.

        Args:
            log: whether the audit log is looked at, too.

        Raises:
            GalleryError: it cannot be.
        """
        self._finish_erasures()
        found = self._database.problems()
        if found:
            return found
        with self._database.reading() as connection:
            found = self._people.problems(connection)
        return found + [f"audit log: {one.words}" for one in (self._audit.problems() if log else [])]

    def startle(self) -> None:
        """Makes everybody who has the gallery open read it anew: its history is another from here on."""
        with self._database.writing() as connection:
            connection.execute("UPDATE gallery SET turned = ?", (secrets.randbelow(2**62),))

    def purge(self) -> None:
        """Erases what an interrupted removal may have left in the file."""
        self._database.purge()

    @property
    def database(self) -> Database:
        """The file behind it, for copies of the whole."""
        return self._database

    def close(self) -> None:
        """See the port."""
        self._database.close()

    def _finish_erasures(self) -> None:
        if self._database.unpurged():
            self._database.purge()

    def _row(self, connection: sqlite3.Connection, name: str) -> int:
        row = self._people.find(connection, name)
        if row is None:
            raise UnknownSubject(
                f"{shown(self.path)}: nobody is named {shown(name)!r}; twinface people list names everybody"
            )
        return row

    @contextmanager
    def _erasing(self) -> Iterator[tuple[sqlite3.Connection, Erasure]]:
        """A transaction that erases: what it notes is purged by `_receipt`, or at the next opening if we die first."""
        erasure = Erasure()
        with self._database.writing() as connection:
            yield connection, erasure
            erasure.photos += self._audit.rows.forget(connection, erasure.subjects)
            (identity,) = the_row(connection.execute("SELECT id FROM gallery"), "the gallery")
            erasure.gallery = read_uid(identity)
            if erasure.anything:
                connection.execute("UPDATE gallery SET removed = removed + ?", (erasure.samples,))
                self._database.owe_purge(connection)

    def _receipt(self, erasure: Erasure) -> ErasureReceipt:
        size = self._database.purge() if erasure.anything else self._database.size()
        return erasure.receipt(now(), size)


def _check_space(model: str, space: TemplateSpace) -> None:
    if model != space.identity:
        raise ContractMismatch(
            f"the gallery's templates are of {shown(space.model)}{'' if space.mirror else ' without mirror'} "
            f"({shown(space.identity[:12])}), these of another model ({model[:12]}); use that model, or "
            "twinface gallery migrate"
        )
