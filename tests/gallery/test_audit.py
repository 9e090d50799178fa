"""The audit log in the gallery's file: written for good or not at all, by many at once; what it keeps, how long."""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import faults
import pytest
from audits import NOON, PICTURE, draft, numbers, uid, write

from twinface.core.audit import genesis
from twinface.core.ports import AuditLog
from twinface.errors import GalleryError, GalleryLocked
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery

needs_victims = pytest.mark.skipif(
    not faults.CAN_KILL, reason="needs Linux: processes are watched by descriptors of theirs"
)


# what is written, and read again


def test_it_is_the_port(gallery: SqliteGallery) -> None:
    log: AuditLog = gallery.audit
    assert log.head() == (0, genesis(gallery.info().id))
    assert log.problems() == []
    assert list(log.records()) == []
    assert (log.thumbnail(1), log.expire_thumbnails(NOON)) == (None, 0)


def test_records_are_read_as_they_were_written_by_whoever_opens_the_gallery(
    gallery: SqliteGallery, key: Key | None
) -> None:
    drafts = [draft(number, uid(gallery, "Ada")) for number in range(300)]
    written = [gallery.audit.append(one) for one in drafts]
    assert [one.number for one in written] == list(range(1, 301))
    assert list(gallery.audit.records()) == written
    assert gallery.audit.head() == (300, written[-1].digest)
    assert gallery.info().records == 300
    gallery.close()
    for read_only in (True, False):
        with closing(SqliteGallery(gallery.path, key=key, read_only=read_only)) as other:
            assert list(other.audit.records()) == written
            assert other.audit.problems() == []
            assert other.problems() == []


def test_records_are_chosen_by_number_time_and_place(gallery: SqliteGallery) -> None:
    for number in range(1, 301):
        gallery.audit.append(draft(number, place="roof" if number % 10 == 0 else "floor-7"))
    assert numbers(gallery, first=298) == [298, 299, 300]
    assert numbers(gallery, first=2, last=4) == [2, 3, 4]
    assert numbers(gallery, first=301) == numbers(gallery, first=4, last=3) == []
    assert numbers(gallery, newest=2) == [299, 300]
    assert numbers(gallery, newest=0) == []
    assert numbers(gallery, place="roof", newest=3) == [280, 290, 300]
    assert numbers(gallery, place="roof", last=25) == [10, 20]
    assert numbers(gallery, since=NOON + timedelta(minutes=299)) == [299, 300]
    assert numbers(gallery, since=NOON + timedelta(minutes=295), place="roof", newest=9) == [300]
    assert numbers(gallery, newest=1000) == list(range(1, 301))


def test_others_write_while_somebody_reads(gallery: SqliteGallery) -> None:
    write(gallery, 300)
    reading = gallery.audit.records()
    first = next(reading)
    gallery.audit.append(draft())
    gallery.remove(["Bob"])
    assert [first.number, *(one.number for one in reading)] == list(range(1, 301))


def test_reading_only_reads_and_refuses_to_write(gallery: SqliteGallery, key: Key | None) -> None:
    gallery.audit.append(draft(), PICTURE)
    with closing(SqliteGallery(gallery.path, key=key, read_only=True)) as reader:
        assert len(list(reader.audit.records())) == 1
        for act in (lambda: reader.audit.append(draft()), lambda: reader.audit.expire_thumbnails(NOON + timedelta(1))):
            with pytest.raises(GalleryError, match="reading only"):
                act()


def test_whoever_holds_the_gallery_for_too_long_is_not_waited_for(gallery: SqliteGallery, key: Key | None) -> None:
    with (
        closing(SqliteGallery(gallery.path, key=key, patience=0.05)) as hasty,
        gallery.database.writing() as connection,
    ):
        connection.execute("UPDATE gallery SET added = added")
        with pytest.raises(GalleryLocked):
            hasty.audit.append(draft())
    assert gallery.audit.head()[0] == 0


