"""Damaged galleries: what they tell is right, or they say that they are damaged; nobody is taken for another."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faults
import pytest

from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery

PAGE = 4096
PEOPLE = [f"person {number}" for number in range(12)]


def seeds(few: int, many: int) -> Any:
    return pytest.mark.parametrize(
        "seeds", [range(few), pytest.param(range(few, many), marks=pytest.mark.long)], ids=len
    )


@dataclass
class Original:
    """A sound gallery, what is true of it, and its file and its log.

    Attributes:
        whole: the file's content with all that was written.
        file: its content before; what was written last is in the log alone.
        log: the log's content.
        names: of everybody by uid.
        digests: of everybody's pictures by uid.
        photos: by number of the sample; None where none was kept.
    """

    key: Key | None
    whole: bytes = b""
    file: bytes = b""
    log: bytes = b""
    names: dict[str, str] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=dict)
    photos: dict[int, bytes | None] = field(default_factory=dict)


@pytest.fixture(scope="module", params=faults.KEYS, ids=faults.KEY_IDS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Original:
    made = Original(request.param)
    path = tmp_path_factory.mktemp("original") / "people.db"
    with closing(SqliteGallery(path, key=made.key, create=faults.SPACE)) as gallery:
        faults.fill(gallery, *PEOPLE[:8])
        gallery.remove([PEOPLE[0]])  # which writes the file anew
        faults.fill(gallery, *PEOPLE[8:])
        made.file, made.log = path.read_bytes(), path.with_name("people.db-wal").read_bytes()
        for one in gallery.subjects():
            samples = gallery.samples(one.uid)
            made.names[one.uid] = one.name
            made.digests[one.uid] = [sample.digest for sample in samples]
            made.photos |= {sample.number: gallery.photo(sample.number) for sample in samples}
    made.whole = path.read_bytes()
    assert len(made.names) == len(PEOPLE) - 1
    assert len(made.log) > 10 * PAGE
    return made


def overwrite(content: bytes, source: random.Random) -> bytes:
    """Damage as disks and mishaps do it: some bytes, a bit, the head of a page, a stretch, a page of another place."""
    damaged = bytearray(content)
    pages = max(1, len(content) // PAGE)
    start = source.randrange(pages) * PAGE
    kind = source.randrange(6)
    if kind == 0:
        for _ in range(source.choice([1, 4, 32])):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
    elif kind == 1:
        damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
    elif kind == 2:  # where SQLite keeps what it believes of a page
        for _ in range(source.choice([1, 2, 4])):
            damaged[min(start + source.choice([0, 100]) + source.randrange(80), len(damaged) - 1)] = source.randrange(
                256
            )
    elif kind == 3:
        stretch = source.choice([8, 64, 512, PAGE])
        damaged[start : start + stretch] = source.choice([bytes(stretch), b"\xff" * stretch, source.randbytes(stretch)])
    elif kind == 4:
        other = source.randrange(pages) * PAGE
        damaged[start : start + PAGE] = content[other : other + PAGE]
    else:  # the end of a page, where rows are
        at = start + source.randrange(PAGE // 2, PAGE)
        damaged[at : at + 4] = source.randbytes(4)
    return bytes(damaged[: len(content)])


class Questions:
    """Everything that can be asked of a gallery; the answer is true, or an error of ours in one line."""

    def __init__(self, original: Original, path: Path) -> None:
        self._original = original
        self._path = path
        self._chosen = random.Random(path.read_bytes()).sample(sorted(original.names.items()), 4)
        """Those who are asked for one by one."""
        self.complaints: list[str] = []

    def ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except GalleryError as error:
            self.complaints.append(str(error))
            return None

    def all(self) -> list[str]:
        """Asks them; what was complained of."""
        gallery = self.ask(lambda: SqliteGallery(self._path, key=self._original.key, patience=1.0))
        if gallery is not None:
            with closing(gallery):
                self._reading(gallery)
                self._writing(gallery)
        assert all(one.isprintable() for one in self.complaints)
        return self.complaints

    def _reading(self, gallery: SqliteGallery) -> None:
        truth = self._original
        for one in self.ask(gallery.subjects) or []:
            assert truth.names[one.uid] == one.name
        pictures = [faults.content_of(name) for name in truth.names.values()]
        for name, found in zip(
            truth.names.values(), self.ask(lambda: faults.nearest_names(gallery, pictures)) or (), strict=False
        ):
            assert found in (name, None)
        for uid, name in self._chosen:
            picture = faults.content_of(name)
            assert (self.ask(lambda uid=uid: gallery.names([uid])) or {}).get(uid, name) == name
            assert {one.digest for one in self.ask(lambda uid=uid: gallery.samples(uid)) or []} <= set(
                truth.digests[uid]
            )
            found = self.ask(lambda name=name: gallery.find(name))
            assert found is None or (found.uid, found.name) == (uid, name)
            known = self.ask(lambda picture=picture: gallery.known([faults.digest_of(picture)])) or {}
            assert set(known.values()) <= {name}
        for number, photo in truth.photos.items():
            assert self.ask(lambda number=number: gallery.photo(number)) in (photo, None)
        enrolled = self.ask(gallery.templates)
        if enrolled is not None:
            for row, subject in zip(enrolled.vectors, enrolled.subjects, strict=True):
                pictures = [faults.content_of(truth.names[enrolled.uids[subject]], number) for number in (0, 1)]
                assert min(abs(faults.template_of(one) - row).max() for one in pictures) < 1e-5
        for question in (gallery.info, gallery.erased, lambda: gallery.staged(faults.OTHER_SPACE), gallery.problems):
            self.ask(question)

    def _writing(self, gallery: SqliteGallery) -> None:
        new, name = faults.content_of("new picture"), PEOPLE[3]
        told = self.ask(lambda: gallery.enroll([faults.Entry(name, faults.sample_of(new))]))
        if told:
            assert [one.name for one in told] == [name]
        assert self.ask(lambda: faults.nearest_name(gallery, new)) in (name, None)
        self.ask(lambda: gallery.rename(PEOPLE[4], "somebody else"))
        assert self.ask(lambda: faults.nearest_name(gallery, faults.content_of(PEOPLE[4]))) in (
            PEOPLE[4], "somebody else", None,
        )  # fmt: skip
        self.ask(lambda: gallery.remove([PEOPLE[5]]))
        self.ask(lambda: gallery.merge(PEOPLE[6], [PEOPLE[7]]))
        for change in (gallery.renew, lambda: gallery.switch(faults.OTHER_SPACE)):
            self.ask(change)


def put(path: Path, file: bytes, log: bytes = b"") -> None:
    for old in faults.files_of(path):
        old.unlink()
    path.write_bytes(file)
    if log:
        path.with_name(path.name + "-wal").write_bytes(log)


@pytest.fixture
def path() -> Iterator[Path]:
    with faults.quick_folder() as folder:
        yield folder / "people.db"


def test_a_sound_gallery_answers_every_question(original: Original, path: Path) -> None:
    put(path, original.file, original.log)
    assert Questions(original, path).all() == []
    put(path, original.whole)
    assert Questions(original, path).all() == []


@seeds(120, 4000)
def test_with_bytes_overwritten_it_tells_what_is_true_or_that_it_is_damaged(
    original: Original, path: Path, seeds: range
) -> None:
    complaints = 0
    for seed in seeds:
        source = random.Random(seed)
        if seed % 5:
            put(path, overwrite(original.whole, source))
        else:
            put(path, original.file, overwrite(original.log, source))
        try:
            complaints += bool(Questions(original, path).all())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert complaints > len(seeds) // 4  # else nothing was damaged


@pytest.mark.parametrize("what", ["file", "log"])
def test_cut_off_anywhere_it_tells_what_is_true_or_that_it_is_damaged(
    original: Original, path: Path, what: str
) -> None:
    content = original.whole if what == "file" else original.log
    source = random.Random(1)
    lengths = [1, 16, 50, 99, 100, 101, 511, PAGE - 1, PAGE, PAGE + 1, *source.sample(range(len(content)), 12)]
    for length in lengths:
        put(path, *([content[:length]] if what == "file" else [original.file, content[:length]]))
        try:
            Questions(original, path).all()
        except BaseException as error:
            error.add_note(f"length {length}")
            raise


def test_verifying_tells_a_changed_byte_in_any_value_that_is_kept(original: Original, path: Path) -> None:
    put(path, original.whole)
    values = {
        "name": ("subjects", "name"),
        "record of a picture": ("samples", "facts"),
        "photo": ("photos", "content"),
        "template 5ace": ("templates", "vector"),
        "rotation": ("spaces", "rotation"),
    }
    with closing(SqliteGallery(path, key=original.key)) as gallery:
        for words, (table, column) in values.items():
            with gallery.database.writing() as connection:
                (row, value) = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchone()
                broken = value[:-1] + bytes([value[-1] ^ 1])
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (broken, row))
            (problem,) = gallery.problems()
            assert words in problem
            assert "was damaged" in problem
            with gallery.database.writing() as connection:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        assert gallery.problems() == []


@pytest.mark.parametrize("column", ["identity", "model", "mirror", "dimension"])
def test_the_space_cannot_be_changed_unnoticed(original: Original, path: Path, column: str) -> None:
    """Else another model would be loaded than the one that made the templates."""
    put(path, original.whole)
    with closing(SqliteGallery(path, key=original.key)) as gallery, gallery.database.writing() as connection:
        connection.execute(f"UPDATE spaces SET {column} = 0")
    with pytest.raises(GalleryCorrupt):
        SqliteGallery(path, key=original.key)


@pytest.mark.parametrize("table", ["templates", "samples", "photos", "subjects"])
def test_values_of_two_people_cannot_be_exchanged_unnoticed(original: Original, path: Path, table: str) -> None:
    put(path, original.whole)
    column = {"templates": "vector", "samples": "facts", "photos": "content", "subjects": "name"}[table]
    with closing(SqliteGallery(path, key=original.key)) as gallery:
        with gallery.database.writing() as connection:
            rows = connection.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()
            (one, first), (other, last) = rows[0], rows[-1]
            for row, value in ((one, last), (other, first)):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        assert len(gallery.problems()) == 2
        Questions(original, path).all()


def test_a_picture_given_to_another_in_the_table_is_found_for_nobody(original: Original, path: Path) -> None:
    put(path, original.whole)
    with closing(SqliteGallery(path, key=original.key)) as gallery:
        with gallery.database.writing() as connection:
            subjects = [row[0] for row in connection.execute("SELECT id FROM subjects ORDER BY id")]
            connection.execute("UPDATE samples SET subject = ? WHERE subject = ?", (subjects[-1], subjects[0]))
        with pytest.raises(GalleryCorrupt, match="template"):
            gallery.nearest(faults.template_of(faults.content_of(PEOPLE[1]))[None], 1)
        assert gallery.problems()


def test_an_index_that_leads_to_somebody_else_is_noticed(original: Original, path: Path) -> None:
    """Else a new picture of one person would be enrolled for another."""
    put(path, original.whole)
    with closing(SqliteGallery(path, key=original.key)) as gallery:
        with gallery.database.writing() as connection:
            keys = connection.execute("SELECT id, name_key FROM subjects ORDER BY id LIMIT 2").fetchall()
            digests = connection.execute(
                "SELECT id, digest FROM samples WHERE subject IN (?, ?) ORDER BY id", [row[0] for row in keys]
            ).fetchall()
            for table, column, rows in (("subjects", "name_key", keys), ("samples", "digest", digests)):
                connection.execute(f"UPDATE {table} SET {column} = x'00' WHERE id = ?", (rows[0][0],))
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (rows[0][1], rows[-1][0]))
        name = PEOPLE[1]
        for ask in (
            lambda: gallery.find(name),
            lambda: gallery.enroll(faults.entries_of(name, 3)),
            lambda: gallery.remove([name]),
            lambda: gallery.known([faults.digest_of(faults.content_of(name))]),
        ):
            with pytest.raises(GalleryCorrupt, match=r"index of (names|pictures) was damaged"):
                ask()


def test_a_damaged_gallery_is_replaced_by_a_backup_of_itself(original: Original, path: Path) -> None:
    from twinface.gallery.copies import back_up, restore

    put(path, original.whole)
    backup = path.with_name("backup.db")
    with closing(SqliteGallery(path, key=original.key)) as gallery:
        back_up(gallery, backup)
    for seed in range(8):
        source = random.Random(seed)
        shutil.copyfile(backup, path)
        content = path.read_bytes()
        put(path, overwrite(overwrite(content, source), source))
        restore(backup, path, original.key, replace=True)
        with closing(SqliteGallery(path, key=original.key)) as gallery:
            assert sorted(faults.contents(gallery)) == sorted(original.names.values())
            assert gallery.problems() == []
