"""Galleries from before there was an audit log, and of those to come."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import faults
import pytest
from audits import downgrade, draft, numbers

from twinface.core.audit import genesis
from twinface.errors import GalleryError
from twinface.gallery.audit_rows import AuditRows
from twinface.gallery.keys import Key
from twinface.gallery.schema import GUARDS, LAYOUTS, LOG, VERSION
from twinface.gallery.sqlite import SqliteGallery

needs_victims = pytest.mark.skipif(
    not faults.CAN_KILL, reason="needs Linux: processes are watched by descriptors of theirs"
)


def layout(path: Path) -> tuple[int, bool]:
    """Its version, and whether there is a log."""
    with closing(sqlite3.connect(path)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        return connection.execute("PRAGMA user_version").fetchone()[0], "audit" in tables


def test_the_first_layout_is_what_it_was() -> None:
    """Else galleries that were made by the first TwinFace could not be opened any more."""
    text = "\n".join(LAYOUTS[1])
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "1f2d8683e003aeae4c65f32196697e52b59f92472059e8b8888564920796844e"
    )
    assert [*LAYOUTS] == [1, VERSION]


def test_an_old_gallery_is_given_a_log_when_it_is_opened_for_writing(gallery: SqliteGallery, key: Key | None) -> None:
    path = gallery.path
    gallery.close()
    downgrade(path, key)
    with closing(SqliteGallery(path, key=key, read_only=True)) as reader:
        assert reader.info().schema == 1
        assert faults.nearest_name(reader, faults.content_of("Ada")) == "Ada"
        assert reader.audit.head() == (0, genesis(reader.info().id))
        assert (reader.audit.problems(), list(reader.audit.records()), reader.info().records) == ([], [], 0)
        with pytest.raises(GalleryError, match="reading only"):
            reader.audit.append(draft())
        assert layout(path) == (1, False)
        with closing(SqliteGallery(path, key=key)) as opened:
            assert layout(path) == (2, True)
            assert opened.info().schema == 2
            opened.audit.append(draft())
            assert opened.problems() == []
            assert sorted(faults.contents(opened)) == ["Ada", "Bob"]
        assert numbers(reader) == [1]  # who had it open sees the log


def test_two_who_open_an_old_gallery_at_once_give_it_one_log(gallery: SqliteGallery, key: Key | None) -> None:
    gallery.close()
    downgrade(gallery.path, key)
    with closing(SqliteGallery(gallery.path, key=key, read_only=True)):
        pass
    with (
        closing(SqliteGallery(gallery.path, key=key)) as first,
        closing(SqliteGallery(gallery.path, key=key)) as second,
    ):
        for one in (first, second, first):
            one.audit.append(draft())
        assert numbers(second) == [1, 2, 3]
        with first.database.reading() as connection:
            assert AuditRows.are_there(connection)


def test_a_newer_gallery_is_refused(gallery: SqliteGallery, key: Key | None) -> None:
    gallery.close()
    with closing(sqlite3.connect(gallery.path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(GalleryError, match="newer TwinFace"):
        SqliteGallery(gallery.path, key=key)


@needs_victims
def test_killed_anywhere_on_the_way_an_old_gallery_is_old_or_new(
    nursery: faults.Nursery, gallery: SqliteGallery, key: Key | None
) -> None:
    path = gallery.path
    gallery.close()
    downgrade(path, key)
    original = path.read_bytes()
    for statement in (*(one[:30] for one in (*LOG, *GUARDS)), "PRAGMA user_version = 2", "COMMIT"):
        for other in faults.files_of(path):
            other.unlink()
        path.write_bytes(original)
        with closing(SqliteGallery(path, key=key, read_only=True)):
            pass
        with nursery.victim() as victim:
            victim.begin("open_and_die_before", path=str(path), encrypted=key is not None, start=statement)
            assert victim.is_dead(), statement
        assert layout(path) == (1, False)
        with closing(SqliteGallery(path, key=key)) as opened:
            assert opened.problems() == []
            assert opened.audit.append(draft()).number == 1
            assert sorted(faults.contents(opened)) == ["Ada", "Bob"]
