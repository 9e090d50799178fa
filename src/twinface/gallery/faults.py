"""What SQLite and the file system complain of, in words that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import GalleryCorrupt, GalleryError, GalleryLocked

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT)
"""The last of these only where an index was damaged: what is written keeps to the layout's constraints."""


def translation(path: Path, error: Exception) -> GalleryError:
    """An error of SQLite's or the system's, in words that say what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where, why = shown(path), reason(error)
    if code in _BUSY:
        return GalleryLocked(f"{where}: another process has been writing to the gallery for too long; try again later")
    if code in _BROKEN:
        return GalleryCorrupt(f"{where}: the gallery is damaged, or no gallery ({why}); restore a backup")
    if code == sqlite3.SQLITE_FULL or "No space left" in why:
        return GalleryError(f"{where}: no room on the disk; make room and try again, nothing enrolled before is lost")
    if code == sqlite3.SQLITE_READONLY:
        return GalleryError(f"{where}: cannot be written ({why}); give yourself the permission, or use another gallery")
    if code == sqlite3.SQLITE_IOERR:
        return GalleryError(
            f"{where}: the disk does not take or give what it should ({why}); make room or mend it, then try again"
        )
    if isinstance(error, sqlite3.ProgrammingError):
        return GalleryError(f"{where}: the gallery was closed ({why})")
    return GalleryError(f"{where}: the gallery cannot be used ({why})")


def cause(error: GalleryError) -> str:
    """What lies behind an error of ours, for a message in other words."""
    behind = error.__cause__
    return reason(behind if isinstance(behind, Exception) else error)


def is_unwritable(error: sqlite3.OperationalError) -> bool:
    """Whether the place takes no writing: reading may still be possible."""
    code = error.sqlite_errorcode & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)


def pragma(connection: sqlite3.Connection, text: str) -> int:
    """Sets or asks for something; the answer, if there is one."""
    row = connection.execute(f"PRAGMA {text}").fetchone()
    return row[0] if row else 0
