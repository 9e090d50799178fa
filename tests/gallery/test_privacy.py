"""Who is removed is gone from every byte of every file; who is encrypted cannot be read; whose time is over is over."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinface.app.gallery import Gallery
from twinface.core.audit import AuditDraft
from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, now
from twinface.errors import GalleryCorrupt, GalleryLocked, WrongKey
from twinface.gallery import keys
from twinface.gallery.copies import back_up, restore
from twinface.gallery.database import Database
from twinface.gallery.keys import Key, write_key_file
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import open_vault
from twinface.services.recognition import Recognizer

_spec = spec_from_file_location("people_of_tests", Path(__file__).with_name("people_of_tests.py"))
assert _spec is not None
assert _spec.loader is not None
of: Any = module_from_spec(_spec)
sys.modules["people_of_tests"] = of  # where its dataclasses look for themselves
_spec.loader.exec_module(of)

SOURCES = Path(__file__).parents[2] / "src"
NEAR = 0.8
"""Distance that is a person's own: strangers' made-up templates are farther apart."""

MOST_OF_IT = 0.9
"""Share of a photo's bytes that can be found: it lies on several pages, and pieces across their borders cannot."""


@dataclass
class Scene:
    """A gallery with a past, open twice: who works on it, and who has searched it before and goes on doing so."""

    folder: Path
    key: Key | None
    people: dict[str, Any]
    gallery: SqliteGallery
    reader: SqliteGallery

    @property
    def sealed(self) -> bool:
        return self.key is not None

    def content(self) -> bytes:
        return of.all_bytes(self.folder)

    def some(self, count: int, *, photos: bool = False) -> list[Any]:
        """Of those left alone so far: the first came early, the last late."""
        fit = [one for one in self.people.values() if (one.samples[0].photo is not None) == photos]
        return [fit[place] for place in np.linspace(0, len(fit) - 1, count).astype(int)]

    def found(self, person: Any, by: SqliteGallery | None = None) -> list[str]:
        """Names of whom her pictures are taken for."""
        gallery = by or self.gallery
        nearest = [one[0] for one in gallery.nearest(person.vectors, 1)[0] if one and one[0].distance < NEAR]
        return [gallery.names([one.subject])[one.subject] for one in nearest]

    def gone(self, traces: list[bytes]) -> None:
        """Nothing of it is in any file: neither now, nor in a backup made now, nor when everybody has left."""
        assert of.left_of(traces, self.content()) == 0
        back_up(self.gallery, self.folder / "later.backup")
        assert of.left_of(traces, self.content()) == 0
        self.close()
        assert of.left_of(traces, self.content()) == 0
        assert sorted(path.name for path in of.files_under(self.folder)) == ["later.backup", "people.db"]

    def close(self) -> None:
        self.gallery.close()
        self.reader.close()


@pytest.fixture(scope="module", params=[None, of.KEY], ids=["plain", "encrypted"])
def past(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Key | None, Any]:
    path = tmp_path_factory.mktemp("past") / "people.db"
    return path, request.param, of.eventful(path, request.param)


@pytest.fixture
def scene(past: tuple[Path, Key | None, Any], tmp_path: Path) -> Iterator[Scene]:
    path, key, people = past
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(path, folder)
    gallery, reader = (SqliteGallery(folder / path.name, key=key) for _ in range(2))
    reader.nearest(of.Maker(9).vector()[None], 1)
    opened = Scene(folder, key, people, gallery, reader)
    yield opened
    opened.close()


