"""Backups, and galleries made of them again: whole or not at all, and who was removed stays removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_contract import SPACE, entries, fill, found

from twinface.errors import GalleryCorrupt, GalleryError, WrongKey
from twinface.gallery.copies import back_up, restore
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery

KEY = Key("key file", secrets.token_bytes(32))


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> Key | None:
    chosen: Key | None = request.param
    return chosen


@pytest.fixture
def gallery(tmp_path: Path, key: Key | None) -> Iterator[SqliteGallery]:
    store = SqliteGallery(tmp_path / "people.db", key=key, create=SPACE)
    fill(store)
    yield store
    store.close()


@pytest.fixture
def backup(gallery: SqliteGallery, tmp_path: Path) -> Path:
    path = tmp_path / "copies" / "monday.db"
    path.parent.mkdir()
    back_up(gallery, path)
    return path


def names(store: SqliteGallery) -> list[str]:
    return [one.name for one in store.subjects()]


def test_a_backup_is_a_gallery(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    assert [path.name for path in backup.parent.iterdir()] == ["monday.db"]
    assert backup.stat().st_mode & 0o077 == 0
    copy = SqliteGallery(backup, key=key)
    assert (copy.info().id, names(copy)) == (gallery.info().id, ["Ada", "Bob", "Cyd"])
    assert found(copy, 1, 3) == [["Ada"], ["Bob"]]
    copy.close()


def test_a_backup_never_replaces_a_file(gallery: SqliteGallery, backup: Path) -> None:
    before = backup.read_bytes()
    with pytest.raises(GalleryError, match="is there already"):
        back_up(gallery, backup)
    with pytest.raises(GalleryError, match="there is no folder"):
        back_up(gallery, backup.parent / "none" / "b.db")
    assert backup.read_bytes() == before
    assert [path.name for path in backup.parent.iterdir()] == ["monday.db"]


def test_the_lost_gallery_is_made_again(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    gallery.close()
    for path in gallery.path.parent.glob("people.db*"):
        path.unlink()
    restored = restore(backup, gallery.path, key)
    assert (restored.info.subjects, restored.again, restored.aside) == (3, 0, None)
    made = SqliteGallery(gallery.path, key=key)
    assert found(made, 1, 3) == [["Ada"], ["Bob"]]
    assert made.path.stat().st_mode & 0o077 == 0
    made.close()


def test_who_is_there_is_replaced_on_request_only(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    gallery.enroll(entries("Dan", 7))
    with pytest.raises(GalleryError, match="--replace"):
        restore(backup, gallery.path, key)
    assert names(gallery) == ["Ada", "Bob", "Cyd", "Dan"]
    restore(backup, gallery.path, key, replace=True)
    assert names(gallery) == ["Ada", "Bob", "Cyd"]  # seen by the handle that was open all along
    assert found(gallery, 7, 1) == [[], ["Ada"]]


def test_who_was_removed_since_is_removed_again(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    gallery.remove(["Ada"])
    restored = restore(backup, gallery.path, key, replace=True)
    assert (restored.info.subjects, restored.again, restored.aside) == (2, 1, None)
    assert names(gallery) == ["Bob", "Cyd"]
    if key is None:
        assert all(b"album/1.jpg" not in path.read_bytes() for path in gallery.path.parent.glob("people.db*"))


def test_who_was_merged_since_comes_back(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    gallery.merge("Ada", ["Bob"])
    restore(backup, gallery.path, key, replace=True)
    assert names(gallery) == ["Ada", "Bob", "Cyd"]


def test_handles_open_meanwhile_read_the_restored_state(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    """Even where its counters say the same as those of another history."""
    gallery.enroll(entries("Dan", 7))
    assert found(gallery, 7) == [["Dan"]]
    other = SqliteGallery(gallery.path, key=key)
    restore(backup, gallery.path, key, replace=True)
    other.enroll(entries("Eve", 8))
    assert found(gallery, 7, 8) == [[], ["Eve"]]
    other.close()


def test_another_key_restores_nothing(gallery: SqliteGallery, backup: Path) -> None:
    with pytest.raises(WrongKey):
        restore(backup, gallery.path, Key("key file", bytes(32)), replace=True)
    with pytest.raises(WrongKey):
        restore(backup, gallery.path.with_name("new.db"), Key("key file", bytes(32)))
    assert names(gallery) == ["Ada", "Bob", "Cyd"]
    assert not gallery.path.with_name("new.db").exists()
    assert not list(gallery.path.parent.glob(".twinface-*"))


def test_a_damaged_backup_restores_nothing(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    whole = backup.read_bytes()
    gallery.enroll(entries("Dan", 7))
    for content in (whole[:5000], whole[: len(whole) // 2], whole[:4096] + bytes(len(whole) - 4096), b"", b"text"):
        backup.write_bytes(content)
        with pytest.raises(GalleryError):
            restore(backup, gallery.path, key, replace=True)
        assert backup.read_bytes() == content
    assert names(gallery) == ["Ada", "Bob", "Cyd", "Dan"]
    assert not list(gallery.path.parent.glob(".twinface-*"))


def test_a_damaged_gallery_is_put_aside_and_made_again(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    gallery.close()
    gallery.path.write_bytes(b"not what it was" * 1000)
    with pytest.raises(GalleryError):
        SqliteGallery(gallery.path, key=key)
    restored = restore(backup, gallery.path, key, replace=True)
    assert restored.info.subjects == 3
    made = SqliteGallery(gallery.path, key=key)
    assert found(made, 1) == [["Ada"]]
    made.close()
    (aside,) = gallery.path.parent.glob("people.db.damaged-*")
    assert aside == restored.aside
    assert aside.read_bytes().startswith(b"not what it was")


def test_a_backup_is_not_restored_onto_itself(backup: Path, key: Key | None) -> None:
    with pytest.raises(GalleryError, match="is the backup itself"):
        restore(backup, backup, key, replace=True)


def test_a_backup_that_is_not_there(gallery: SqliteGallery, key: Key | None, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="there is no gallery"):
        restore(tmp_path / "none.db", gallery.path, key, replace=True)
    assert names(gallery) == ["Ada", "Bob", "Cyd"]


def test_a_copy_holds_nothing_of_who_was_removed_before(
    gallery: SqliteGallery, tmp_path: Path, key: Key | None
) -> None:
    gallery.remove(["Bob"])
    back_up(gallery, tmp_path / "later.db")
    copy = SqliteGallery(tmp_path / "later.db", key=key)
    assert names(copy) == ["Ada", "Cyd"]
    copy.close()
    assert b"album/3.jpg" not in (tmp_path / "later.db").read_bytes()


def test_a_gallery_that_is_no_gallery_is_not_restored_over_by_chance(
    backup: Path, tmp_path: Path, key: Key | None
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ada")
    with pytest.raises(GalleryError, match="--replace"):
        restore(backup, letter, key)
    assert letter.read_text() == "Dear Ada"


def test_damage_that_sqlite_does_not_see_is_seen(gallery: SqliteGallery, backup: Path, key: Key | None) -> None:
    import sqlite3

    with sqlite3.connect(backup) as connection:
        connection.execute("UPDATE templates SET vector = zeroblob(length(vector)) WHERE id = 1")
    connection.close()
    with pytest.raises(GalleryCorrupt, match="the backup is damaged"):
        restore(backup, gallery.path, key, replace=True)
    assert found(gallery, 1) == [["Ada"]]
