"""Somebody who can write the gallery's file changes the audit log, past its guards: what he did is found, and where.

Two such people are tried. One has the file alone. The other knows TwinFace and uses the secret that lies in a plain
gallery: of an encrypted one he has not the key, so that what he seals opens for nobody.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import faults
import pytest
from audits import NOON, PICTURE, downgrade, draft, kinds, tampering, uid, write

from twinface.core.audit import AuditDraft, AuditRecord, resealed, seal, write_record
from twinface.errors import GalleryCorrupt, GalleryError
from twinface.gallery.audit_rows import RECORD, SEAL
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import SealedVault, open_vault

COUNT = 8
EDITS: dict[str, Any] = {
    "at": NOON + timedelta(days=1),
    "kind": "action",
    "request": "another",
    "place": "floor-8",
    "decision": "grant",
    "reason": "near enough",
    "subjects": ("ab" * 16,),
    "distance": 0.1,
    "probability": 0.99,
    "fmr": 0.1,
    "liveness": "alive",
    "policy": "0" * 64,
    "model": "0" * 64,
    "detail": "nothing to see",
    "thumbnail": "0" * 64,
    "number": 99,
    "previous": "0" * 64,
    "digest": "0" * 64,
}


@dataclass
class Scene:
    """A gallery with a log of eight records, which nobody has open."""

    path: Path
    key: Key | None
    heads: list[tuple[int, str]]

    def everything(self, expected: tuple[int, str] | None = None) -> list[tuple[int, str]]:
        """Numbers and kinds of all problems."""
        with closing(SqliteGallery(self.path, key=self.key, read_only=True)) as gallery:
            return kinds(gallery.audit.problems(expected))

    def problems(self, expected: tuple[int, str] | None = None) -> list[tuple[int, str]]:
        """Less thumbnails that do not belong to their record any more, as the record is not what it was."""
        return [one for one in self.everything(expected) if one[1] != "thumbnail"]

    def append(self, number: int = 99) -> int:
        with closing(SqliteGallery(self.path, key=self.key)) as gallery:
            return gallery.audit.append(draft(number)).number

    def edit(self, *statements: str) -> None:
        with tampering(self.path) as connection:
            for one in statements:
                connection.execute(one)


class Forger:
    """He has the file, and of a plain gallery the secret; of an encrypted one a key of his own."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        with closing(sqlite3.connect(scene.path)) as connection:
            (facts,) = connection.execute("SELECT vault FROM gallery").fetchone()
        self.blind = scene.key is not None
        self._vault = SealedVault(bytes(32), "key file") if self.blind else open_vault(facts, None)
        with closing(SqliteGallery(scene.path, key=scene.key, read_only=True)) as gallery:
            self.records = list(gallery.audit.records())  # what they say he may know from elsewhere

    def put(self, records: dict[int, AuditRecord], *, head: AuditRecord | None = None, keep: int = 99) -> None:
        """Writes records to the places he wants, removes those beyond, and seals a head."""
        with tampering(self._scene.path) as connection:
            connection.execute("DELETE FROM audit WHERE number > ?", (keep,))
            for number, record in records.items():
                content = self._vault.common.seal(write_record(record), RECORD)
                connection.execute("INSERT OR REPLACE INTO audit VALUES (?, ?)", (number, content))
            if head is not None:
                facts = json.dumps({"number": head.number, "digest": head.digest}).encode()
                connection.execute("UPDATE audit_head SET content = ?", (self._vault.common.seal(facts, SEAL),))


