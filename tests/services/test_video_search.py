"""Where somebody is, and who it is: found by several faces, and never by a single bad one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_album import DIMENSION, Encoder, letters
from stage import FIT, Actor, Stage, during, look, stage_rule, steps, still

from twinface.core.identification import identification_point
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Box, Template
from twinface.core.video import Sighting, Track, TrackFace
from twinface.errors import ContractMismatch, GalleryError
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.tracks import TrackBuilder
from twinface.services.video_search import SEARCH_FPIR, find, name_track, search_point

RULE = stage_rule()
MODEL = Encoder().identity
BOX = Box(0, 0, 100, 100)
ADA = np.stack([look("a", [77, place], 0.2) for place in range(2)])


def face(letter: str, time: float = 0.0, noise: float = 0.2, toward: str = "", share: float = 0.0) -> TrackFace:
    """A face of somebody that looks by some share like another."""
    vector = look(letter, [round(time * 10)], noise)
    if toward:
        vector = vector + share * (look(toward) - vector)
    return TrackFace(time, BOX, FIT, vector / np.linalg.norm(vector), b"jpeg %d" % round(time))


def track(number: int, faces: str, start: float = 0.0, end: float | None = None) -> Track:
    kept = tuple(face(letter, start + place) for place, letter in enumerate(faces))
    last = start + len(faces) if end is None else end
    return Track(number, (Sighting(start, BOX, 0.9), Sighting(last, BOX, 0.9)), kept)


def spans(hits: list) -> list[tuple[float, float]]:
    return [(hit.start, hit.end) for hit in hits]


def test_she_is_found_wherever_she_is() -> None:
    actors = [
        Actor("a", during(still(300), (1, 4), (10, 14))),
        Actor("b", during(still(900), (0, 9))),
        Actor("c", during(still(300), (5, 8))),
    ]
    stage = Stage(actors, steps(15))
    builder = TrackBuilder(stage, rule=RULE, thumbnail=lambda crop: bytes(crop[0, 0]))
    tracks = [track for frame in stage.frames() for track in builder.feed(frame)] + builder.finish()
    hits = find(tracks, ADA, RULE)

    assert spans(hits) == [(1, pytest.approx(3.8)), (10, pytest.approx(13.8))]
    for hit in hits:
        assert hit.start <= hit.time <= hit.end
        assert hit.box == hit.tracks[0].box_at(hit.time)
        assert hit.thumbnail[:1] == b"a"
        assert hit.distance < 0.3
        assert hit.probability == RULE.curve.probability(hit.distance)
        gaps = [np.linalg.norm(ADA - one.vector, axis=1).min() for one in hit.tracks[0].faces]
        assert hit.nearest is hit.tracks[0].faces[int(np.argmin(gaps))]
    assert find(tracks, look("x")[None], RULE) == []


def test_tracks_close_in_time_are_one_hit() -> None:
    tracks = [track(1, "aaa", 0), track(2, "aaa", 4.5), track(3, "aaa", 20), track(4, "bbb", 2, 30)]
    assert spans(find(tracks, ADA, RULE)) == [(0, 7.5), (20, 23)]
    assert spans(find(tracks, ADA, RULE, gap=1.0)) == [(0, 3), (4.5, 7.5), (20, 23)]
    assert spans(find(tracks[::-1], ADA, RULE, gap=99.0)) == [(0, 23)]
    (hit,) = find(tracks, ADA, RULE, gap=99.0)
    assert [one.number for one in hit.tracks] == [1, 2, 3]
    assert hit.distance == min(find([one], ADA, RULE)[0].distance for one in tracks[:3])


def test_a_hit_within_another_does_not_end_it() -> None:
    tracks = [track(1, "aaa", 0, 50), track(2, "aaa", 5), track(3, "aaa", 51)]
    assert spans(find(tracks, ADA, RULE)) == [(0, 54)]


@pytest.mark.parametrize("others", [1, 2, 4])
def test_one_bad_face_finds_nobody(others: int) -> None:
    """Whether it is like her or exactly hers."""
    faces = (face("b", 0, toward="a", share=1.0), *(face("b", 1.0 + place) for place in range(others)))
    assert find([Track(1, track(1, "b").sightings, faces)], ADA, RULE) == []


def test_one_bad_face_among_good_ones_hides_nobody() -> None:
    assert len(find([track(1, "aaab")], ADA, RULE)) == 1


def test_a_track_of_one_face_must_be_nearer() -> None:
    """Between the threshold for FPIR 0.01 and that for a tenth of it."""
    query = look("a")[None]
    near, far = (identification_point(RULE, count, 0.01).threshold for count in (10, 1))
    assert near < far
    for gap, found in ((near - 0.01, 1), (far - 0.01, 0)):
        angle = 2 * np.arcsin(gap / 2)
        aside = look("b") - (look("b") @ query[0]) * query[0]
        vector = np.cos(angle) * query[0] + np.sin(angle) * aside / np.linalg.norm(aside)
        one = TrackFace(0.0, BOX, FIT, vector.astype(np.float32))
        alone = Track(1, track(1, "a").sightings, (one,))
        assert len(find([alone], query, RULE)) == found
        assert len(find([alone], query, RULE, confirm=1)) == 1


def test_so_many_faces_must_agree_as_are_asked_for() -> None:
    faces = (*(face("a", float(time)) for time in range(3)), face("b", 3), face("b", 4))
    mixed = Track(1, track(1, "a").sightings, faces)
    query = np.vstack([ADA, look("a")[None]])
    assert len(find([mixed], query, RULE, 0.5, confirm=3)) == 1
    assert len(find([mixed], query, RULE, 0.5, confirm=4)) == 0


def test_the_threshold_is_for_all_templates_compared() -> None:
    tracks = [track(1, "aaaa"), track(2, "bb"), track(3, "")]
    assert search_point(tracks, 3, RULE) == identification_point(RULE, 18, SEARCH_FPIR)
    assert search_point(tracks, 3, RULE, 0.01) == identification_point(RULE, 18, 0.01)
    assert search_point([], 1, RULE) == identification_point(RULE, 0, SEARCH_FPIR)


def test_strangers_are_rarely_found() -> None:
    """Of 2,000 videos of four strangers no more than 2% show anybody, by templates as near as real ones may be."""
    random = np.random.default_rng(0)

    def someone(count: int) -> np.ndarray:
        own = random.normal(size=8)
        vectors = own + 0.25 * random.normal(size=(count, 8))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    pairs = np.array([np.linalg.norm(someone(1) - someone(1)) for _ in range(20000)])
    points = tuple(
        replace(RULE.point(), fmr=fmr, threshold=threshold, low=threshold, high=threshold)
        for fmr, threshold in zip((1e-2, 1e-3), np.quantile(pairs, (1e-2, 1e-3)).tolist(), strict=True)
    )
    rule = replace(RULE, points=points)
    found = 0
    for _ in range(2000):
        tracks = [
            Track(place, track(1, "a").sightings, tuple(TrackFace(0.0, BOX, FIT, one) for one in someone(3)))
            for place in range(1, 5)
        ]
        found += bool(find(tracks, someone(2), rule, 0.02))
    assert found <= 40, found


def test_senseless_questions_are_refused() -> None:
    tracks = [track(1, "aa")]
    with pytest.raises(ValueError, match="templates"):
        find(tracks, np.zeros((0, DIMENSION), np.float32), RULE)
    with pytest.raises(ContractMismatch):
        find(tracks, np.ones((1, 3), np.float32), RULE)
    with pytest.raises(GalleryError, match="FPIR"):
        find(tracks, ADA, RULE, 0.0)
    with pytest.raises(ValueError, match="confirm"):
        find(tracks, ADA, RULE, confirm=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteGallery]:
    opened = SqliteGallery(tmp_path / "people.db", create=TemplateSpace(MODEL, "stage", True, DIMENSION))
    opened.enroll(
        [
            Entry(name, NewSample(f"{ord(letter):032x}{place:032x}", Template(look(letter, [99, place], 0.2), MODEL)))
            for name, letter in (("Ada", "a"), ("Bob", "b"))
            for place in range(2)
        ]
    )
    yield opened
    opened.close()


def test_tracks_of_friends_are_named_and_those_of_strangers_are_not(store: SqliteGallery) -> None:
    ada, bob = (name_track(track(1, one * 5), store, RULE) for one in "ab")
    assert ada is not None
    assert bob is not None
    assert (ada.name, bob.name) == ("Ada", "Bob")
    assert ada.uid == store.find("Ada").uid
    assert ada.distance < 0.3
    assert ada.probability == RULE.curve.probability(ada.distance)
    assert name_track(track(1, "xxxxx"), store, RULE) is None
    assert name_track(track(1, ""), store, RULE) is None


@pytest.mark.parametrize("others", [1, 2, 4])
def test_one_bad_face_names_nobody(store: SqliteGallery, others: int) -> None:
    store.remove(["Bob"])  # so that whoever is compared is nearest to Ada
    faces = (face("x", 0, toward="a", share=1.0), *(face("x", 1.0 + place) for place in range(others)))
    assert name_track(Track(1, track(1, "x").sightings, faces), store, RULE) is None


def test_faces_that_do_not_agree_name_nobody(store: SqliteGallery) -> None:
    assert name_track(track(1, "ab"), store, RULE) is None
    named = name_track(track(1, "aaab"), store, RULE)
    assert named is not None
    assert named.name == "Ada"


def test_a_lone_face_names_somebody_if_it_is_near(store: SqliteGallery) -> None:
    assert name_track(track(1, "a"), store, RULE) is not None
    halfway = Track(1, track(1, "a").sightings, (face("a", 0, toward="x", share=0.45),))
    assert name_track(halfway, store, RULE, 0.1) is None
    assert name_track(halfway, store, RULE, 0.1, confirm=1) is not None


def test_an_empty_gallery_names_nobody(store: SqliteGallery) -> None:
    store.remove(["Ada", "Bob"])
    assert name_track(track(1, "aaa"), store, RULE) is None


def test_who_was_removed_a_moment_ago_is_not_named(store: SqliteGallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "names", lambda uids: {})
    assert name_track(track(1, "aaa"), store, RULE) is None


def test_a_gallery_of_another_model_is_refused(tmp_path: Path) -> None:
    other = SqliteGallery(tmp_path / "other.db", create=TemplateSpace("other", "other", True, DIMENSION))
    with pytest.raises(ContractMismatch, match="migrate"):
        name_track(track(1, "aa"), other, RULE)
    other.close()


def test_a_larger_gallery_is_searched_more_strictly(store: SqliteGallery) -> None:
    faces = tuple(face("a", float(time), toward="x", share=0.45) for time in range(3))
    vague = Track(1, track(1, "a").sightings, faces)
    assert name_track(vague, store, RULE, 0.5) is not None
    entries = []
    for place in range(200):
        vector = look("c", [place], 3.0)
        digest = f"{place + 10**6:064x}"
        entries.append(Entry(letters("c", place), NewSample(digest, Template(vector, MODEL))))
    store.enroll(entries)
    assert name_track(vague, store, RULE, 0.5) is None


class TestWhoWasFound:
    """A track found for sure vouches for another that would not do by itself."""

    @staticmethod
    def doubtful(start: float, share: float = 0.55) -> Track:
        """Ada in bad light: too far from her photos for a whole video, near to herself a moment before."""
        faces = tuple(face("a", start + place, toward="x", share=share) for place in range(3))
        return Track(9, (Sighting(start, BOX, 0.9), Sighting(start + 3, BOX, 0.9)), faces)

    def test_is_found_again(self) -> None:
        share = next(share for share in np.arange(0.3, 0.7, 0.01) if not find([self.doubtful(30, share)], ADA, RULE))
        again = self.doubtful(30, share)
        assert spans(find([again], ADA, RULE)) == []
        bridge = Track(2, track(2, "aaa", 10).sightings, self.doubtful(10, share - 0.1).faces)
        assert spans(find([bridge, again], ADA, RULE)) == [(10, 13), (30, 33)]

    def test_but_not_while_she_is_elsewhere(self) -> None:
        share = next(share for share in np.arange(0.3, 0.7, 0.01) if not find([self.doubtful(30, share)], ADA, RULE))
        bridge = Track(2, track(2, "aaa", 29, 33).sightings, self.doubtful(29, share - 0.1).faces)
        assert spans(find([bridge, self.doubtful(30, share)], ADA, RULE)) == [(29, 33)]

    def test_nobody_else_is(self) -> None:
        assert spans(find([track(1, "aaa", 0), track(2, "bbb", 10), track(3, "xxx", 20)], ADA, RULE)) == [(0, 3)]