def test_what_is_written_is_on_the_disk(gallery: SqliteGallery) -> None:
    """2 is FULL: SQLite waits for the disk at every commit."""
    with gallery.database.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET content = x'00' WHERE number = 2",
        "UPDATE audit SET number = 9 WHERE number = 2",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit",
        "INSERT INTO audit VALUES (2, x'00')",
        "INSERT OR REPLACE INTO audit VALUES (2, x'00')",
        "REPLACE INTO audit VALUES (3, x'00')",
        "INSERT INTO audit VALUES (-5, x'00')",
        "DELETE FROM audit_head",
    ],
)
def test_by_mistake_nothing_is_changed(gallery: SqliteGallery, statement: str) -> None:
    write(gallery, 3)
    with closing(sqlite3.connect(gallery.path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="audit log"):
            connection.execute(statement)
        connection.rollback()
    assert gallery.audit.problems() == []
    assert numbers(gallery) == [1, 2, 3]


def test_in_an_encrypted_gallery_nothing_of_a_record_can_be_read(gallery: SqliteGallery, key: Key | None) -> None:
    ada = uid(gallery, "Ada")
    record = gallery.audit.append(replace(draft(1, ada), detail="a remarkable detail"), PICTURE)
    gallery.close()
    content = gallery.path.read_bytes()
    readable = [b"a remarkable detail", b"floor-7", record.digest.encode(), PICTURE[:100]]
    assert [one in content for one in readable] == [key is None] * 4
    assert bytes.fromhex(ada) in content  # of the person herself: ids say nothing
    assert (ada.encode() in content) == (key is None)


# many at once


@needs_victims
def test_four_processes_keep_one_chain(nursery: faults.Nursery, gallery: SqliteGallery, key: Key | None) -> None:
    victims = [nursery.victim() for _ in range(4)]
    for one in victims:
        one.call("open", path=str(gallery.path), encrypted=key is not None)
    for place, one in enumerate(victims):
        one.begin("append", count=50, detail=f"by {place}")
    written = [record for one in victims for record in one.result()]
    for one in victims:
        one.close()
    assert sorted(number for number, _ in written) == list(range(1, 201))
    assert {(one.number, one.digest) for one in gallery.audit.records()} == {(*one,) for one in written}
    by = [one.detail for one in gallery.audit.records()]
    assert {one: by.count(one) for one in by} == {f"by {place}": 50 for place in range(4)}
    assert gallery.audit.problems() == []


@needs_victims
@pytest.mark.parametrize("trials", [10, pytest.param(200, marks=pytest.mark.long)])
def test_after_a_kill_every_record_that_was_told_to_be_written_is_there(
    nursery: faults.Nursery, gallery: SqliteGallery, key: Key | None, trials: int
) -> None:
    told: list[tuple[int, str]] = []
    for trial in range(trials):
        with nursery.victim() as victim:
            victim.call("open", path=str(gallery.path), encrypted=key is not None)
            victim.begin("append_endlessly")
            victim.told()
            assert victim.kill_after(random.Random(trial).uniform(0.0, 0.03))
            told += [(*one,) for one in victim.messages]
        with closing(SqliteGallery(gallery.path, key=key)) as reopened:
            assert reopened.audit.problems(told[-1]) == []
            there = [(one.number, one.digest) for one in reopened.audit.records()]
            assert {*told} <= {*there}
            assert len(there) <= len(told) + trial + 1  # of each that was killed one at most was not told
            assert [number for number, _ in there] == list(range(1, len(there) + 1))


@needs_victims
@pytest.mark.parametrize("leave", [0, 4, 40])
def test_on_a_full_disk_a_record_is_not_written_and_said_to_be(
    nursery: faults.Nursery, gallery: SqliteGallery, key: Key | None, leave: int
) -> None:
    write(gallery, 3)
    with nursery.victim() as victim:
        victim.call("open", path=str(gallery.path), encrypted=key is not None)
        victim.call("append", count=1)
        largest = max(path.stat().st_size for path in gallery.path.parent.glob("people.db*"))
        victim.call("limit", size=largest + 4096 * leave if leave else 0)
        written, complaint = 0, ""
        while not complaint:
            try:
                victim.call("append", count=1, thumbnail=5000)
                written += 1
            except GalleryError as error:
                complaint = str(error)
        assert re.search(r"people\.db: .*(room|disk).*; make room", complaint)
        assert victim.call("audit_head")[0] == 4 + written
        assert victim.call("audit_problems") == []
        victim.call("limit", size=-1)
        assert victim.call("append", count=1, thumbnail=5000)[0][0] == 5 + written
        assert victim.call("audit_problems") == []
    assert gallery.audit.problems() == []
    assert gallery.info().records == 5 + written


# thumbnails


def test_a_thumbnail_is_kept_beside_its_record(gallery: SqliteGallery) -> None:
    plain = gallery.audit.append(draft(1))
    pictured = gallery.audit.append(draft(2, uid(gallery, "Ada")), PICTURE)
    stranger = gallery.audit.append(draft(3), PICTURE[::-1])
    assert (plain.thumbnail, gallery.audit.thumbnail(1)) == ("", None)
    assert pictured.thumbnail == hashlib.sha256(PICTURE).hexdigest()
    assert [gallery.audit.thumbnail(one.number) for one in (pictured, stranger)] == [PICTURE, PICTURE[::-1]]
    assert gallery.audit.problems() == []


def test_with_a_person_her_thumbnails_go_and_the_log_stays_sound(gallery: SqliteGallery) -> None:
    ada, bob = uid(gallery, "Ada"), uid(gallery, "Bob")
    for subjects in ((ada,), (ada, bob), (bob,), ()):
        gallery.audit.append(draft(1, *subjects), PICTURE)
    before = list(gallery.audit.records())
    enrolled = gallery.find("Ada").photos
    assert gallery.remove(["Ada"]).photos == enrolled + 2
    assert [gallery.audit.thumbnail(number) is not None for number in (1, 2, 3, 4)] == [False, False, True, True]
    assert list(gallery.audit.records()) == before
    assert gallery.audit.problems() == []


def test_with_the_last_picture_or_when_time_is_over_thumbnails_go_too(
    gallery: SqliteGallery, monkeypatch: pytest.MonkeyPatch
) -> None:

    for name in ("Ada", "Bob"):
        gallery.audit.append(draft(1, uid(gallery, name)), PICTURE)
    gallery.remove_samples([one.number for one in gallery.samples(uid(gallery, "Ada"))])
    assert [gallery.audit.thumbnail(number) is None for number in (1, 2)] == [True, False]
    gallery.set_expiry("Bob", datetime.now(UTC) + timedelta(days=1))
    later = time.time() + 2 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    gallery.expire()
    assert gallery.audit.thumbnail(2) is None


def test_the_thumbnails_of_two_who_became_one_are_hers(gallery: SqliteGallery) -> None:
    bob = uid(gallery, "Bob")
    gallery.audit.append(draft(1, bob), PICTURE)
    gallery.merge("Ada", ["Bob"])
    assert gallery.audit.thumbnail(1) == PICTURE
    assert gallery.audit.problems() == []
    gallery.remove(["Ada"])
    assert gallery.audit.thumbnail(1) is None
    assert next(gallery.audit.records()).subjects == (bob,)


def test_of_whom_was_removed_meanwhile_no_thumbnail_is_kept(gallery: SqliteGallery) -> None:
    ada = uid(gallery, "Ada")
    gallery.remove(["Ada"])
    record = gallery.audit.append(draft(1, ada), PICTURE)
    assert (record.thumbnail, gallery.audit.thumbnail(1)) == ("", None)


def test_thumbnails_expire_by_the_time_of_their_records(gallery: SqliteGallery) -> None:
    for number in range(1, 6):
        gallery.audit.append(draft(number), bytes([number]) * 5000)
    content = b"".join(path.read_bytes() for path in gallery.path.parent.glob("people.db*"))
    head = gallery.audit.head()
    assert gallery.audit.expire_thumbnails(NOON + timedelta(minutes=4)) == 3
    assert gallery.audit.expire_thumbnails(NOON + timedelta(minutes=4)) == 0
    assert [gallery.audit.thumbnail(number) is not None for number in range(1, 6)] == [False, False, False, True, True]
    assert gallery.audit.problems(head) == []
    if not gallery.info().encrypted:
        left = b"".join(path.read_bytes() for path in gallery.path.parent.glob("people.db*"))
        assert [bytes([number]) * 100 in content for number in range(1, 6)] == [True] * 5
        assert [bytes([number]) * 100 in left for number in range(1, 6)] == [False] * 3 + [True] * 2


def test_what_turns_or_exchanges_all_templates_leaves_the_log_as_it_was(gallery: SqliteGallery) -> None:
    written = write(gallery, 3)
    gallery.renew()
    gallery.stage(faults.OTHER_SPACE, {1: faults.template_of(b"x", faults.OTHER_SPACE)})
    gallery.switch(faults.OTHER_SPACE)
    gallery.rename("Ada", "Augusta")
    gallery.purge()
    assert [(one.number, one.digest) for one in gallery.audit.records()] == written
    assert gallery.audit.problems(written[-1]) == []