@pytest.fixture(scope="module", params=faults.KEYS, ids=faults.KEY_IDS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    path = tmp_path_factory.mktemp("original") / "people.db"
    with closing(SqliteGallery(path, key=request.param, create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Ada")
        heads = write(gallery, COUNT - 2)
        for content in (PICTURE, PICTURE[::-1]):
            record = gallery.audit.append(draft(9, uid(gallery, "Ada")), content)
            heads.append((record.number, record.digest))
    return Scene(path, request.param, heads)


@pytest.fixture
def scene(original: Scene, tmp_path: Path) -> Scene:
    path = tmp_path / "people.db"
    shutil.copyfile(original.path, path)
    return replace(original, path=path)


@pytest.fixture
def forger(scene: Scene) -> Forger:
    return Forger(scene)


def test_what_nobody_touched_is_sound(scene: Scene) -> None:
    assert scene.everything() == scene.everything(scene.heads[3]) == []
    scene.edit()  # the guards are away and back
    assert scene.problems() == []


# with the file alone


@pytest.mark.parametrize("number", [1, 4, COUNT])
def test_a_changed_byte_anywhere_in_a_record_is_found(scene: Scene, number: int) -> None:
    with closing(sqlite3.connect(scene.path)) as connection:
        (content,) = connection.execute("SELECT content FROM audit WHERE number = ?", (number,)).fetchone()
    source = random.Random(number)
    for place in (0, 1, 15, 16, len(content) - 1, *source.sample(range(len(content)), 12)):
        with tampering(scene.path) as connection:
            broken = content[:place] + bytes([content[place] ^ 1 << source.randrange(8)]) + content[place + 1 :]
            connection.execute("UPDATE audit SET content = ? WHERE number = ?", (broken, number))
        assert scene.problems() == [(number, "edited")]


@pytest.mark.parametrize("value", ["x''", "x'00'", "'text'", "7", "1.5", "zeroblob(20000)", "substr(content, 1, 40)"])
def test_a_record_of_another_kind_is_found(scene: Scene, value: str) -> None:
    scene.edit(f"UPDATE audit SET content = {value} WHERE number = 4")
    assert scene.problems() == [(4, "edited")]


@pytest.mark.parametrize("number", [1, 2, 4, COUNT - 1])
def test_a_removed_record_is_found(scene: Scene, number: int) -> None:
    scene.edit(f"DELETE FROM audit WHERE number = {number}")
    assert (number, "missing") in scene.problems()
    assert {one for one, _ in scene.problems()} == {number}


def test_several_removed_records_are_found(scene: Scene) -> None:
    scene.edit("DELETE FROM audit WHERE number IN (2, 3, 5)")
    assert scene.problems() == [(2, "missing"), (5, "missing")]


@pytest.mark.parametrize("left", [COUNT - 1, 3, 0])
def test_a_removed_end_is_found(scene: Scene, left: int) -> None:
    scene.edit(f"DELETE FROM audit WHERE number > {left}")
    assert (left + 1, "truncated") in scene.problems()


@pytest.mark.parametrize(("one", "other"), [(4, 5), (1, COUNT), (2, 6)])
def test_exchanged_records_are_found(scene: Scene, one: int, other: int) -> None:
    scene.edit(
        f"INSERT INTO audit SELECT 100, content FROM audit WHERE number = {one}",
        f"UPDATE audit SET content = (SELECT content FROM audit WHERE number = {other}) WHERE number = {one}",
        f"UPDATE audit SET content = (SELECT content FROM audit WHERE number = 100) WHERE number = {other}",
        "DELETE FROM audit WHERE number = 100",
    )
    assert scene.problems() == [(one, "reordered"), (other, "reordered")]


@pytest.mark.parametrize("to", [50, 0, -3])
def test_a_renumbered_record_is_found(scene: Scene, to: int) -> None:
    scene.edit(f"UPDATE audit SET number = {to} WHERE number = 4")
    assert (4, "missing") in scene.problems()
    assert to in {one for one, _ in scene.problems()} | ({COUNT + 1} if to > COUNT else set())


def test_all_renumbered_to_close_a_gap_are_found(scene: Scene) -> None:
    scene.edit(
        "DELETE FROM audit WHERE number = 3",
        *(f"UPDATE audit SET number = {n - 1} WHERE number = {n}" for n in range(4, COUNT + 1)),
    )
    assert scene.problems() == [*((number, "reordered") for number in range(3, COUNT)), (COUNT, "truncated")]


@pytest.mark.parametrize("content", ["x'00'", "(SELECT content FROM audit WHERE number = 8)"])
def test_an_inserted_row_is_found(scene: Scene, content: str) -> None:
    scene.edit(f"INSERT INTO audit VALUES ({COUNT + 1}, {content})")
    assert (COUNT + 1, "added") in scene.problems()
    assert scene.append() == COUNT + 2  # the log goes on beyond it
    assert {one for one, _ in scene.problems()} == {COUNT + 1}


def test_a_row_of_another_gallery_is_found(scene: Scene, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(SqliteGallery(other, key=scene.key, create=faults.SPACE)) as gallery:
        write(gallery, COUNT)
    scene.edit(
        "COMMIT",
        f"ATTACH '{other}' AS other",
        "BEGIN IMMEDIATE",
        "UPDATE main.audit SET content = (SELECT content FROM other.audit WHERE number = 5) WHERE number = 5",
    )
    assert scene.problems() == [(5, "edited")]
    with tampering(scene.path) as connection:
        connection.execute("COMMIT")
        connection.execute("ATTACH ? AS other", (str(other),))
        connection.execute("BEGIN IMMEDIATE")
        for table in ("audit", "audit_head"):
            connection.execute(f"DELETE FROM main.{table}")
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")
    assert (0, "seal") in scene.problems()
    assert (1, "edited") in scene.problems()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_head",
        "UPDATE audit_head SET content = x'00'",
        "UPDATE audit_head SET content = 'text'",
        "UPDATE audit_head SET content = (SELECT content FROM audit WHERE number = 3)",
    ],
)
def test_a_broken_seal_is_found_and_nothing_is_written_under_it(scene: Scene, statement: str) -> None:
    scene.edit(statement)
    assert scene.problems() == [(0, "seal")]
    with pytest.raises(GalleryCorrupt, match="seal of the audit log"):
        scene.append()
    assert scene.problems() == [(0, "seal")]


def test_an_older_seal_is_found(scene: Scene, original: Scene) -> None:
    with closing(sqlite3.connect(scene.path)) as connection:
        (old,) = connection.execute("SELECT content FROM audit_head").fetchone()
    scene.append()
    with tampering(scene.path) as connection:
        connection.execute("UPDATE audit_head SET content = ?", (old,))
    assert scene.problems() == [(COUNT + 1, "added")]


def test_an_older_state_of_the_whole_is_found_by_what_was_noted_elsewhere_alone(scene: Scene, original: Scene) -> None:
    scene.append()
    with closing(SqliteGallery(scene.path, key=scene.key)) as gallery:
        head = gallery.audit.head()
    shutil.copyfile(original.path, scene.path)
    assert scene.problems() == []
    assert scene.problems(head) == [(COUNT + 1, "truncated")]
    scene.append(98)  # and once it has gone on
    assert scene.problems(head) == [(COUNT + 1, "replaced")]


def test_what_was_tampered_with_stays_found_when_the_log_goes_on(scene: Scene) -> None:
    scene.edit("DELETE FROM audit WHERE number > 5", "UPDATE audit SET content = x'00' WHERE number = 2")
    assert [scene.append(), scene.append()] == [COUNT + 1, COUNT + 2]
    assert scene.problems() == [(2, "edited"), (6, "missing")]


# thumbnails


def test_a_changed_thumbnail_is_found(scene: Scene) -> None:
    for number in (COUNT - 1, COUNT):
        scene.edit(f"UPDATE audit_thumbnails SET content = zeroblob(length(content)) WHERE number = {number}")
    assert scene.everything() == [(COUNT - 1, "thumbnail"), (COUNT, "thumbnail")]
    with closing(SqliteGallery(scene.path, key=scene.key)) as gallery:
        with pytest.raises(GalleryCorrupt, match="thumbnail"):
            gallery.audit.thumbnail(COUNT)
        gallery.remove(["Ada"])  # what does not open may be hers
        assert gallery.audit.problems() == []


@pytest.mark.parametrize("to", [2, 99])
def test_a_thumbnail_beside_another_record_is_found(scene: Scene, to: int) -> None:
    scene.edit(f"UPDATE audit_thumbnails SET number = {to} WHERE number = {COUNT}")
    assert scene.everything() == [(to, "thumbnail")]


# the guards, the tables, the layout


def test_without_its_guards_the_log_says_so_and_goes_on(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.path)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_not_deleted")
        connection.execute("DELETE FROM audit WHERE number = 4")
    assert scene.problems() == [(0, "seal"), (4, "missing")]
    assert scene.append() == COUNT + 1


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TRIGGER another AFTER INSERT ON audit BEGIN DELETE FROM subjects; END"],
        [
            "DROP TRIGGER audit_is_not_deleted",
            "CREATE TRIGGER audit_is_not_deleted AFTER INSERT ON audit BEGIN SELECT 1; END",
        ],
        ["DROP TABLE audit"],
        ["DROP TABLE audit_head"],
        ["DROP TABLE audit", "DROP TABLE audit_head", "DROP TABLE audit_thumbnails"],
        ["PRAGMA user_version = 1"],
        ["CREATE TABLE audit_2 (number)"],
    ],
)
def test_a_gallery_with_other_tables_is_not_opened(scene: Scene, statements: list[str]) -> None:
    with closing(sqlite3.connect(scene.path)) as connection, connection:
        for one in statements:
            connection.execute(one)
    with pytest.raises(GalleryCorrupt, match="tables are not those of a gallery"):
        SqliteGallery(scene.path, key=scene.key)


