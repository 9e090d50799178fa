"""The layout of a gallery's file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

APPLICATION = 0x5477466D
"""SQLite's application_id: these four bytes in the header say that a file is a gallery of ours."""

VERSION = 2
"""SQLite's user_version; a higher one was written by a newer TwinFace. 1 had no audit log."""

PEOPLE = (
    """CREATE TABLE spaces (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    mirror INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    rotation BLOB NOT NULL
)""",
    """CREATE TABLE gallery (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id BLOB NOT NULL,
    created INTEGER NOT NULL,
    vault TEXT NOT NULL,
    space INTEGER NOT NULL REFERENCES spaces,
    added INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    turned INTEGER NOT NULL DEFAULT 0,
    unpurged INTEGER NOT NULL DEFAULT 0
)""",
    """CREATE TABLE subjects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid BLOB NOT NULL UNIQUE,
    name_key BLOB NOT NULL UNIQUE,
    name BLOB NOT NULL,
    key BLOB,
    created INTEGER NOT NULL,
    expires INTEGER
)""",
    """CREATE TABLE samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE,
    facts BLOB NOT NULL,
    added INTEGER NOT NULL
)""",
    """CREATE INDEX samples_of ON samples (subject)""",
    """CREATE TABLE photos (
    sample INTEGER PRIMARY KEY REFERENCES samples ON DELETE CASCADE,
    content BLOB NOT NULL
)""",
    """CREATE TABLE templates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sample INTEGER NOT NULL REFERENCES samples ON DELETE CASCADE,
    space INTEGER NOT NULL REFERENCES spaces,
    vector BLOB NOT NULL,
    UNIQUE (sample, space)
)""",
    """CREATE TABLE erasures (
    uid BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID""",
)
"""`gallery` has one row: what opens the vault, the space in use, and counters by which others see what has changed:
`added` and `removed` (templates), `turned` (everything has to be read anew), `unpurged` (not zero: a mark of the last
erasure, whose bytes may still be somewhere in the file; a purge begun after it sets it to zero)."""

LOG = (
    """CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    content BLOB NOT NULL
)""",
    """CREATE TABLE audit_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    content BLOB NOT NULL
)""",
    """CREATE TABLE audit_thumbnails (
    number INTEGER PRIMARY KEY,
    content BLOB NOT NULL
)""",
)
"""The audit log: its records, sealed; number and digest of the last one, sealed; thumbnails kept beside records, each
sealed with the uids of whom it shows. Records refer to nothing, so that removing people changes none."""

GUARDS = (
    """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'records of the audit log are never changed'); END""",
    """CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'records of the audit log are never deleted'); END""",
    """CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
WHEN NEW.number <= (SELECT coalesce(max(number), 0) FROM audit)
BEGIN SELECT RAISE(ABORT, 'records of the audit log are added at its end'); END""",
    """CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the seal of the audit log is never deleted'); END""",
)
"""They keep mistakes from the log. Whoever may write the file can remove them: that is what the seals are for."""

TABLES = (*PEOPLE, *LOG, *GUARDS)

LAYOUTS: Mapping[int, tuple[str, ...]] = MappingProxyType({1: PEOPLE, VERSION: TABLES})
"""Everything in a gallery's file, by its version."""

SEQUENCE = "CREATE TABLE sqlite_sequence(name,seq)"
"""What SQLite adds for AUTOINCREMENT."""
