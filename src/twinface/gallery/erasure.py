"""Removes rows with all that hangs on them, and counts what was removed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from twinface.core.subjects import ErasureReceipt
from twinface.gallery.records import read_uid, the_row


@dataclass
class Erasure:
    """What a transaction removes, as it goes on.

    Attributes:
        gallery: id.
        subjects: uids removed.
        samples: rows of samples removed.
        photos: pictures removed, and thumbnails of the audit log.
        keys: keys destroyed.
        changed: whether something else was overwritten that nobody may find again.
    """

    gallery: str = ""
    subjects: list[str] = field(default_factory=list)
    samples: int = 0
    photos: int = 0
    keys: int = 0
    changed: bool = False

    @property
    def anything(self) -> bool:
        """Whether there are bytes to purge."""
        return bool(self.subjects or self.samples or self.photos or self.changed)

    def receipt(self, when: datetime, rebuilt: int) -> ErasureReceipt:
        """The proof."""
        return ErasureReceipt(self.gallery, tuple(self.subjects), self.samples, self.photos, self.keys, when, rebuilt)


def erase_subjects(
    connection: sqlite3.Connection, rows: Sequence[int], erasure: Erasure, *, forget: bool = True
) -> None:
    """Removes subjects, their keys, samples, templates and photos; their uids and the time stay.

    Args:
        connection: in a transaction.
        rows: of the subjects.
        erasure: where it is counted.
        forget: whether a backup that is restored later forgets them again, by their uids, which say nothing about
            anybody.
    """
    for row in rows:
        uid, key = the_row(connection.execute("SELECT uid, key FROM subjects WHERE id = ?", (row,)), "a person")
        samples = connection.execute("SELECT count(*) FROM samples WHERE subject = ?", (row,)).fetchone()[0]
        photos = connection.execute(
            "SELECT count(*) FROM photos JOIN samples ON samples.id = photos.sample WHERE subject = ?", (row,)
        ).fetchone()[0]
        connection.execute("DELETE FROM subjects WHERE id = ?", (row,))
        if forget:
            remember(connection, [uid])
        erasure.subjects.append(read_uid(uid))
        erasure.samples += samples
        erasure.photos += photos
        erasure.keys += key is not None


def remember(connection: sqlite3.Connection, uids: Sequence[bytes]) -> None:
    """Keeps the uids of those who were removed, and when: a backup restored later forgets them again."""
    moment = int(time.time())
    connection.executemany("INSERT OR IGNORE INTO erasures (uid, at) VALUES (?, ?)", [(uid, moment) for uid in uids])


def erase_samples(connection: sqlite3.Connection, numbers: Sequence[int], erasure: Erasure) -> None:
    """Removes single samples, and the subjects that have none left."""
    for number in dict.fromkeys(numbers):
        (subject,) = the_row(connection.execute("SELECT subject FROM samples WHERE id = ?", (number,)), "a picture")
        others = connection.execute(
            "SELECT count(*) FROM samples WHERE subject = ? AND id != ?", (subject, number)
        ).fetchone()[0]
        if not others:
            erase_subjects(connection, [subject], erasure)
            continue
        erasure.photos += connection.execute("SELECT count(*) FROM photos WHERE sample = ?", (number,)).fetchone()[0]
        connection.execute("DELETE FROM samples WHERE id = ?", (number,))
        erasure.samples += 1