def test_a_log_that_was_taken_away_as_if_it_had_never_been_is_missed(scene: Scene) -> None:
    """In an encrypted gallery; of a plain one only a head that was noted elsewhere tells."""
    with closing(sqlite3.connect(scene.path)) as connection:
        ((before,),) = connection.execute("SELECT vault FROM gallery").fetchall()
    downgrade(scene.path, scene.key)
    if scene.key is not None:
        with closing(sqlite3.connect(scene.path)) as connection, connection:
            connection.execute("UPDATE gallery SET vault = ?", (before,))  # he cannot make the other
        for read_only in (True, False):
            with pytest.raises(GalleryCorrupt, match=r"people\.db: its audit log was removed"):
                SqliteGallery(scene.path, key=scene.key, read_only=read_only)
    else:
        assert scene.problems(scene.heads[-1]) == [(1, "truncated")]
        assert scene.append() == 1
        assert scene.problems() == []
        assert scene.problems(scene.heads[-1]) == [(2, "truncated")]


# with the secret, where it lies in the file


@pytest.mark.parametrize("anew", [False, True], ids=["digest as it was", "digest made to fit"])
@pytest.mark.parametrize("number", [1, 4, COUNT])
@pytest.mark.parametrize("name", EDITS)
def test_every_field_edited_is_found(scene: Scene, forger: Forger, name: str, number: int, anew: bool) -> None:
    assert {*EDITS} == {one.name for one in fields(AuditRecord)}
    edited = replace(forger.records[number - 1], **{name: EDITS[name]})
    if anew and name == "digest":
        edited = replace(edited, digest=edited.digest[:-1] + "1")
    forger.put({number: resealed(edited) if anew and name != "digest" else edited})
    expected = "reordered" if name == "number" and not forger.blind else "edited"
    assert scene.problems() == [(number, expected)]


