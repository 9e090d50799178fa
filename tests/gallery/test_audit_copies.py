"""Backups and the audit log: what was written since a backup is not taken away by restoring it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import faults
import pytest
from audits import NOON, PICTURE, downgrade, draft, numbers, uid, write

from twinface.errors import GalleryCorrupt, GalleryError, GalleryLocked
from twinface.gallery.copies import back_up, restore
from twinface.gallery.database import Database
from twinface.gallery.keys import Key
from twinface.gallery.schema import GUARDS
from twinface.gallery.sqlite import SqliteGallery


@pytest.fixture
def backup(gallery: SqliteGallery, tmp_path: Path) -> Path:
    """Of the gallery with five records."""
    write(gallery, 5)
    path = tmp_path / "copies" / "monday.db"
    path.parent.mkdir()
    back_up(gallery, path)
    return path


def test_an_older_backup_takes_no_record_away(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    for number in range(6, 301):
        gallery.audit.append(draft(number))
    before = list(gallery.audit.records())
    restore(backup, gallery.path, key, replace=True)
    *kept, last = gallery.audit.records()  # by the handle that was open all along
    assert kept == before
    assert (last.number, last.kind) == (301, "restore")
    assert "record 5" in last.detail
    assert gallery.audit.problems((before[-1].number, before[-1].digest)) == []
    restore(backup, gallery.path, key, replace=True)  # and again
    assert gallery.audit.head()[0] == 302
    assert gallery.problems() == []


def test_a_backup_from_before_there_was_a_log_takes_no_record_away(
    gallery: SqliteGallery, backup: Path, key: Key | None
) -> None:
    downgrade(backup, key)
    restore(backup, gallery.path, key, replace=True)
    assert numbers(gallery) == [1, 2, 3, 4, 5, 6]
    assert gallery.audit.problems() == []


def test_a_newer_backup_brings_its_records(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    later = backup.with_name("tuesday.db")
    with closing(SqliteGallery(backup, key=key)) as other:
        write(other, 3)
        back_up(other, later)
    restore(later, gallery.path, key, replace=True)
    assert numbers(gallery) == list(range(1, 10))
    assert gallery.audit.problems() == []


def test_a_new_gallery_has_the_backups_log(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    head = gallery.audit.head()
    path = gallery.path.with_name("new.db")
    restore(backup, path, key)
    with closing(SqliteGallery(path, key=key)) as made:
        assert [one.kind for one in made.audit.records()] == ["request"] * 5 + ["restore"]
        assert made.audit.problems(head) == []


def test_logs_that_went_separate_ways_are_not_joined(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    with closing(SqliteGallery(backup, key=key)) as other:
        other.audit.append(draft(100))
        other.database.settle()
    before = [(one.number, one.digest) for one in gallery.audit.records()] + write(gallery, 2)
    names = [one.name for one in gallery.subjects()]
    with pytest.raises(GalleryError, match=r"people\.db: its audit log is not that of the backup.*7 records would be"):
        restore(backup, gallery.path, key, replace=True)
    assert [(one.number, one.digest) for one in gallery.audit.records()] == before
    assert [one.name for one in gallery.subjects()] == names
    assert not list(gallery.path.parent.glob(".twinface-*"))


def test_another_gallerys_backup_does_not_take_a_log_away(
    gallery: SqliteGallery, tmp_path: Path, key: Key | None
) -> None:
    other, copy = tmp_path / "other.db", tmp_path / "other.backup"
    with closing(SqliteGallery(other, key=key, create=faults.SPACE)) as made:
        faults.fill(made, "Eve")
        back_up(made, copy)
    restore(copy, gallery.path, key, replace=True)  # there is nothing to lose but people
    with closing(SqliteGallery(gallery.path, key=key)) as reopened:
        assert [one.kind for one in reopened.audit.records()] == ["restore"]
    with pytest.raises(GalleryCorrupt, match="seal of the audit log"):
        gallery.audit.append(draft())  # whose secret is that of the gallery before
    with closing(SqliteGallery(tmp_path / "third.db", key=key, create=faults.SPACE)) as third:
        faults.fill(third, "Fay")
        write(third, 1)
        with pytest.raises(GalleryError, match="is not that of the backup"):
            restore(copy, third.path, key, replace=True)


def test_records_written_while_a_backup_is_restored_are_not_lost(
    gallery: SqliteGallery, backup: Path, key: Key | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    become = Database.become

    def late(self: Database, *words: Any) -> None:
        gallery.audit.append(draft(6))
        become(self, *words)

    monkeypatch.setattr(Database, "become", late)
    with pytest.raises(GalleryLocked, match="stop access control, then restore again"):
        restore(backup, gallery.path, key, replace=True)
    assert numbers(gallery) == [1, 2, 3, 4, 5, 6]
    assert gallery.problems() == []
    monkeypatch.undo()
    restore(backup, gallery.path, key, replace=True)
    assert gallery.audit.head()[0] == 7


def test_thumbnails_that_were_erased_do_not_come_back(gallery: SqliteGallery, tmp_path: Path, key: Key | None) -> None:
    ada, bob = uid(gallery, "Ada"), uid(gallery, "Bob")
    for number, subjects in enumerate(((), (ada,), (bob,)), start=1):
        gallery.audit.append(draft(number, *subjects), PICTURE)
    copy, longer = tmp_path / "early.backup", tmp_path / "late.backup"
    back_up(gallery, copy)
    gallery.remove(["Ada"])
    gallery.audit.expire_thumbnails(NOON + timedelta(minutes=2))
    faults.fill(gallery, "Cleo")
    gallery.audit.append(draft(4, uid(gallery, "Cleo")), PICTURE)
    gallery.audit.append(draft(5), PICTURE)
    kept = [gallery.audit.thumbnail(number) is not None for number in range(1, 6)]
    assert kept == [False, False, True, True, True]
    restore(copy, gallery.path, key, replace=True)
    # Cleo came after the backup: nobody could remove her thumbnail any more
    assert [gallery.audit.thumbnail(number) is not None for number in range(1, 6)] == [False, False, True, False, True]
    assert gallery.audit.problems() == []
    back_up(gallery, longer)
    gallery.audit.expire_thumbnails(NOON + timedelta(minutes=9))
    with closing(SqliteGallery(longer, key=key)) as other:
        head = write(other, 2)[-1]
        back_up(other, tmp_path / "longest.backup")
    restore(tmp_path / "longest.backup", gallery.path, key, replace=True)
    assert [gallery.audit.thumbnail(number) for number in range(1, 6)] == [None] * 5
    assert gallery.audit.problems(head) == []


def test_a_gallery_whose_log_was_tampered_with_is_put_aside_not_overwritten(
    gallery: SqliteGallery, backup: Path, key: Key | None
) -> None:
    gallery.close()
    with closing(sqlite3.connect(gallery.path)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_deleted")
        connection.execute("DELETE FROM audit WHERE number > 2")
    told = restore(backup, gallery.path, key, replace=True)
    assert told.aside is not None
    assert told.info.records == 6
    with closing(SqliteGallery(told.aside, key=key)) as evidence:
        assert "truncated" in {one.kind for one in evidence.audit.problems()}
    with closing(SqliteGallery(gallery.path, key=key)) as made:
        assert made.audit.problems() == []
        *_, last = made.audit.records()
        assert "put aside" in last.detail


def test_a_backup_whose_log_is_not_sound_is_not_taken_over_a_log_that_is(
    gallery: SqliteGallery, backup: Path, key: Key | None
) -> None:
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET content = x'00' WHERE number = 2")
        connection.execute(GUARDS[0])
    with pytest.raises(GalleryError, match=r"audit log of the backup is not sound.*record 2"):
        restore(backup, gallery.path, key, replace=True)
    assert numbers(gallery) == [1, 2, 3, 4, 5]
    path = gallery.path.with_name("new.db")
    restore(backup, path, key)  # its people are
    with closing(SqliteGallery(path, key=key)) as made:
        assert sorted(faults.contents(made)) == ["Ada", "Bob"]
        assert (2, "edited") in {(one.number, one.kind) for one in made.audit.problems()}
        with pytest.raises(GalleryCorrupt, match="audit record 2 was edited or damaged; twinface access audit verify"):
            list(made.audit.records())
        assert [number for number, one in made.audit.entries() if one is None] == [2]


def test_people_who_move_take_no_log_along(gallery: SqliteGallery, tmp_path: Path) -> None:
    from twinface.app.moving import export

    write(gallery, 3)
    export(gallery, gallery.subjects(), tmp_path / "some.npz")
    assert b"request 2" not in (tmp_path / "some.npz").read_bytes()
