"""What the tests of the audit log share: drafts, a picture, and galleries as they were before there was a log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twinface.core.audit import AuditDraft
from twinface.core.audit_chain import Problem
from twinface.gallery.keys import Key, wrapping_key
from twinface.gallery.schema import GUARDS, LOG
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import SealedLocker, unwrap

NOON = datetime(2028, 2, 29, 12, tzinfo=UTC)
PICTURE = b"\xff\xd8 a face, as JPEG has it " + bytes(range(256)) * 8


def uid(gallery: SqliteGallery, name: str) -> str:
    return gallery.find(name).uid


def draft(number: int = 0, *subjects: str, place: str = "floor-7") -> AuditDraft:
    return AuditDraft(
        at=NOON + timedelta(minutes=number),
        kind="request",
        place=place,
        decision="refuse",
        reason="too far",
        subjects=subjects,
        distance=0.4,
        detail=f"request {number}",
    )


def write(gallery: SqliteGallery, count: int) -> list[tuple[int, str]]:
    return [(one.number, one.digest) for one in (gallery.audit.append(draft(place)) for place in range(1, count + 1))]


def numbers(gallery: SqliteGallery, **words: Any) -> list[int]:
    return [one.number for one in gallery.audit.records(**words)]


def kinds(problems: Sequence[Problem]) -> list[tuple[int, str]]:
    return [(one.number, one.kind) for one in problems]


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, for somebody who can write it: the guards are taken away, and put back so that nobody sees."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in GUARDS:
            connection.execute(f"DROP TRIGGER {statement.split()[2]}")
        yield connection
        for statement in GUARDS:
            connection.execute(statement)
        connection.execute("COMMIT")


def downgrade(path: Path, key: Key | None) -> None:
    """Makes a gallery what the first TwinFace wrote: one of layout 1."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (*GUARDS, *LOG):
            kind, name = statement.split()[1:3]
            connection.execute(f"DROP {kind} {name}")
        connection.execute("PRAGMA user_version = 1")
        if key is not None:
            facts = json.loads(connection.execute("SELECT vault FROM gallery").fetchone()[0])
            locker = SealedLocker(wrapping_key(key, facts))
            facts["wrapped"] = locker.seal(unwrap(facts, key.kind, key), b"data key").hex()
            connection.execute("UPDATE gallery SET vault = ?", (json.dumps(facts),))
