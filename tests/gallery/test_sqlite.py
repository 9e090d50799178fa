"""The SQLite gallery keeps the port's promises, plain and encrypted."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_contract import SPACE, OpenStore, StoreContract, entries, fill, found, vector

from twinface.core.subjects import TemplateSpace
from twinface.errors import GalleryCorrupt, GalleryError, WrongKey
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery

KEY = Key("key file", secrets.token_bytes(32))


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> Key | None:
    found: Key | None = request.param
    return found


class TestSqliteGallery(StoreContract):
    """SQLite, the first pupil."""

    @pytest.fixture
    def open_store(self, tmp_path: Path, key: Key | None) -> Iterator[OpenStore]:
        opened: list[SqliteGallery] = []

        def one_more() -> SqliteGallery:
            opened.append(SqliteGallery(tmp_path / "people.db", key=key, create=SPACE))
            return opened[-1]

        yield one_more
        for store in opened:
            store.close()


@pytest.fixture
def gallery(tmp_path: Path, key: Key | None) -> Iterator[SqliteGallery]:
    store = SqliteGallery(tmp_path / "people.db", key=key, create=SPACE)
    fill(store)
    yield store
    store.close()


def test_a_gallery_that_is_there_is_opened_not_made(gallery: SqliteGallery, key: Key | None) -> None:
    other = TemplateSpace("of somebody who comes later", "x", True, 3)
    with_other = SqliteGallery(gallery.path, key=key, create=other)
    assert with_other.info().space == SPACE
    assert with_other.info().id == gallery.info().id
    with_other.close()


def test_without_one_and_without_leave_to_make_one_it_says_how(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"there is no gallery; twinface enroll makes one"):
        SqliteGallery(tmp_path / "none.db")
    with pytest.raises(GalleryError, match=r"there is no gallery"):
        SqliteGallery(tmp_path / "none.db", create=SPACE, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_reading_only_reads_and_refuses_to_write(gallery: SqliteGallery, key: Key | None) -> None:
    reader = SqliteGallery(gallery.path, key=key, read_only=True)
    assert found(reader, 1) == [["Ada"]]
    for write in (
        lambda: reader.enroll(entries("Eve", 9)),
        lambda: reader.remove(["Ada"]),
        lambda: reader.renew(),
        lambda: reader.set_expiry("Ada", None),
    ):
        with pytest.raises(GalleryError, match="reading only"):
            write()
    reader.close()


def test_the_file_is_its_owners_alone(gallery: SqliteGallery) -> None:
    for path in gallery.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_wrong_key_opens_nothing_and_changes_nothing(gallery: SqliteGallery, key: Key | None) -> None:
    gallery.close()
    before = {path.name: path.read_bytes() for path in gallery.path.parent.iterdir()}
    wrong = [Key("key file", bytes(32)), Key("passphrase", b"wrong"), *([] if key is None else [None])]
    for other in wrong:
        with pytest.raises(WrongKey):
            SqliteGallery(gallery.path, key=other, create=SPACE)
    assert {path.name: path.read_bytes() for path in gallery.path.parent.iterdir()} == before


def test_many_threads_share_one_handle(gallery: SqliteGallery) -> None:
    """Each enrols, finds and removes people of its own; nobody loses anything."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                seed = 1000 + 10 * number + turn
                gallery.enroll(entries(f"Person {number}-{turn}", seed))
                assert found(gallery, seed) == [[f"Person {number}-{turn}"]]
            gallery.remove([f"Person {number}-0"])
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert gallery.info().subjects == 3 + 6 * 4
    assert gallery.problems() == []


def test_a_damaged_template_never_decides(gallery: SqliteGallery, key: Key | None) -> None:
    """One flipped bit in a template is found when it is read, not compared."""
    gallery.close()
    with sqlite3.connect(gallery.path) as connection:
        ((row, sealed),) = connection.execute("SELECT id, vector FROM templates LIMIT 1").fetchall()
        damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
        connection.execute("UPDATE templates SET vector = ? WHERE id = ?", (damaged, row))
    connection.close()
    reopened = SqliteGallery(gallery.path, key=key)
    with pytest.raises(GalleryCorrupt, match=r"template \w+.* was damaged"):
        reopened.nearest(vector(1)[None], 1)
    (problem,) = reopened.problems()
    assert "picture 1" in problem
    reopened.remove_samples([1])
    assert reopened.problems() == []
    assert found(reopened, 2, 3) == [["Ada"], ["Bob"]]
    reopened.close()