def test_a_forged_record_at_the_end_is_found(scene: Scene, forger: Forger) -> None:
    forged = seal(draft(50), COUNT + 1, scene.heads[-1][1])
    forger.put({COUNT + 1: forged})
    assert (COUNT + 1, "added") in scene.problems()
    scene.append()
    assert scene.problems() == [(COUNT + 1, "edited")]


def test_a_gap_filled_with_a_forged_record_is_found(scene: Scene, forger: Forger) -> None:
    forger.put({4: seal(draft(50), 4, forger.records[2].digest)})
    assert scene.problems() == [(4, "edited")]


def rewritten(records: list[AuditRecord], start: int, change: Callable[[AuditDraft], AuditDraft]) -> list[AuditRecord]:
    """The log with all from somewhere on written anew, so that its chain fits."""
    names = [one.name for one in fields(AuditDraft)]
    anew = records[: start - 1]
    for record in records[start - 1 :]:
        told = change(AuditDraft(**{name: getattr(record, name) for name in names}))
        anew.append(seal(told, record.number, anew[-1].digest if anew else records[0].previous))
    return anew


@pytest.mark.parametrize("start", [1, 5, COUNT])
def test_a_tail_written_anew_is_found_by_the_seal(scene: Scene, forger: Forger, start: int) -> None:
    anew = rewritten(forger.records, start, lambda one: replace(one, decision="", detail="nothing happened"))
    forger.put({one.number: one for one in anew[start - 1 :]})
    if forger.blind:
        assert scene.problems() == [(number, "edited") for number in range(start, COUNT + 1)]
    else:
        assert scene.problems() == [(COUNT, "edited")]


@pytest.mark.parametrize("start", [1, 5, COUNT])
def test_a_tail_and_its_seal_written_anew_are_found_in_a_plain_gallery_by_what_was_noted_elsewhere(
    scene: Scene, forger: Forger, start: int
) -> None:
    anew = rewritten(forger.records, start, lambda one: replace(one, decision="", detail="nothing happened"))
    forger.put({one.number: one for one in anew[start - 1 :]}, head=anew[-1])
    if forger.blind:
        assert scene.problems()[:2] == [(0, "seal"), (start, "edited")]
        return
    assert scene.problems() == []
    for number, digest in scene.heads:
        assert scene.problems((number, digest)) == ([] if number < start else [(number, "replaced")])


def test_an_end_cut_off_and_its_seal_written_anew_is_found_likewise(scene: Scene, forger: Forger) -> None:
    forger.put({}, head=forger.records[4], keep=5)
    if forger.blind:
        assert scene.problems() == [(0, "seal")]
        return
    assert scene.problems() == []
    assert (6, "truncated") in scene.problems(scene.heads[-1])


def test_a_tampered_log_keeps_nobody_from_the_people(scene: Scene) -> None:
    scene.edit("DELETE FROM audit WHERE number = 2", "UPDATE audit_head SET content = x'00'")
    with closing(SqliteGallery(scene.path, key=scene.key)) as gallery:
        assert faults.nearest_name(gallery, faults.content_of("Ada")) == "Ada"
        faults.fill(gallery, "Bob")
        assert gallery.info().records == COUNT
        told = gallery.problems()
        assert len(told) == 2
        assert all(one.startswith("audit log: ") for one in told)
        gallery.remove(["Ada"])
        with pytest.raises(GalleryError):
            gallery.audit.append(draft())
