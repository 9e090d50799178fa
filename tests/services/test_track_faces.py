"""Of a track the best faces are kept: fit, few, and spread over its time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stage import FIT, look

from twinface.core.types import Box, Face, Landmarks, Template
from twinface.core.video import Sighting, TrackFace
from twinface.services.best_frames import SHARP
from twinface.services.track_faces import BestFaces, encode, seam, sever

POINTS = Landmarks(np.array([(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)]))
BOX = Box(0, 0, 100, 100)


def face(score: float = 1.0, reasons: tuple[str, ...] = (), template: Template | None = None) -> Face:
    quality = replace(FIT, sharpness=SHARP * score, reasons=reasons)
    return Face(BOX, POINTS, 0.9, quality, np.zeros((2, 2, 3), np.uint8), template)


def kept(best: BestFaces) -> list[float]:
    return [round(one.time, 6) for one in best.candidates]


def offered(scores: dict[float, float], count: int = 5) -> BestFaces:
    best = BestFaces(count, 0.3)
    for time, score in scores.items():
        best.offer(time, face(score))
    return best


def test_what_is_not_fit_is_not_kept() -> None:
    best = BestFaces(5, 0.3)
    best.offer(0.0, face(reasons=("blurred",)))
    assert best.candidates == []


def test_of_neighbours_the_better_is_kept() -> None:
    assert kept(offered({0.0: 0.5, 0.1: 0.9, 0.2: 0.7, 0.61: 0.5})) == [0.1, 0.61]


@pytest.mark.parametrize("rate", [1.0, 5.0, 30.0])
def test_no_two_are_within_the_spacing_though_they_get_better_all_the_time(rate: float) -> None:
    best = offered({number / rate: number / (10 * rate) for number in range(round(10 * rate))})
    times = kept(best)
    assert len(times) == 5
    assert min(np.diff(times)) >= 0.3


@pytest.mark.parametrize("length", [3.0, 60.0, 3600.0])
def test_faces_of_one_quality_are_spread_over_the_track(length: float) -> None:
    times = kept(offered({float(time): 1.0 for time in np.arange(0, length, 0.2)}))
    assert len(times) == 5
    assert times[0] <= 0.1 * length
    assert times[-1] >= 0.7 * length
    assert max(np.diff(times)) <= 0.55 * length
    assert min(np.diff(times)) >= 0.05 * length


def test_a_much_better_moment_is_kept_and_not_it_alone() -> None:
    times = kept(offered({float(time): 1.0 if 20 <= time < 21 else 0.3 for time in np.arange(0, 60, 0.2)}))
    assert any(20 <= time < 21 for time in times)
    assert sum(20 <= time < 21 for time in times) <= 3


def test_one_face_is_enough_to_keep() -> None:
    assert kept(offered({float(time): 1.0 if time == 4 else 0.2 for time in range(9)}, count=1)) == [4]


def test_encoded_ones_are_ranked_and_let_their_pixels_go() -> None:
    class Analyzer:
        def encode(self, faces: list[Face]) -> list[Face]:
            return [replace(one, template=Template(look("a"), "m")) for one in faces]

    best = offered({0.0: 0.5, 1.0: 0.9, 2.0: 0.7})
    assert best.encoded == ()
    encode(Analyzer(), best.waiting, lambda crop: b"jpeg of %d" % crop.size)  # type: ignore[arg-type]
    assert [one.time for one in best.encoded] == [1.0, 2.0, 0.0]
    assert {one.thumbnail for one in best.encoded} == {b"jpeg of 12"}
    assert best.encoded is best.encoded
    assert best.waiting == []
    assert all(one.face is None for one in best.candidates)


def test_a_face_that_has_its_template_is_not_encoded_again() -> None:
    best = BestFaces(5, 0.3)
    best.offer(0.0, face(template=Template(look("a"), "m")))
    assert best.waiting == []
    assert best.encoded[0].time == 0.0


def test_faces_of_a_track_that_runs_already_count() -> None:
    faces = [TrackFace(time, BOX, FIT, look("a")) for time in (2.0, 0.0, 1.0)]
    best = BestFaces(3, 0.3, faces)
    assert kept(best) == [0, 1, 2]
    assert len(best.encoded) == 3


def of(letters: str, noise: float = 0.2) -> list[TrackFace]:
    return [TrackFace(float(time), BOX, FIT, look(one, [time], noise)) for time, one in enumerate(letters)]


@pytest.mark.parametrize(
    ("letters", "border"),
    [
        ("aabb", (1, 2)),
        ("aaabb", (2, 3)),
        ("aaaaa", None),
        ("aaaab", None),
        ("abbbb", None),
        ("ababa", None),
        ("abcde", None),
        ("aab", None),
        ("", None),
    ],
)
def test_a_seam_is_where_two_faces_at_least_of_another_begin(letters: str, border: tuple[float, float] | None) -> None:
    assert seam(of(letters)[::-1], 0.8) == border


def test_a_track_is_severed_where_its_box_leaps() -> None:
    path = [Sighting(time / 5, Box(500.0 if time >= 8 else 10.0 * time, 0, 100, 100), 0.9) for time in range(15)]
    assert sever(path, 1.0, 2.4) == 8