@pytest.fixture(params=[None, of.KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> Key | None:
    return request.param


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that are tried at once."""
    for name, cost in (("iterations", 1), ("lanes", 1), ("memory", 8)):
        monkeypatch.setitem(keys.ARGON2, name, cost)


# the eyes: what the tests below do not find could have been found


def test_before_anything_is_removed_all_of_it_can_be_found(scene: Scene) -> None:
    (person,), (pictured,) = scene.some(1), scene.some(1, photos=True)
    rows, turned = of.rows_of(scene.gallery, person.name), of.turned_traces(scene.gallery, person)
    photos = of.rows_of(scene.gallery, pictured.name).photos
    content = scene.content()
    assert of.left_of(rows.of_herself, content) == 1
    assert of.left_of([*rows.facts, *rows.digests, *rows.vectors], content) == 1
    assert of.left_of(photos, content) > MOST_OF_IT
    readable = [person.name[:-1].encode(), *(one.source[:16].encode() for one in person.samples), *turned[::2]]
    assert of.left_of(readable, content) == (0 if scene.sealed else 1)
    assert of.left_of(of.digest_traces(person.samples)[::2], content) == (0 if scene.sealed else 1)
    taken = of.left_of(of.photo_traces(pictured.samples), content)
    assert taken == 0 if scene.sealed else taken > MOST_OF_IT


def test_templates_as_the_encoder_made_them_are_in_no_file(scene: Scene) -> None:
    everybody = np.concatenate([one.vectors for one in scene.people.values()])
    assert of.left_of(of.vector_traces(everybody), scene.content()) == 0


def test_without_a_purge_a_removal_leaves_much_and_the_next_opening_clears_it_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    victims = scene.some(6)
    rows = [one for person in victims for one in of.rows_of(scene.gallery, person.name).of_pictures]
    with monkeypatch.context() as patch:
        patch.setattr(Database, "purge", lambda self: 0)
        scene.gallery.remove([one.name for one in victims])
    assert of.left_of(rows, scene.content()) > 0.5
    SqliteGallery(scene.folder / "people.db", key=scene.key).close()
    scene.gone(rows)


def test_what_others_have_left_in_its_pages_a_removal_clears_away_too(scene: Scene) -> None:
    """As SQLite leaves it where pages are parted, or a tool that does not overwrite what it deletes."""
    victim, *others = scene.some(6)
    old = [of.rows_of(scene.gallery, one.name) for one in others]
    kept = [trace for rows in old for trace in (*rows.facts, *rows.vectors)]
    with closing(sqlite3.connect(scene.gallery.path)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executemany("DELETE FROM subjects WHERE uid = ?", [(rows.uid,) for rows in old])
    assert of.left_of(kept, scene.content()) > 0.5
    scene.gallery.remove([victim.name])
    scene.gone(kept)


# what every kind of erasure erases


def test_of_who_is_removed_nothing_is_left(scene: Scene) -> None:
    victims = [*scene.some(5), *scene.some(4, photos=True)]
    kept, forms = [], []
    for person in victims:
        kept += of.rows_of(scene.gallery, person.name).everything
        forms += [*of.text_traces(person.name), *of.content_traces(person.samples)]
        forms += of.turned_traces(scene.gallery, person)
        assert scene.found(person, scene.reader) == [person.name] * 2
    assert of.left_of(kept, scene.content()) > MOST_OF_IT
    receipts = [scene.gallery.remove([one.name]) for one in victims[:3]]
    receipts.append(scene.gallery.remove([one.name for one in victims[3:]]))
    assert [len(one.subjects) for one in receipts] == [1, 1, 1, 6]
    assert sum(one.samples for one in receipts) == 18
    assert sum(one.photos for one in receipts) == 8
    assert sum(one.keys for one in receipts) == (9 if scene.sealed else 0)
    for person in victims:
        assert scene.found(person) == scene.found(person, scene.reader) == []
    bystander = next(one for one in scene.people.values() if one not in victims)
    assert scene.found(bystander) == [bystander.name] * 2
    assert of.left_of(of.rows_of(scene.gallery, bystander.name).everything, scene.content()) == 1
    scene.gone([*kept, *forms])


def test_of_an_old_name_nothing_is_left(scene: Scene) -> None:
    person = scene.some(3)[1]
    old = of.rows_of(scene.gallery, person.name)
    traces = [*of.text_traces(person.name), old.name, old.name_key]
    assert of.left_of([old.name, old.name_key], scene.content()) == 1
    scene.gallery.rename(person.name, "Somebody Else")
    assert scene.found(person, scene.reader) == ["Somebody Else"] * 2
    assert of.left_of(old.facts, scene.content()) == 1
    scene.gone(traces)


def test_of_who_became_somebody_else_only_the_pictures_are_left(scene: Scene) -> None:
    into, *others = scene.some(4, photos=True)
    kept = []
    for person in others:
        rows = of.rows_of(scene.gallery, person.name)
        kept += [*rows.of_herself, rows.uid]
        kept += rows.of_pictures[2:] if scene.sealed else []  # all is sealed under another key now
    assert of.left_of(kept, scene.content()) > MOST_OF_IT
    scene.gallery.merge(into.name, [one.name for one in others])
    for person in (into, *others):
        assert scene.found(person) == scene.found(person, scene.reader) == [into.name] * 2
    scene.gone([*kept, *of.text_traces(*(one.name for one in others))])


def test_of_a_removed_picture_nothing_is_left(scene: Scene) -> None:
    person = scene.some(3, photos=True)[1]
    gone, stays = (replace(person, samples=(one,)) for one in person.samples)
    rows, turned = of.rows_of(scene.gallery, person.name), of.turned_traces(scene.gallery, gone)
    numbers = {one.digest: one.number for one in scene.gallery.samples(rows.uid.hex())}
    place = list(numbers).index(gone.samples[0].digest)
    kept = [column[place] for column in (rows.digests, rows.facts, rows.photos, rows.vectors)]
    assert of.left_of(kept, scene.content()) > MOST_OF_IT
    assert scene.found(gone, scene.reader) == [person.name]
    receipt = scene.gallery.remove_samples([numbers[gone.samples[0].digest]])
    assert (receipt.subjects, receipt.samples, receipt.photos, receipt.keys) == ((), 1, 1, 0)
    assert scene.found(gone) == scene.found(gone, scene.reader) == []
    assert scene.found(stays) == scene.found(stays, scene.reader) == [person.name]
    scene.gone([*kept, *turned, *of.content_traces(gone.samples)])


def test_with_the_last_picture_removed_its_person_goes_too(scene: Scene) -> None:
    person = scene.some(1)[0]
    rows = of.rows_of(scene.gallery, person.name)
    assert of.left_of(rows.everything, scene.content()) == 1
    receipt = scene.gallery.remove_samples([one.number for one in scene.gallery.samples(rows.uid.hex())])
    assert (receipt.subjects, receipt.samples) == ((rows.uid.hex(),), 2)
    scene.gone([*rows.everything, *of.text_traces(person.name)])


def test_of_whose_time_is_over_nothing_is_left(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    people = scene.some(3)
    rows = [of.rows_of(scene.gallery, one.name) for one in people]
    kept = [trace for one in rows for trace in one.everything]
    for person in people:
        scene.gallery.set_expiry(person.name, now() + timedelta(days=30))
    assert scene.gallery.expire() is None
    assert of.left_of(kept, scene.content()) == 1
    later(monkeypatch, days=31)
    receipt = scene.gallery.expire()
    assert receipt is not None
    assert sorted(receipt.subjects) == sorted(one.uid.hex() for one in rows)
    scene.gone([*kept, *of.text_traces(*(one.name for one in people))])


def test_of_the_old_models_templates_nothing_is_left(scene: Scene) -> None:
    people, maker = scene.some(5), of.Maker(4)
    old, turned = old_templates(scene, people)
    numbers = scene.gallery.templates().samples.tolist()
    fresh = {number: maker.vector(of.OTHER_SPACE.dimension) for number in numbers}
    scene.gallery.stage(of.OTHER_SPACE, fresh)
    assert scene.found(people[0], scene.reader) == [people[0].name] * 2
    assert of.left_of(old, scene.content()) > MOST_OF_IT
    scene.gallery.switch(of.OTHER_SPACE)
    probe = next(iter(fresh.values()))[None]
    assert scene.gallery.nearest(probe, 1)[0][0][0].distance < NEAR
    assert scene.reader.nearest(probe, 1) == scene.gallery.nearest(probe, 1)
    scene.gone([*old, *turned])


def test_of_templates_turned_before_a_renewal_nothing_is_left(scene: Scene) -> None:
    people = scene.some(5)
    old, turned = old_templates(scene, people)
    assert of.left_of(old, scene.content()) > MOST_OF_IT
    scene.gallery.renew()
    for person in people:
        assert scene.found(person) == scene.found(person, scene.reader) == [person.name] * 2
    scene.gone([*old, *turned])


def old_templates(scene: Scene, people: list[Any]) -> tuple[list[bytes], list[bytes]]:
    """People's templates and the secret matrix, as they lie in the file; and in the clear."""
    kept = [vector for one in people for vector in of.rows_of(scene.gallery, one.name).vectors]
    kept.append(query(scene.gallery.path, "SELECT rotation FROM spaces")[0][0])
    turned = [one for person in people for one in of.turned_traces(scene.gallery, person)]
    return kept, [*turned, rotation_of(scene.gallery)]


def test_of_who_came_after_a_backup_nothing_is_left_when_it_is_restored(scene: Scene) -> None:
    backup, late = scene.folder.parent / "before.backup", of.Maker(5).person(2, photos=True)
    back_up(scene.gallery, backup)
    scene.gallery.enroll(late.entries())
    kept = of.rows_of(scene.gallery, late.name).everything
    assert of.left_of(kept, scene.content()) > MOST_OF_IT
    assert scene.found(late, scene.reader) == [late.name] * 2
    restore(backup, scene.folder / "people.db", scene.key, replace=True)
    assert scene.found(late, scene.reader) == []
    scene.gone([*kept, *of.text_traces(late.name), *of.content_traces(late.samples)])


def test_a_restored_backup_forgets_again_whom_the_gallery_has_removed(scene: Scene) -> None:
    backup = scene.folder.parent / "before.backup"
    back_up(scene.gallery, backup)
    person = scene.some(3, photos=True)[1]
    kept = of.rows_of(scene.gallery, person.name).everything
    scene.gallery.remove([person.name])
    assert of.left_of(kept, backup.read_bytes()) > MOST_OF_IT
    again = restore(backup, scene.folder / "people.db", scene.key, replace=True).again
    assert again == 1
    assert scene.found(person, scene.reader) == []
    scene.gone([*kept, *of.text_traces(person.name), *of.content_traces(person.samples)])


def test_a_second_restored_backup_forgets_again_too(tmp_path: Path, key: Key | None) -> None:
    path, early, late = (tmp_path / name for name in ("people.db", "early", "late"))
    ada, bob = of.Maker(6).person(), of.Maker(7).person()
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll(bob.entries())
        back_up(gallery, early)
        gallery.enroll(ada.entries())
        back_up(gallery, late)
        gallery.remove([ada.name])
    restore(early, path, key, replace=True)
    again = restore(late, path, key, replace=True).again
    assert again == 1


def test_a_removal_that_somebody_holds_up_says_so_and_is_finished_when_he_has_gone(
    tmp_path: Path, key: Key | None
) -> None:
    path, person = tmp_path / "people.db", of.Maker(3).person(2)
    with closing(SqliteGallery(path, key=key, create=of.SPACE, patience=0.1)) as gallery:
        gallery.enroll([*of.Maker(2).person().entries(), *person.entries()])
        rows = of.rows_of(gallery, person.name)
        with closing(SqliteGallery(path, key=key)) as slow, slow.database.reading() as connection:
            connection.execute("SELECT count(*) FROM subjects").fetchone()
            with pytest.raises(
                GalleryLocked, match=r"bytes of it may be left in the file.*another process still reads"
            ):
                gallery.remove([person.name])
            assert gallery.nearest(person.vectors, 9)[1] == 1
            assert of.left_of(rows.everything, of.all_bytes(tmp_path)) == 1
    SqliteGallery(path, key=key).close()
    assert of.left_of(rows.everything, of.all_bytes(tmp_path)) == 0


def test_copies_that_nobody_finished_go_with_the_next_removal(scene: Scene) -> None:
    """As a backup leaves them whose process was killed. One that was written a moment ago is somebody's work."""
    person = scene.some(3)[1]
    kept = of.rows_of(scene.gallery, person.name).everything
    back_up(scene.gallery, scene.folder / "whole")
    old = [scene.folder / f".twinface-{number:032x}.part{end}" for number, end in enumerate(("", "-wal", "-journal"))]
    young, other = scene.folder / f".twinface-{9:032x}.part", scene.folder / ".twinface-notes.part"
    for path in (*old, young, other):
        shutil.copy(scene.folder / "whole", path)
    for path in (*old, other):
        os.utime(path, (time.time() - 4000, time.time() - 4000))
    (scene.folder / "whole").unlink()
    scene.gallery.remove([person.name])
    left = {path.name for path in of.files_under(scene.folder)}
    assert left == {"people.db", "people.db-wal", "people.db-shm", young.name, other.name}
    young.unlink()
    other.unlink()
    scene.gone(kept)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files as Linux shows them")
def test_no_copy_of_it_passes_through_temporary_files(scene: Scene) -> None:
    seen: set[str] = set()

    def look() -> None:
        for one in Path("/proc/self/fd").iterdir():
            try:
                seen.add(str(one.readlink()))
            except OSError:  # closed meanwhile
                continue

    person = scene.some(1)[0]
    before = {str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}
    with scene.gallery.database.reading() as connection:
        connection.execute("PRAGMA cache_size = 10")  # what is rebuilt does not fit into memory it already has
        connection.set_progress_handler(look, 500)
    scene.gallery.remove([person.name])
    back_up(scene.gallery, scene.folder / "a.backup")
    opened = {one for one in seen - before if one.startswith("/") and not one.startswith(("/proc/", "/dev/"))}
    assert any(one.endswith("people.db") for one in seen)
    assert {one for one in opened if not one.startswith(str(scene.folder))} == set()


def thumbnails_of(scene: Scene, people: list[Any]) -> tuple[list[bytes], list[bytes]]:
    """Writes requests of people into the audit log, with thumbnails: these, and what lies of them in the file.

    Of readable ones the tags alone: beside the pictures they hold uids, which stay.
    """
    maker, pictures = of.Maker(8), []
    for person in people:
        subjects = () if person is None else (scene.gallery.find(person.name).uid,)
        pictures.append(maker.random.bytes(6000))
        scene.gallery.audit.append(AuditDraft(at=now(), kind="request", subjects=subjects), pictures[-1])
    rows = query(scene.gallery.path, "SELECT content FROM audit_thumbnails ORDER BY number")
    return pictures, [content if scene.sealed else content[: of.TAG] for (content,) in rows]


def test_of_who_is_removed_no_thumbnail_is_left_beside_the_audit_log_which_stays_sound(scene: Scene) -> None:
    victim, pictured, bystander = *scene.some(1), *scene.some(1, photos=True), scene.some(3)[1]
    pictures, kept = thumbnails_of(scene, [victim, bystander, pictured, None])
    rows = [trace for person in (victim, pictured) for trace in of.rows_of(scene.gallery, person.name).everything]
    assert of.left_of([*kept, *rows], scene.content()) > MOST_OF_IT
    assert (of.left_of(pictures, scene.content()) > MOST_OF_IT) != scene.sealed
    records = list(scene.gallery.audit.records())
    scene.gallery.remove([victim.name, pictured.name])
    assert list(scene.reader.audit.records()) == records
    assert scene.reader.audit.problems() == []
    assert [scene.reader.audit.thumbnail(number) for number in (1, 2, 3, 4)] == [None, pictures[1], None, pictures[3]]
    names = of.text_traces(victim.name, pictured.name)
    scene.gone([*rows, *names, pictures[0], pictures[2], kept[0], kept[2]])


def test_of_thumbnails_whose_time_is_over_nothing_is_left(scene: Scene) -> None:
    pictures, kept = thumbnails_of(scene, [scene.some(1)[0], None])
    assert of.left_of(kept, scene.content()) > MOST_OF_IT
    assert scene.gallery.audit.expire_thumbnails(now() + timedelta(seconds=1)) == 2
    assert scene.reader.audit.problems() == []
    scene.gone([*pictures, *kept])


def test_in_the_audit_log_of_an_encrypted_gallery_it_cannot_be_read_who_asked(scene: Scene) -> None:
    person = scene.some(1)[0]
    uid = scene.gallery.find(person.name).uid
    scene.gallery.audit.append(AuditDraft(at=now(), kind="request", place="the vault below", subjects=(uid,)))
    traces = [uid.encode(), b"the vault below"]
    assert of.left_of(traces, scene.content()) == (0 if scene.sealed else 1)


# who has the gallery open


class Memory:
    """The matrices that a searcher has in memory, or had when this was made; and how often somebody is in them."""

    def __init__(self, gallery: SqliteGallery, person: Any) -> None:
        space = gallery._index.space
        assert space is not None
        self._gallery = gallery
        self._rows = space.turned(np.concatenate([person.vectors, normalise(person.vectors.sum(axis=0))[None]]))
        self._before = self._matrices()

    def _matrices(self) -> list[np.ndarray]:
        index = self._gallery._index._index
        return [index._templates._vectors, index._means._vectors]

    def count(self) -> int:
        matrices = {id(one): one for one in [*self._before, *self._matrices()]}.values()
        alike = [one for one in matrices if one.shape[1] == self._rows.shape[1]]
        return sum(int((np.abs(one[:, None] - self._rows).max(axis=2) < 1e-5).sum()) for one in alike)


def test_a_searchers_memory_lets_go_of_who_was_removed(scene: Scene) -> None:
    """Of her two templates, and of the mean of them that a search uses; wherever in it they are."""
    last = of.Maker(5).person(2)
    scene.gallery.enroll(last.entries())
    for person in (last, *scene.some(2)):
        scene.found(person, scene.reader)
        memory = Memory(scene.reader, person)
        assert memory.count() == 3
        scene.gallery.remove([person.name])
        assert scene.found(person, scene.reader) == []
        assert memory.count() == 0


@pytest.mark.parametrize("change", ["merge", "renew", "switch", "expire", "remove a picture"])
def test_a_searchers_memory_lets_go_of_what_has_changed(
    scene: Scene, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, person = scene.some(3)[:2]
    scene.found(person, scene.reader)
    memory = Memory(scene.reader, person)
    assert memory.count() == 3
    stays = 0
    if change == "expire":
        scene.gallery.set_expiry(person.name, now() + timedelta(days=1))
        later(monkeypatch, days=2)
    elif change == "merge":
        scene.gallery.merge(person.name, [other.name])
        stays = 2  # the templates; the mean is another
    elif change == "remove a picture":
        scene.gallery.remove_samples([scene.gallery.samples(scene.gallery.find(person.name).uid)[0].number])
        stays = 1
    elif change == "switch":
        numbers = scene.gallery.templates().samples.tolist()
        scene.gallery.stage(of.OTHER_SPACE, {one: of.Maker(one).vector(96) for one in numbers})
        scene.gallery.switch(of.OTHER_SPACE)
    else:
        scene.gallery.renew()
    scene.reader.nearest(of.Maker(9).vector(96 if change == "switch" else None)[None], 1)
    assert memory.count() == stays


SEARCHER = """
import json, sys
from pathlib import Path
import numpy as np
from twinface.gallery.sqlite import SqliteGallery

gallery, probe = SqliteGallery(Path(sys.argv[1])), np.load(sys.argv[2])
matrices = []
for _ in sys.stdin:
    found, compared = gallery.nearest(probe, 1)
    matrices.append(gallery._index._index._templates._vectors)
    turned = gallery._index.space.turned(probe)
    held = sum(int((matrix == turned).all(axis=1).sum()) for matrix in matrices)
    print(json.dumps([gallery.names([found[0][0].subject]), found[0][0].distance, compared, held]), flush=True)
"""


def test_another_process_that_searched_before_does_not_find_her_any_more(tmp_path: Path) -> None:
    path, probe = tmp_path / "people.db", tmp_path / "probe.npy"
    ada, bob = of.Maker(1).person(), of.Maker(2).person()
    np.save(probe, ada.vectors)
    with closing(SqliteGallery(path, create=of.SPACE)) as gallery:
        gallery.enroll([*ada.entries(), *bob.entries()])
        with subprocess.Popen(
            [sys.executable, "-c", SEARCHER, str(path), str(probe)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"},
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None

            def answer() -> Any:
                process.stdin.write("\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())

            names, distance, compared, held = answer()
            assert list(names.values()) == [ada.name]
            assert (distance < 1e-6, compared, held) == (True, 2, 1)
            gallery.remove([ada.name])
            names, distance, compared, held = answer()
            assert list(names.values()) == [bob.name]
            assert (distance > 0.5, compared, held) == (True, 1, 0)
            assert of.left_of(of.text_traces(ada.name), of.all_bytes(tmp_path, probe)) == 0
            process.stdin.close()
            assert process.wait(60) == 0


# through the command line, with real pictures


NAME = "Zaphodine Quillfeather"


@pytest.fixture
def house(tmp_path: Path, scrubbed: pytest.MonkeyPatch) -> Path:
    """Where all that TwinFace could write down is under one folder."""
    folder = tmp_path / "house"
    for name in ("home", "cache", "temporary", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "pictures" / "of-the-holidays").mkdir(parents=True)
    scrubbed.setenv("HOME", str(folder / "home"))
    scrubbed.setenv("TWINFACE_CACHE", str(folder / "cache"))
    scrubbed.setenv("TWINFACE_DATA", str(folder / "data"))
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        scrubbed.setenv(name, str(folder / "temporary"))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        scrubbed.delenv(name, raising=False)
    scrubbed.chdir(folder)
    return folder


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_enrolled_found_and_removed_by_commands_she_has_left_no_trace(
    house: Path, cli: Callable[..., Any], examples: Path, recognizer: Recognizer, encrypted: bool
) -> None:
    picture, again = house / "pictures" / "of-the-holidays" / "of-the-garden-party.jpg", house / "pictures" / "2.jpg"
    shutil.copy(examples / "hopper.jpg", picture)
    shutil.copy(examples / "hopper_reshoot.jpg", again)
    shutil.copy(examples / "collins.jpg", house / "pictures" / "3.jpg")
    lock: tuple[str | Path, ...] = ()
    if encrypted:
        assert cli("gallery", "keygen", house / "pictures" / "key").status == 0
        lock = ("--key-file", house / "pictures" / "key")
    new = ("--encrypt",) if encrypted else ()
    assert cli("enroll", "--name", NAME, "--keep-photos", *new, *lock, picture).status == 0
    assert cli("enroll", "--name", "Bob", *lock, house / "pictures" / "3.jpg").status == 0
    found = cli("identify", *lock, "--json", again)
    assert (found.status, json.loads(found.out)["faces"][0]["subject"]) == (0, NAME)
    (face,) = recognizer.encode(recognizer.locate(picture).faces[:1])
    assert face.template is not None
    path = house / "data" / "people.db"
    with closing(SqliteGallery(path, key=Key.from_file(Path(lock[1])) if encrypted else None)) as gallery:
        rows = of.rows_of(gallery, NAME)
        plain = of.vector_traces(face.template.vector[None])
        uid = gallery.find(NAME).uid
        turned = [gallery._vault.locker(rows.uid, rows.key).open(one, _context(gallery)) for one in rows.vectors]
    words = (NAME, NAME.casefold(), picture.parent.name)
    texts = [word.encode(code) for word in words for code in ("utf-8", "utf-16-le", "utf-16-be")]
    photo = picture.read_bytes()
    traces = [*texts, *plain, *turned, photo, *rows.everything]
    before = of.all_bytes(house, house / "pictures")
    assert of.left_of([*rows.of_herself, *rows.facts, *rows.vectors], before) == 1
    for readable in ([NAME.encode()], [picture.name.encode()], turned):
        assert of.left_of(readable, before) == (0 if encrypted else 1)
    assert of.left_of([photo], before) == 0 if encrypted else of.left_of([photo], before) > MOST_OF_IT
    removed = cli("people", "remove", NAME, *lock)
    assert removed.status == 0
    assert "ERASURE RECEIPT" in removed.out
    assert uid in removed.out
    after = of.all_bytes(house, house / "pictures")
    assert of.left_of(traces, after) == 0
    assert bytes.fromhex(uid) in after  # this and the time are kept, so that a restored backup forgets her again
    assert [str(one) for one in of.files_under(house, house / "pictures")] == [str(path)]
    unknown = cli("identify", *lock, "--json", again)
    assert (unknown.status, json.loads(unknown.out)["faces"][0]["subject"]) == (1, None)


def _context(gallery: SqliteGallery) -> bytes:
    from twinface.gallery.records import template_context

    return template_context(gallery.info().space.identity)


def test_a_photo_is_not_kept_unless_that_is_asked_for(house: Path, cli: Callable[..., Any], examples: Path) -> None:
    asked, unasked = house / "asked.db", house / "unasked.db"
    assert cli("enroll", "--name", "Ada", "--gallery", unasked, examples / "hopper.jpg").status == 0
    assert cli("enroll", "--name", "Ada", "--gallery", asked, "--keep-photos", examples / "hopper.jpg").status == 0
    photo = [(examples / "hopper.jpg").read_bytes()]
    assert of.left_of(photo, asked.read_bytes()) > MOST_OF_IT
    assert of.left_of(photo, of.all_bytes(house, asked)) == 0
    shown_person = json.loads(cli("people", "show", "Ada", "--gallery", unasked, "--json").out)
    assert shown_person["photos"] == 0


# encryption


def test_in_an_encrypted_gallery_nothing_can_be_read_at_any_time(tmp_path: Path, key: Key | None) -> None:
    """The same is done to one that is not encrypted, where all of it can be read."""
    maker = of.Maker(11)
    people = [maker.person(2, photos=True) for _ in range(12)]
    words = [b'"source"', b'"digest"', b'"quality"', b'"sharpness"', b'"reasons"', b"blurred"]
    texts = [one.name[:-1].encode() for one in people]
    texts += [sample.source[:14].encode() for one in people for sample in one.samples]
    samples = [sample for one in people for sample in one.samples]
    secret = [*texts, *of.digest_traces(samples), *of.photo_traces(samples)]
    secret += of.vector_traces(np.concatenate([one.vectors for one in people]))
    seen: dict[str, list[int]] = {}
    share: dict[str, float] = {}
    with closing(SqliteGallery(tmp_path / "people.db", key=key, create=of.SPACE)) as gallery:

        def look(when: str) -> None:
            content = of.all_bytes(tmp_path)
            seen[when] = [content.count(word) for word in [*words, *texts]]
            turned = [trace for one in people for trace in of.turned_traces(gallery, one)]
            share[when] = of.left_of([*secret, *turned], content)

        for person in people:
            gallery.enroll(person.entries())
        look("enrolled")
        gallery.rename(people[0].name, "Somebody Else")
        gallery.merge(people[1].name, [people[2].name])
        look("merged")
        gallery.renew()
        look("renewed")
        back_up(gallery, tmp_path / "a.backup")
        look("backed up")
        gallery.stage(of.OTHER_SPACE, {one: maker.vector(96) for one in gallery.templates().samples.tolist()})
        look("staged")
        gallery.remove([people[3].name])
        look("removed")
        rotation = rotation_of(gallery)
        with gallery.database.reading() as connection:
            sealed = bytes(connection.execute("SELECT rotation FROM spaces").fetchone()[0])
        assert (rotation in sealed) == (key is None)
    if key is None:
        assert all(count > 0 for count in seen["enrolled"])
        assert all(one > 0.2 for one in share.values())
    else:
        assert {when: sum(counts) for when, counts in seen.items()} == dict.fromkeys(seen, 0)
        assert share == dict.fromkeys(seen, 0)


WRONG = [
    None,
    Key("key file", bytes(32)),
    Key("key file", of.KEY.secret[:-1] + b"\0"),
    Key.from_passphrase("a passphrase"),
    Key("passphrase", of.KEY.secret),
]


@pytest.mark.parametrize("wrong", WRONG, ids=["none", "another", "one bit off", "a passphrase", "its bytes typed"])
def test_a_wrong_key_opens_nothing_and_changes_no_byte(tmp_path: Path, wrong: Key | None) -> None:
    path = tmp_path / "people.db"
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll(of.Maker(1).person().entries())
        back_up(gallery, tmp_path / "backup")
    before = of.states(tmp_path)
    assert len(before) == 2
    for one in (path, tmp_path / "backup"):
        with pytest.raises(WrongKey):
            SqliteGallery(one, key=wrong)
        assert of.states(tmp_path) == before
    with pytest.raises(WrongKey):
        SqliteGallery(path, key=wrong, read_only=True)
    left = {name: digest for name, digest in of.states(tmp_path).items() if before.get(name) != digest}
    assert {Path(name).name for name in left} <= {"people.db-shm", "people.db-wal"}  # SQLite leaves them to writers
    assert not any(Path(name).stat().st_size for name in left if name.endswith("-wal"))


def test_a_wrong_key_changes_nothing_for_those_who_have_the_gallery_open(tmp_path: Path) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person()
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
        before = of.states(tmp_path)
        for wrong in WRONG[:3]:
            with pytest.raises(WrongKey):
                SqliteGallery(path, key=wrong)
        changed = {name for name, digest in of.states(tmp_path).items() if before.get(name) != digest}
        assert {Path(one).name for one in changed} <= {"people.db-shm"}  # locks and counters, no content
        assert gallery.subjects()[0].name == person.name


def test_a_wrong_passphrase_opens_nothing_and_changes_no_byte(tmp_path: Path, cheap: None) -> None:
    path = tmp_path / "people.db"
    SqliteGallery(path, key=Key.from_passphrase("correct horse"), create=of.SPACE).close()
    before = of.states(tmp_path)
    for wrong in (None, of.KEY, *map(Key.from_passphrase, ("correct horsf", "Correct horse", "correct horse ", "x"))):
        with pytest.raises(WrongKey):
            SqliteGallery(path, key=wrong)
        assert of.states(tmp_path) == before
    SqliteGallery(path, key=Key.from_passphrase("correct horse")).close()


def test_a_key_given_for_a_gallery_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    """Else who swaps the file for one of his own is given the pictures in the clear, unnoticed."""
    path = tmp_path / "people.db"
    SqliteGallery(path, create=of.SPACE).close()
    before = of.states(tmp_path)
    with pytest.raises(WrongKey, match="not encrypted"):
        SqliteGallery(path, key=of.KEY)
    assert of.states(tmp_path) == before


def test_two_galleries_of_one_key_share_nothing(tmp_path: Path) -> None:
    person, kept = of.Maker(1).person(2), []
    for name in ("a", "b"):
        with closing(SqliteGallery(tmp_path / name, key=of.KEY, create=of.SPACE)) as gallery:
            gallery.enroll(person.entries())
            rows = of.rows_of(gallery, person.name)
            kept.append([*rows.everything, rows.uid])
            assert len(set(rows.facts)) == len(set(rows.vectors)) == 2
    assert of.left_of(kept[0], (tmp_path / "b").read_bytes()) == 0
    vaults = [query(tmp_path / name, "SELECT vault FROM gallery")[0][0] for name in ("a", "b")]
    with closing(sqlite3.connect(tmp_path / "a")) as connection, connection:
        connection.execute("UPDATE gallery SET vault = ?", (vaults[1],))
    with pytest.raises(GalleryCorrupt):
        SqliteGallery(tmp_path / "a", key=of.KEY)


@pytest.mark.parametrize("key", [None, of.KEY], ids=["plain", "encrypted"])
def test_names_and_pictures_are_looked_up_by_what_differs_between_galleries(tmp_path: Path, key: Key | None) -> None:
    person, found = of.Maker(1).person(), []
    for name in ("a", "b"):
        with closing(SqliteGallery(tmp_path / name, key=key, create=of.SPACE)) as gallery:
            gallery.enroll(person.entries())
            assert gallery.find(person.name.swapcase()).name == person.name
            rows = of.rows_of(gallery, person.name)
            found += [rows.name_key, *rows.digests]
    assert len(set(found)) == 4
    assert {len(one) for one in found} == {32}


def test_with_her_row_goes_what_opens_anything_kept_of_her(tmp_path: Path) -> None:
    """Somebody copies her sealed values, but for the key, and has the gallery and its key file later."""
    path, maker = tmp_path / "people.db", of.Maker(1)
    ada, bob = maker.person(1, photos=True), maker.person(1)
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll([*ada.entries(), *bob.entries()])
        stolen = of.rows_of(gallery, ada.name)
        sealed = [(stolen.name, b"name"), (stolen.facts[0], b"record of a picture"), (stolen.photos[0], b"photo")]
        sealed.append((stolen.vectors[0], _context(gallery)))
        hers = gallery._vault.locker(stolen.uid, stolen.key)
        assert hers.open(*sealed[0]).decode() == ada.name
        assert gallery.remove([ada.name]).keys == 1
    ((vault,),) = query(path, "SELECT vault FROM gallery")
    opened = open_vault(vault, of.KEY)
    wrapped = [one for (one,) in query(path, "SELECT key FROM subjects")]
    assert len(wrapped) == 1
    assert stolen.key is not None
    assert stolen.key not in of.all_bytes(tmp_path)
    for value, context in sealed:
        for uid in (stolen.uid, query(path, "SELECT uid FROM subjects")[0][0]):
            for key in (*wrapped, None):
                with pytest.raises(GalleryCorrupt):
                    opened.locker(uid, key).open(value, context)
        with pytest.raises(GalleryCorrupt):
            opened.common.open(value, context)


READERS: dict[str, Callable[[SqliteGallery, list[str]], object]] = {
    "subjects.name": lambda gallery, uids: gallery.subjects(),
    "subjects.key": lambda gallery, uids: gallery.subjects(),
    "samples.facts": lambda gallery, uids: gallery.samples(uids[0]),
    "photos.content": lambda gallery, uids: gallery.photo(1),
    "templates.vector": lambda gallery, uids: gallery.nearest(of.Maker(9).vector()[None], 1),
}
"""What reads each column."""

COLUMNS = [(column, key) for column in READERS for key in (None, of.KEY) if key or column != "subjects.key"]
NAMES = [f"{column}, {'encrypted' if key else 'plain'}" for column, key in COLUMNS]


@pytest.mark.parametrize("how", ["swapped", "copied"])
@pytest.mark.parametrize(("column", "key"), COLUMNS, ids=NAMES)
def test_what_is_kept_of_one_does_not_open_in_anothers_place(
    tmp_path: Path, column: str, how: str, key: Key | None
) -> None:
    path, maker = tmp_path / "people.db", of.Maker(1)
    people = [maker.person(1, photos=True) for _ in range(2)]
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll([entry for one in people for entry in one.entries()])
        uids = [gallery.find(one.name).uid for one in people]
    table, name = column.split(".")
    number = "sample" if table == "photos" else "id"
    with closing(sqlite3.connect(path)) as connection, connection:
        (one,), (other,) = connection.execute(f"SELECT {name} FROM {table} ORDER BY {number}").fetchall()
        connection.execute(f"UPDATE {table} SET {name} = ? WHERE {number} = 1", (other,))
        if how == "swapped":
            connection.execute(f"UPDATE {table} SET {name} = ? WHERE {number} = 2", (one,))
    with closing(SqliteGallery(path, key=key)) as gallery:
        with pytest.raises(GalleryCorrupt, match="was damaged"):
            READERS[column](gallery, uids)
        assert gallery.problems()


@pytest.mark.parametrize("kind", ["TEXT", "INTEGER"])
@pytest.mark.parametrize(("column", "key"), COLUMNS, ids=NAMES)
def test_a_value_that_damage_has_made_text_or_a_number_is_told_as_damage(
    tmp_path: Path, column: str, kind: str, key: Key | None
) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person(1, photos=True)
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
        uids = [gallery.find(person.name).uid]
    table, name = column.split(".")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {name} = CAST({name} AS {kind})")
    with closing(SqliteGallery(path, key=key)) as gallery, pytest.raises(GalleryCorrupt):
        READERS[column](gallery, uids)


def test_pictures_given_to_another_person_do_not_open(tmp_path: Path, key: Key | None) -> None:
    path, maker = tmp_path / "people.db", of.Maker(1)
    people = [maker.person() for _ in range(2)]
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll([entry for one in people for entry in one.entries()])
        uids = [gallery.find(one.name).uid for one in people]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE samples SET subject = 3 - subject")
    with closing(SqliteGallery(path, key=key)) as gallery:
        for read in (READERS["samples.facts"], READERS["templates.vector"]):
            with pytest.raises(GalleryCorrupt):
                read(gallery, uids)


@pytest.mark.parametrize("change", ["model = '/tmp/other.json'", "mirror = 0", "identity = 'other'", "dimension = 32"])
def test_a_gallery_does_not_open_with_another_model_put_into_it(tmp_path: Path, change: str, key: Key | None) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person()
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE spaces SET {change}")
    with pytest.raises(GalleryCorrupt):
        SqliteGallery(path, key=key)


def test_a_template_of_one_model_does_not_open_as_one_of_another(tmp_path: Path, key: Key | None) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person()
    twin = replace(of.OTHER_SPACE, dimension=of.DIMENSION)
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
        gallery.stage(twin, {1: person.vectors[0]})
        with gallery.database.writing() as connection:
            connection.execute("DELETE FROM templates WHERE space = 2")
            connection.execute("UPDATE templates SET space = 2")
    with closing(SqliteGallery(path, key=key)) as gallery, pytest.raises(GalleryCorrupt):
        gallery.staged(twin)


@pytest.mark.skipif(os.name != "posix", reason="has no such permissions")
def test_files_are_their_owners_alone_whatever_the_user_allows(tmp_path: Path, key: Key | None) -> None:
    modes: dict[str, int] = {}

    def look() -> None:
        for path in of.files_under(tmp_path):
            modes[path.name] = modes.get(path.name, 0) | stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0)
    try:
        write_key_file(tmp_path / "a.key")
        with closing(SqliteGallery(tmp_path / "a.db", key=key, create=of.SPACE)) as gallery:
            gallery.enroll([entry for one in range(20) for entry in of.Maker(one).person().entries()])
            with gallery.database.reading() as connection:
                connection.set_progress_handler(look, 10)  # also while the copy is written
            back_up(gallery, tmp_path / "backup")
            look()
    finally:
        os.umask(before)
    assert {"a.key", "a.db", "a.db-wal", "a.db-shm", "backup"} < modes.keys()
    assert any(name.endswith(".part") for name in modes)
    assert modes == dict.fromkeys(modes, 0o600)


def test_a_gallery_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    SqliteGallery(path, create=of.SPACE).close()
    path.chmod(0o644)
    with closing(SqliteGallery(path, read_only=True)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_command_prints_a_secret(
    house: Path, cli: Callable[..., Any], examples: Path, scrubbed: pytest.MonkeyPatch, cheap: None
) -> None:
    typed, file, wrong = "correct horse battery", house / "a.key", house / "wrong.key"
    picture = examples / "hopper.jpg"
    printed: list[Any] = [cli("gallery", "keygen", file), cli("gallery", "keygen", wrong)]
    in_file = [base64.b64decode(one.read_text().split()[1]) for one in (file, wrong)]
    printed.append(cli("enroll", "--name", "Ada", "-g", "by-file.db", "--encrypt", "--key-file", file, picture))
    scrubbed.setenv("TWINFACE_PASSPHRASE", typed)
    printed.append(cli("enroll", "--name", "Ada", "-g", "typed.db", "--encrypt", picture))
    assert [one.status for one in printed] == [0, 0, 0, 0]
    refused = [cli("--debug", "people", "list", "-g", "by-file.db")]
    refused.append(cli("--debug", "gallery", "info", "-g", "by-file.db", "--key-file", wrong))
    scrubbed.setenv("TWINFACE_PASSPHRASE", typed + "!")
    refused.append(cli("--debug", "people", "list", "-g", "typed.db"))
    file.write_text(file.read_text()[:-3])
    refused.append(cli("--debug", "people", "list", "-g", "by-file.db", "--key-file", file))
    assert [one.status for one in refused] == [2, 2, 2, 2]
    assert all("Traceback" in one.err for one in refused)
    said = "\n".join(one.out + one.err for one in [*printed, *refused])
    assert typed not in said
    for secret in in_file:
        for form in (base64.b64encode(secret).decode()[:-2], secret.hex(), repr(secret)[2:-1]):
            assert form not in said


# what renaming and encryption do not do: known limits, so that nobody relies on what is not there


def test_known_limit_a_picture_that_is_named_after_her_keeps_that_when_she_is_renamed(tmp_path: Path) -> None:
    maker = of.Maker(8)
    name, sample = maker.name(), maker.sample()
    with closing(SqliteGallery(tmp_path / "people.db", create=of.SPACE)) as gallery:
        gallery.enroll([Entry(name, replace(sample, source=f"{name}_1.jpg"))])
        gallery.rename(name, "Somebody Else")
        assert of.left_of(of.text_traces(name)[:1], of.all_bytes(tmp_path)) == 1
        gallery.remove(["Somebody Else"])
    assert of.left_of(of.text_traces(name), of.all_bytes(tmp_path)) == 0


def test_known_limit_without_the_key_one_sees_how_many_people_there_are_since_when_and_of_which_model(
    tmp_path: Path,
) -> None:
    path = tmp_path / "people.db"
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll(of.Maker(1).person(3).entries(expires=now() + timedelta(days=9)))
        person = gallery.subjects()[0]
    assert query(path, "SELECT uid, expires FROM subjects") == [
        (bytes.fromhex(person.uid), int(person.expires.timestamp()))  # type: ignore[union-attr]
    ]
    assert query(path, "SELECT subject, count(*) FROM samples GROUP BY subject") == [(1, 3)]
    assert query(path, "SELECT identity, model FROM spaces") == [(of.SPACE.identity, of.SPACE.model)]
    ((length,),) = query(path, "SELECT length(name) FROM subjects")
    assert length == len(person.name.encode()) + 28


def test_known_limit_who_may_write_the_file_can_put_back_what_was_there_before(tmp_path: Path) -> None:
    """As with any encryption of a file: an older state is whole, too. Who was removed since comes back with it."""
    path, person = tmp_path / "people.db", of.Maker(1).person()
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
    old = path.read_bytes()
    with closing(SqliteGallery(path, key=of.KEY)) as gallery:
        gallery.remove([person.name])
        assert gallery.subjects() == []
    path.write_bytes(old)
    with closing(SqliteGallery(path, key=of.KEY)) as gallery:
        assert gallery.subjects()[0].name == person.name
        assert gallery.problems() == []


def test_known_limit_among_ones_own_pictures_templates_can_be_exchanged(tmp_path: Path) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person(2)
    with closing(SqliteGallery(path, key=of.KEY, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries())
        before = [one[0].sample for one in gallery.nearest(person.vectors, 1)[0]]
    with closing(sqlite3.connect(path)) as connection, connection:
        vectors = connection.execute("SELECT vector FROM templates ORDER BY id DESC").fetchall()
        connection.executemany("UPDATE templates SET vector = ? WHERE id = ?", [(*vectors[0], 1), (*vectors[1], 2)])
    with closing(SqliteGallery(path, key=of.KEY)) as gallery:
        after = gallery.nearest(person.vectors, 1)[0]
        assert [one[0].sample for one in after] == before[::-1]
        assert {gallery.names([one[0].subject])[one[0].subject] for one in after} == {person.name}


# retention


def later(patch: pytest.MonkeyPatch, **span: float) -> None:
    """Sets the clock forward."""
    ahead, clock = timedelta(**span).total_seconds(), time.time
    patch.setattr(time, "time", lambda: clock() + ahead)


def test_whose_time_is_over_is_not_found_before_anybody_removes_her(
    tmp_path: Path, key: Key | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, maker = tmp_path / "people.db", of.Maker(1)
    short, longer, ever = (maker.person() for _ in range(3))
    with closing(SqliteGallery(path, key=key, create=of.SPACE)) as gallery:
        gallery.enroll(ever.entries())
        with (
            closing(SqliteGallery(path, key=key)) as reader,
            closing(SqliteGallery(path, key=key, read_only=True)) as only_reads,
        ):
            gallery.enroll(short.entries(expires=now() + timedelta(days=10)))
            gallery.enroll(longer.entries(expires=now() + timedelta(days=20)))
            names = {"short": short, "longer": longer, "ever": ever}
            uids = {gallery.find(one.name).uid: name for name, one in names.items()}

            def found(by: SqliteGallery) -> list[str]:
                nearest, compared = by.nearest(np.concatenate([short.vectors, longer.vectors, ever.vectors]), 3)
                there = {uids[one.subject] for some in nearest for one in some}
                assert compared == len(there)
                return sorted(there)

            everybody = (gallery, reader, only_reads)
            assert [found(one) for one in everybody] == [["ever", "longer", "short"]] * 3
            later(monkeypatch, days=10, seconds=1)
            assert [found(one) for one in everybody] == [["ever", "longer"]] * 3
            assert len(query(path, "SELECT id FROM subjects")) == 3
            later(monkeypatch, days=10)
            assert [found(one) for one in everybody] == [["ever"]] * 3
            with closing(SqliteGallery(path, key=key, read_only=True)) as fresh:
                assert found(fresh) == ["ever"]


def test_at_the_second_itself_her_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person()
    with closing(SqliteGallery(path, create=of.SPACE)) as gallery:
        gallery.enroll(person.entries(expires=now() + timedelta(days=1)))
        ((end,),) = query(path, "SELECT expires FROM subjects")
        monkeypatch.setattr(time, "time", lambda: end - 0.01)
        assert gallery.nearest(person.vectors, 1)[1] == 1
        assert gallery.expire() is None
        monkeypatch.setattr(time, "time", lambda: float(end))
        assert gallery.nearest(person.vectors, 1)[1] == 0
        assert gallery.expire() is not None


def test_who_is_kept_longer_after_all_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, person = tmp_path / "people.db", of.Maker(1).person()
    with closing(SqliteGallery(path, create=of.SPACE)) as gallery, closing(SqliteGallery(path)) as reader:
        gallery.enroll(person.entries(expires=now() + timedelta(days=1)))
        later(monkeypatch, days=2)
        assert reader.nearest(person.vectors, 1) == ([[]], 0)
        gallery.set_expiry(person.name, now() + timedelta(days=4))
        assert reader.nearest(person.vectors, 1)[1] == 1
        later(monkeypatch, days=3)
        assert reader.nearest(person.vectors, 1)[1] == 0


def test_whose_time_is_over_is_removed_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scrubbed: pytest.MonkeyPatch
) -> None:
    path, maker = tmp_path / "people.db", of.Maker(1)
    short, ever = maker.person(2, photos=True), maker.person()
    with closing(SqliteGallery(path, create=of.SPACE)) as gallery:
        gallery.enroll([*short.entries(expires=now() + timedelta(days=1)), *ever.entries()])
        rows = of.rows_of(gallery, short.name)
    with Gallery.open(path) as opened:
        assert opened.expired is None
    later(monkeypatch, days=2)
    with Gallery.open(path, read_only=True) as opened:
        assert opened.expired is None
    assert of.left_of(rows.everything, of.all_bytes(tmp_path)) > MOST_OF_IT
    with Gallery.open(path) as opened:
        assert opened.expired is not None
        assert opened.expired.subjects == (rows.uid.hex(),)
        assert (opened.expired.samples, opened.expired.photos) == (2, 2)
        assert [one.name for one in opened.people()] == [ever.name]
    traces = [*rows.everything, *of.text_traces(short.name), *of.content_traces(short.samples)]
    assert of.left_of(traces, of.all_bytes(tmp_path)) == 0
    with Gallery.open(path) as opened:
        assert opened.expired is None


def query(path: Path, text: str) -> list[Any]:
    """What anybody reads who has the file and no key."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def rotation_of(gallery: SqliteGallery) -> bytes:
    """The secret matrix's bytes."""
    from twinface.gallery.spaces import current_space

    with gallery.database.reading() as connection:
        return current_space(connection, gallery._vault).rotation.astype("<f8").tobytes()
