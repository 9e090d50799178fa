"""Tracks of one person are found to be that, whatever order they come in."""

from __future__ import annotations

import numpy as np
import pytest
from stage import FIT, look, stage_rule

from twinface.core.types import Box
from twinface.core.video import Sighting, Track, TrackFace
from twinface.services import track_people
from twinface.services.track_people import cluster

RULE = stage_rule()
BOX = Box(0, 0, 100, 100)


def track(number: int, letters: str, start: float, end: float | None = None, noise: float = 0.2) -> Track:
    """Its faces show these letters."""
    end = start + 1 if end is None else end
    sightings = tuple(Sighting(time, BOX, 0.9) for time in dict.fromkeys((start, end)))
    faces = [TrackFace(start, BOX, FIT, look(one, [number, place], noise)) for place, one in enumerate(letters)]
    return Track(number, sightings, tuple(faces))


def numbers(people: list[list[Track]]) -> list[list[int]]:
    return [[one.number for one in person] for person in people]


def test_fragments_of_people_are_joined() -> None:
    tracks = [track(1, "aaa", 0), track(2, "bb", 2), track(3, "a", 4), track(4, "ccccc", 6), track(5, "bbbb", 8)]
    assert numbers(cluster(tracks, RULE)) == [[1, 3], [2, 5], [4]]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_tracks_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    tracks = [track(place, "abcdefgh"[place % 8] * (1 + place % 3), 2.0 * place, noise=0.45) for place in range(1, 60)]
    people = cluster(tracks, RULE)
    assert numbers(cluster([tracks[place] for place in random.permutation(len(tracks))], RULE)) == numbers(people)
    assert [person[0].start for person in people] == sorted(person[0].start for person in people)
    assert sorted(number for person in numbers(people) for number in person) == list(range(1, 60))


def test_who_is_seen_at_once_is_not_one_person() -> None:
    """Twins, or a mirror."""
    assert numbers(cluster([track(1, "aa", 0, 3), track(2, "aa", 1, 2)], RULE)) == [[1], [2]]
    beside = Track(2, (Sighting(1, Box(500, 0, 100, 100), 0.9),), track(2, "aa", 1).faces)
    assert numbers(cluster([track(1, "aa", 1, 1), beside], RULE)) == [[1], [2]]
    assert len(cluster([track(1, "aa", 0, 3), track(2, "aa", 1, 2), track(3, "aa", 4, 5)], RULE)) == 2


def test_a_long_track_that_was_given_in_parts_is_one_person() -> None:
    first, second = track(1, "aa", 0, 300), track(2, "aa", 300, 500)
    assert numbers(cluster([second, first], RULE)) == [[1, 2]]
    moved = Track(2, (Sighting(300, Box(500, 0, 100, 100), 0.9), *second.sightings[1:]), second.faces)
    assert numbers(cluster([first, moved], RULE)) == [[1], [2]]


def test_faceless_tracks_are_nobodys() -> None:
    assert cluster([track(1, "", 0)], RULE) == []
    assert numbers(cluster([track(1, "", 0), track(2, "a", 1)], RULE)) == [[2]]
    assert cluster([], RULE) == []


def test_many_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [track(place, "abcdefgh"[place % 8] * (1 + place % 5), 2.0 * place, noise=0.4) for place in range(1, 100)]
    whole = cluster(tracks, RULE)
    monkeypatch.setattr(track_people, "AT_ONCE", 1)
    assert numbers(cluster(tracks, RULE)) == numbers(whole)


def test_a_mixed_track_does_not_join_two_people() -> None:
    tracks = [track(1, "aaaa", 0), track(2, "bbbb", 2), track(3, "ab", 4)]
    people = numbers(cluster(tracks, RULE))
    assert not any({1, 2} <= set(person) for person in people)
