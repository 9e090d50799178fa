"""Odd files and places: what is no gallery is refused untouched, what is one is used wherever it lies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import faults
import pytest

from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.copies import back_up, restore
from twinface.gallery.schema import VERSION
from twinface.gallery.sqlite import SqliteGallery

NOBODY = 65534
posix = pytest.mark.skipif(os.name != "posix", reason="about POSIX files")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.quick_folder() as folder:
        yield folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A gallery of two people, whom nobody has open."""
    path = tmp_path / "there" / "people.db"
    with closing(SqliteGallery(path, create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Ada", "Bea")
    return path


def refused(path: Path, cls: type[GalleryError] = GalleryError, *, create: bool = True) -> str:
    """What is said where there can be no gallery, in one line that names it."""
    with pytest.raises(cls) as caught:
        SqliteGallery(path, create=faults.SPACE if create else None).close()
    text = str(caught.value)
    assert text.isprintable()
    assert ": " in text
    return text


def works(path: Path) -> None:
    """Holds a gallery to what galleries do."""
    with closing(SqliteGallery(path)) as gallery:
        faults.fill(gallery, "Cleo")
        assert sorted(faults.contents(gallery)) == ["Ada", "Bea", "Cleo"]
        assert faults.nearest_name(gallery, faults.content_of("Cleo")) == "Cleo"
        gallery.remove(["Cleo"])
        assert gallery.problems() == []


# what is no gallery


def text_file(path: Path) -> None:
    path.write_text("Dear diary, ...\n" * 1000)


def short_text_file(path: Path) -> None:
    path.write_text("x")


def empty_file(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes").write_text("mine")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')", *statements):
            connection.execute(statement)


def database_with_a_log(path: Path) -> None:
    database(path, "PRAGMA journal_mode = WAL")


def database_that_says_it_is_one(path: Path) -> None:
    database(path, "PRAGMA application_id = 0x5477466D")


def start_of_a_database(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "people.db")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def links_in_a_circle(path: Path) -> None:
    path.symlink_to(path.parent / "another")
    (path.parent / "another").symlink_to(path)


STRANGERS = [
    text_file, short_text_file, empty_file, folder, full_folder, fifo, device, endless_device, database,
    database_with_a_log, database_that_says_it_is_one, start_of_a_database, dangling_link, link_to_itself,
    links_in_a_circle,
]  # fmt: skip


@posix
@pytest.mark.parametrize("make", STRANGERS)
def test_what_is_no_gallery_is_refused_and_stays_as_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "people.db"
    make(path)
    if path.is_file() and not path.is_symlink():
        path.chmod(0o644)  # somebody else's program may want to read it
    before = faults.tree(tmp_path)
    for create in (True, False):
        assert str(path) in refused(path, create=create)
        assert faults.tree(tmp_path) == before


@posix
@pytest.mark.parametrize("make", STRANGERS)
def test_what_is_no_gallery_is_no_backup_either(tmp_path: Path, make: Callable[[Path], None]) -> None:
    backup = tmp_path / "backup.db"
    make(backup)
    before = faults.tree(tmp_path)
    with pytest.raises(GalleryError) as caught:
        restore(backup, tmp_path / "people.db", None)
    assert str(backup) in str(caught.value)
    assert str(caught.value).isprintable()
    assert faults.tree(tmp_path) == before


def test_a_gallery_of_a_newer_layout_is_refused_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = faults.tree(path.parent)
    assert "upgrade twinface" in refused(path)
    assert faults.tree(path.parent) == before


KEEPER = "CREATE TRIGGER {} AFTER DELETE ON subjects BEGIN INSERT INTO erasures VALUES (old.name, 0); END"
HOSTILE = {
    "table": "CREATE TABLE more (text)",
    "view": "CREATE VIEW everybody AS SELECT * FROM subjects",
    "index": "CREATE INDEX more ON subjects (name)",
    "column": "ALTER TABLE subjects ADD COLUMN nickname TEXT",
    "fewer columns": "ALTER TABLE subjects DROP COLUMN expires",
    "no table": "DROP TABLE erasures",
    "trigger": KEEPER.format("keep"),
    "trigger that looks like SQLite's own": "INSERT INTO sqlite_master "
    f"VALUES ('trigger', 'sqlite_keep', 'subjects', 0, '{KEEPER.format('sqlite_keep')}')",
    "statistics": "ANALYZE",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_gallery_with_more_or_less_in_it_than_ours_have_is_refused_untouched(path: Path, what: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(HOSTILE[what])
    before = faults.tree(path.parent)
    assert "tables are not those of a gallery" in refused(path, GalleryCorrupt)
    assert faults.tree(path.parent) == before


# what happens to a file while it is open


@posix
def test_once_the_file_is_removed_nothing_is_taken_that_would_be_lost(path: Path) -> None:
    with closing(SqliteGallery(path)) as gallery:
        path.unlink()
        for ask in (
            gallery.info,
            gallery.subjects,
            lambda: faults.fill(gallery, "Cleo"),
            lambda: gallery.remove(["Ada"]),
        ):
            with pytest.raises(GalleryError, match=r"was removed, .* since it was opened; open it again$"):
                ask()
    assert not path.exists()


@posix
def test_once_the_file_is_replaced_neither_is_changed(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(SqliteGallery(other, create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Eve")
    content = other.read_bytes()
    with closing(SqliteGallery(path)) as gallery:
        other.rename(path)
        with pytest.raises(GalleryError, match="open it again"):
            faults.fill(gallery, "Cleo")
    assert path.read_bytes() == content


@posix
def test_a_gallery_is_not_made_where_the_log_of_one_that_is_gone_would_be_written_into_it(path: Path) -> None:
    with closing(SqliteGallery(path)) as gallery:
        faults.fill(gallery, "Cleo")
        log = path.with_name("people.db-wal")
        kept = log.read_bytes()
        assert len(kept) > 10_000
        path.unlink()
    log.write_bytes(kept)
    before = faults.tree(path.parent)
    assert "people.db-wal beside it is left of a gallery that is gone" in refused(path)
    assert faults.tree(path.parent) == before
    log.unlink()
    with closing(SqliteGallery(path, create=faults.SPACE)) as gallery:
        assert gallery.subjects() == []


@posix
def test_a_backup_is_not_restored_where_the_log_of_a_gallery_that_is_gone_lies(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with closing(SqliteGallery(path)) as gallery:
        back_up(gallery, backup)
    new = tmp_path / "new.db"
    tmp_path.joinpath("new.db-wal").write_bytes(b"anything")
    with pytest.raises(GalleryError, match=r"new\.db-wal beside it"):
        restore(backup, new, None)
    assert not new.exists()


def test_a_gallery_in_use_is_no_backup_for_what_was_written_last_is_not_in_its_file(path: Path, tmp_path: Path) -> None:
    with closing(SqliteGallery(path)) as gallery:
        faults.fill(gallery, "Cleo")
        with pytest.raises(GalleryError, match="make a backup of it first"):
            restore(path, tmp_path / "new.db", None)
    assert not (tmp_path / "new.db").exists()
    restore(path, tmp_path / "new.db", None)
    with closing(SqliteGallery(tmp_path / "new.db")) as made:
        assert sorted(faults.contents(made)) == ["Ada", "Bea", "Cleo"]


# links


@posix
def test_a_link_to_a_gallery_is_followed_and_the_log_lies_beside_the_real_file(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    works(link)
    with closing(SqliteGallery(link)) as gallery:
        faults.fill(gallery, "Cleo")
        assert sorted(one.name for one in path.parent.iterdir()) == ["people.db", "people.db-shm", "people.db-wal"]
        assert sorted(one.name for one in tmp_path.iterdir()) == ["link.db", "there"]
        with closing(SqliteGallery(path)) as other:
            assert sorted(faults.contents(other)) == ["Ada", "Bea", "Cleo"]
    assert link.is_symlink()


@posix
def test_a_link_to_a_folder_leads_to_the_gallery_in_it(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path.parent, target_is_directory=True)
    works(tmp_path / "link" / "people.db")


# permissions


@contextmanager
def powerless(folder: Path) -> Iterator[None]:
    """As somebody who has no more rights than the modes of what is in the folder, all his own, give him."""
    if os.geteuid():
        yield
        return
    for one in (folder, *folder.rglob("*")):
        os.chown(one, NOBODY, NOBODY)
    try:
        os.seteuid(NOBODY)
    except OSError as error:
        pytest.skip(f"this process may be nobody else: {error}")
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach."""
    if os.name != "posix":
        pytest.skip("about POSIX permissions")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        folder.parent.chmod(0o755)
        try:
            yield folder
        finally:
            folder.chmod(0o700)


@pytest.mark.parametrize(("file", "around"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500)])
def test_without_permission_to_write_a_gallery_is_read_and_nothing_is_changed(
    path: Path, open_folder: Path, file: int, around: int
) -> None:
    here = open_folder / "people.db"
    shutil.copyfile(path, here)
    here.chmod(file)
    open_folder.chmod(around)
    with powerless(open_folder):
        before = faults.tree(open_folder)
        with closing(SqliteGallery(here, create=faults.SPACE)) as gallery:
            assert gallery.read_only
            assert sorted(faults.contents(gallery)) == ["Ada", "Bea"]
            assert faults.nearest_name(gallery, faults.content_of("Ada")) == "Ada"
            assert gallery.problems() == []
            for write in (lambda: faults.fill(gallery, "Cleo"), lambda: gallery.remove(["Ada"]), gallery.renew):
                with pytest.raises(
                    GalleryError, match=r"permission to write when it was opened; mend that, open it again$"
                ):
                    write()
            assert sorted(faults.contents(gallery)) == ["Ada", "Bea"]
        assert faults.tree(open_folder) == before
        open_folder.chmod(0o700)
        here.chmod(0o600)
        works(here)  # nothing that was left behind is in the way


def test_without_permission_to_read_a_gallery_is_refused(path: Path, open_folder: Path) -> None:
    here = open_folder / "people.db"
    shutil.copyfile(path, here)
    here.chmod(0)
    with powerless(open_folder):
        assert str(here) in refused(here)
        open_folder.chmod(0)
        assert str(here) in refused(here)
        open_folder.chmod(0o700)
        assert [one.name for one in open_folder.iterdir()] == ["people.db"]
        assert here.stat().st_mode & 0o777 == 0


def test_where_nothing_may_be_made_no_gallery_is_made(open_folder: Path) -> None:
    open_folder.chmod(0o500)
    with powerless(open_folder):
        assert "a gallery cannot be made there" in refused(open_folder / "people.db")
        assert "a gallery cannot be made there" in refused(open_folder / "more" / "people.db")
    assert list(open_folder.iterdir()) == []


@posix
def test_a_gallery_that_everybody_may_read_is_made_its_owners_alone(path: Path) -> None:
    with closing(SqliteGallery(path)) as gallery:
        faults.fill(gallery, "Cleo")
        for file in faults.files_of(path):
            file.chmod(0o644)
        with closing(SqliteGallery(path)):
            assert {file.stat().st_mode & 0o777 for file in faults.files_of(path)} == {0o600}


# paths

NAMES = [
    "with spaces.db", " ", "?", "#", "a?mode=memory", "a#b", "100%.db", "%00", "%2e%2e%2fpeople.db", "'single'",
    '"double"', "semi;colon", "back\\slash", "new\nline", "tab\t", "\x1b[31mred", "file:people.db", ":memory:", "-",
    "--help", "~", "\u00e9", "e\u0301", "\u202egpj.db", "\U0001f600", "people.db-wal", "people.db-journal", ".hidden",
    "n" * 246, "\udcff\udcfe", "CON", "NUL", "a:b", "*",
]  # fmt: skip
RELATIVE = ["file:people.db", "file:people.db?mode=memory", ":memory:", "--help", "?", "\udcff"]


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="file names are text there")
@pytest.mark.parametrize(
    ("name", "relative"),
    [*((name, False) for name in NAMES), *((name, True) for name in RELATIVE)],
    ids=ascii,
)
def test_a_gallery_of_any_name_works_and_so_do_its_backups(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    where = tmp_path / "where"
    where.mkdir()
    monkeypatch.chdir(where)
    base = Path() if relative else where
    shutil.copyfile(path, base / name)
    works(base / name)
    with closing(SqliteGallery(base / name)) as gallery:
        back_up(gallery, base / "backup")
    restore(base / "backup", base / name, None, replace=True)
    works(base / name)
    (base / name).unlink()
    with closing(SqliteGallery(base / name, create=faults.SPACE)) as gallery:
        assert gallery.subjects() == []
    assert {one.name for one in where.iterdir()} == {name, "backup"}


@posix
@pytest.mark.parametrize("folder", ["file:", "file:there", "a?b#c%20", "back\\slash", "'", "\udcff"], ids=ascii)
@pytest.mark.parametrize("relative", [False, True])
def test_a_gallery_in_a_folder_of_any_name_works_and_so_do_its_backups(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, relative: bool
) -> None:
    where = tmp_path / "where"
    where.mkdir()
    monkeypatch.chdir(where)
    base = Path(folder) if relative else where / folder
    with closing(SqliteGallery(base / "people.db", create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Ada", "Bea")
        back_up(gallery, base / "backup")
    restore(base / "backup", base / "new.db", None)
    works(base / "new.db")
    assert [one.name for one in where.iterdir()] == [folder]
    assert sorted(one.name for one in (where / folder).iterdir()) == ["backup", "new.db", "people.db"]


IMPOSSIBLE = {
    "zero byte": "people\0.db",
    "zero byte in a folder": "a\0b/people.db",
    "no text": "people\ud800.db",
    "no text in a folder": "a\ud800b/people.db",
    "name too long": "n" * 256,
    "name too long for a log": "n" * 250,
    "folder too long": "n" * 300 + "/people.db",
    "path too long": "n/" * 3000 + "people.db",
    "path too long for SQLite": ("n" * 100 + "/") * 6 + "people.db",
    "a file in place of a folder": "file/people.db",
    "nothing": "",
    "the folder itself": ".",
    "the folder above": "..",
}


@posix
@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_where_no_gallery_can_be_none_is_made_and_nothing_else(path: Path, tmp_path: Path, what: str) -> None:
    where = tmp_path / "where"
    where.mkdir()
    (where / "file").write_text("mine")
    before = faults.tree(tmp_path)
    place = where / IMPOSSIBLE[what]
    refused(place)
    refused(place, create=False)
    with closing(SqliteGallery(path)) as gallery:
        for target in (place, where / "none" / "backup.db"):
            with pytest.raises(GalleryError) as caught:
                back_up(gallery, target)
            assert str(caught.value).isprintable()
    for source, target in ((path, place), (place, where / "new.db")):
        with pytest.raises(GalleryError) as caught:
            restore(source, target, None)
        assert str(caught.value).isprintable()
    with suppress(OSError, ValueError):  # folders may be made on the way, as for any gallery
        shutil.rmtree(where / ("n" * 100))
    assert faults.tree(tmp_path) == before
