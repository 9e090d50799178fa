"""Naming faces: the nearest person who is near enough for a gallery of this size, and else nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gallery_album import Album, letters, picture

from twinface.core.identification import identification_point
from twinface.core.similarity import normalise
from twinface.errors import ContractMismatch, GalleryError, NoFace, SeveralFaces, UnreadableImage
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller, EnrolmentOptions
from twinface.services.identification import Identifier
from twinface.services.recognition import Recognizer


@pytest.fixture
def album() -> Album:
    return Album()


@pytest.fixture
def store(tmp_path: Path, album: Album) -> Iterator[SqliteGallery]:
    opened = SqliteGallery(tmp_path / "people.db", create=album.space)
    list(Enroller(album, opened).enroll([picture("Ada", "a"), picture("Ada", "a~"), picture("Bob", "b")]))
    yield opened
    opened.close()


@pytest.fixture
def identifier(album: Album, store: SqliteGallery) -> Identifier:
    return Identifier(Recognizer(album, album.rule, ("encoder", "finder")), store)


def test_friends_are_named_and_strangers_are_not(identifier: Identifier) -> None:
    found = identifier.identify(b"a4b3x2")
    assert [(face.number, face.name) for face in found.faces] == [(1, "Ada"), (2, "Bob"), (3, None)]
    assert found.names == ("Ada", "Bob")
    assert all(face.compared for face in found.faces)
    assert [one.name for one in found.faces[0].candidates] == ["Ada", "Bob"]


def test_a_candidates_distance_is_that_to_her_nearest_picture_and_to_their_mean(
    identifier: Identifier, album: Album
) -> None:
    (face,) = identifier.identify(b"a~~").faces
    best = face.best
    assert best is not None
    (probe,) = album.encode(album.locate(b"a~~").faces)
    vectors = []
    for text in (b"a", b"a~"):
        (other,) = album.encode(album.locate(text).faces)
        assert probe.template is not None
        assert other.template is not None
        vectors.append(other.template.vector)
    gaps = np.linalg.norm([*vectors, normalise(np.sum(vectors, axis=0))] - probe.template.vector, axis=1)
    assert best.distance == pytest.approx((min(gaps[:2]) + gaps[2]) / 2, abs=1e-6)
    assert best.probability == pytest.approx(album.rule.curve.probability(best.distance))


def test_poor_faces_are_told_but_not_compared(identifier: Identifier) -> None:
    blurred, clear = identifier.identify(b"A3b").faces
    assert (blurred.name, blurred.compared, blurred.candidates) == (None, False, ())
    assert blurred.face.quality.reasons == ("blurred",)
    assert clear.name == "Bob"
    assert identifier.identify(b"A3b", refuse_poor=False).faces[0].compared


def test_a_picture_without_faces_names_nobody(identifier: Identifier) -> None:
    found = identifier.identify(b".")
    assert (found.faces, found.names) == ((), ())


def test_one_face_can_be_asked_for(identifier: Identifier) -> None:
    assert [face.name for face in identifier.identify(b"a2b", face=2).faces] == ["Bob"]
    with pytest.raises(NoFace):
        identifier.identify(b"a", face=2)
    with pytest.raises(SeveralFaces):
        identifier.identify(b"ab", face="only")
    with pytest.raises(UnreadableImage):
        identifier.identify(b"!")


def test_top_limits_the_candidates(identifier: Identifier) -> None:
    assert [len(identifier.identify(b"a", top=top).faces[0].candidates) for top in (1, 2, 9)] == [1, 2, 2]


def test_an_empty_gallery_names_nobody(tmp_path: Path, album: Album) -> None:
    store = SqliteGallery(tmp_path / "none.db", create=album.space)
    (face,) = Identifier(Recognizer(album, album.rule, ("e", "f")), store).identify(b"a").faces
    assert (face.name, face.candidates, face.point.templates) == (None, (), 0)
    store.close()


def test_the_threshold_is_that_of_the_gallery_as_it_is_now(
    identifier: Identifier, store: SqliteGallery, album: Album
) -> None:
    assert identifier.identify(b"a").point == identification_point(album.rule, 3)
    list(Enroller(album, store).enroll(picture(f"P{place}", letters("c", place)) for place in range(30)))
    after = identifier.identify(b"a").point
    assert after == identification_point(album.rule, 33)
    assert after.threshold < identification_point(album.rule, 3).threshold
    assert identifier.identify(b"a", fpir=0.5).point.threshold > after.threshold
    store.remove([f"P{place}" for place in range(30)])
    assert identifier.identify(b"a").point == identification_point(album.rule, 3)


def test_one_just_beyond_the_threshold_is_a_candidate_and_not_named(
    identifier: Identifier, monkeypatch: pytest.MonkeyPatch, album: Album
) -> None:
    gap = identifier.identify(b"b~").faces[0].candidates[0].distance
    assert 0.01 < gap < identification_point(album.rule, 3).threshold
    for shift, name in ((1e-6, "Bob"), (-1e-6, None)):
        monkeypatch.setattr("twinface.core.identification._interpolated", lambda points, fmr, shift=shift: gap + shift)
        face = identifier.identify(b"b~").faces[0]
        assert (face.name, face.candidates[0].name) == (name, "Bob")


def test_a_gallery_of_another_model_is_refused(store: SqliteGallery) -> None:
    other = Album(turn=1)
    with pytest.raises(ContractMismatch, match="load that model"):
        Identifier(Recognizer(other, other.rule, ("e", "f")), store)


def test_a_rate_that_is_none_is_refused(identifier: Identifier) -> None:
    for fpir in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(GalleryError, match="FPIR"):
            identifier.identify(b"a", fpir=fpir)


def test_people_enrolled_poorly_are_found_all_the_same(
    identifier: Identifier, store: SqliteGallery, album: Album, enroll_poor: Callable[[], None]
) -> None:
    enroll_poor()
    assert identifier.identify(b"d").names == ("Dan",)


@pytest.fixture
def enroll_poor(store: SqliteGallery, album: Album) -> Callable[[], None]:
    options = EnrolmentOptions(refuse_poor=False)
    return lambda: list(Enroller(album, store, options).enroll([picture("Dan", "D")])) and None
