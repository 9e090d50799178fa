"""Enrolment: which face counts, what is refused and why, and what is on the disk when it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gallery_album import Album, letters, picture

from twinface.core.subjects import Entry, Outcome
from twinface.errors import GalleryError
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import BATCH, Enroller, Enrolment, EnrolmentOptions, Picture


@pytest.fixture
def album() -> Album:
    return Album()


@pytest.fixture
def store(tmp_path: Path, album: Album) -> Iterator[SqliteGallery]:
    opened = SqliteGallery(tmp_path / "people.db", create=album.space)
    yield opened
    opened.close()


@pytest.fixture
def enroll(album: Album, store: SqliteGallery) -> Callable[..., list[Enrolment]]:
    def run(*pictures: Picture, **options: object) -> list[Enrolment]:
        return list(Enroller(album, store, EnrolmentOptions(**options)).enroll(pictures))  # type: ignore[arg-type]

    return run


def fates(told: Sequence[Enrolment]) -> list[str]:
    return [one.fate for one in told]


def test_every_picture_is_told_of_in_order(enroll: Callable[..., list[Enrolment]], store: SqliteGallery) -> None:
    told = enroll(
        picture("Ada", "a"), picture("Ada", "!"), picture("Bob", "."), picture("Bob", "B"), picture("Bob", "bc"),
        picture("Bob", "b"), picture("a/b", "d"),
    )  # fmt: skip
    assert fates(told) == [
        "enrolled", "unreadable", "no face", "poor quality", "several faces", "enrolled", "refused name",
    ]  # fmt: skip
    assert [one.source for one in told][:2] == ["Ada/a.jpg", "Ada/!.jpg"]
    assert [bool(one.why) for one in told] == [False, True, True, True, True, False, True]
    assert "blurred" in told[3].why
    assert "2 of like size" in told[4].why
    assert "slash" in told[6].why
    assert [(one.name, one.samples) for one in store.subjects()] == [("Ada", 1), ("Bob", 1)]


def test_a_second_run_computes_nothing(
    enroll: Callable[..., list[Enrolment]], store: SqliteGallery, album: Album
) -> None:
    enroll(picture("Ada", "a"), picture("Bob", "b"))
    album.located.clear()
    again = enroll(picture("Ada", "a"), picture("Bob", "b"))
    assert fates(again) == ["duplicate", "duplicate"]
    assert all(one.there for one in again)
    assert album.located == []
    assert store.info().samples == 2


def test_a_picture_of_two_people_is_a_conflict(enroll: Callable[..., list[Enrolment]], store: SqliteGallery) -> None:
    told = enroll(picture("Ada", "a"), picture("Eve", "a"))  # even within one batch
    assert fates(told) == ["enrolled", "conflict"]
    assert "Ada" in told[1].why
    assert not told[1].there
    assert fates(enroll(picture("Eve", "a"))) == ["conflict"]
    assert [one.name for one in store.subjects()] == ["Ada"]


@pytest.mark.parametrize(
    ("text", "face", "expected"),
    [
        ("a", "clear", "enrolled"),
        ("a2b", "clear", "enrolled"),  # four times the area: the other is a passer-by
        ("a3b2", "clear", "several faces"),
        ("ab", "clear", "several faces"),
        ("a3b", "only", "several faces"),
        ("ab2", "largest", "enrolled"),
        ("ab2", 2, "enrolled"),
        ("ab2", 3, "no face"),
    ],
)
def test_the_face_that_counts(enroll: Callable[..., list[Enrolment]], text: str, face: object, expected: str) -> None:
    assert fates(enroll(picture("Ada", text), face=face)) == [expected]


def test_two_friends_may_share_a_picture_by_number(
    enroll: Callable[..., list[Enrolment]], store: SqliteGallery, album: Album
) -> None:
    assert fates(enroll(picture("Ada", "a2b"), face=1)) == ["enrolled"]
    assert fates(enroll(picture("Bob", "a2b"), face=2)) == ["enrolled"]
    assert fates(enroll(picture("Bob", "a2b"), face=2)) == ["duplicate"]
    (bob,) = (one for one in store.subjects() if one.name == "Bob")
    probe = album.encode(album.locate(b"b").faces)[0].template
    assert probe is not None
    assert store.nearest(probe.vector[None], 1)[0][0][0].subject == bob.uid


def test_all_faces_cannot_be_one_person() -> None:
    with pytest.raises(GalleryError, match="all faces"):
        EnrolmentOptions("all")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(GalleryError, match="no time zone"):
        EnrolmentOptions(expires=datetime(2030, 1, 1))


def test_poor_faces_on_request(enroll: Callable[..., list[Enrolment]], store: SqliteGallery) -> None:
    assert fates(enroll(picture("Bob", "B"), refuse_poor=False)) == ["enrolled"]
    (kept,) = store.samples(store.find("Bob").uid)
    assert kept.quality is not None
    assert kept.quality.reasons == ("blurred",)


def test_photos_and_expiry_on_request(enroll: Callable[..., list[Enrolment]], store: SqliteGallery) -> None:
    until = datetime.now(UTC) + timedelta(days=30)
    enroll(picture("Ada", "a"), keep_photos=True, expires=until)
    enroll(picture("Bob", "b"))
    ada, bob = store.subjects()
    assert ada.expires == until.replace(microsecond=0)
    assert bob.expires is None
    assert store.photo(store.samples(ada.uid)[0].number) == b"a"
    assert store.photo(store.samples(bob.uid)[0].number) is None


@pytest.mark.parametrize("workers", [1, 3])
def test_many_pictures_go_in_batches(
    enroll: Callable[..., list[Enrolment]], store: SqliteGallery, album: Album, workers: int
) -> None:
    pictures = [picture(f"Person {place // 4}", letters("a", place)) for place in range(4 * BATCH + 3)]
    told = enroll(*pictures, workers=workers)
    assert [one.source for one in told] == [one.source for one in pictures]
    assert set(fates(told)) == {"enrolled"}
    assert sorted(album.batches) == [3, *[BATCH] * 4]
    assert store.info().samples == len(pictures)


def test_what_is_told_is_on_the_disk(album: Album, store: SqliteGallery) -> None:
    """Another handle finds each picture at the moment it is told to be enrolled."""
    other = SqliteGallery(store.path)
    pictures = [picture(f"Person {place}", letters("a", place)) for place in range(2 * BATCH)]
    for place, _ in enumerate(Enroller(album, store).enroll(pictures)):
        digest = pictures[place].read()[1]
        assert digest in other.known([digest])
    other.close()


def test_what_was_told_stays_when_the_gallery_fails(
    album: Album, store: SqliteGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the second batch on."""
    really, calls = SqliteGallery.enroll, 0

    def full(self: SqliteGallery, entries: Sequence[Entry]) -> list[Outcome]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise GalleryError("no room on the disk")
        return really(self, entries)

    monkeypatch.setattr(SqliteGallery, "enroll", full)
    told: list[Enrolment] = []
    pictures = [picture(f"P{place}", letters("a", place)) for place in range(3 * BATCH)]
    with pytest.raises(GalleryError, match="no room"):
        told.extend(Enroller(album, store).enroll(pictures))
    assert len(told) == BATCH
    assert store.info().samples == BATCH


def test_one_who_stops_listening_leaves_whole_batches(album: Album, store: SqliteGallery) -> None:
    running = Enroller(album, store).enroll(picture(f"P{place}", letters("a", place)) for place in range(5 * BATCH))
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert store.info().samples % BATCH == 0
    assert store.problems() == []
