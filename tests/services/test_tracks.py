"""Faces followed through plays whose truth is known, and through a moving picture by the shipped models."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from stage import Actor, Stage, during, stage_rule, steps, still, told

from twinface.core.tracking import TrackingOptions
from twinface.core.types import Box
from twinface.core.video import Sighting, Track, TrackFace, VideoFrame
from twinface.errors import ContractMismatch
from twinface.services.recognition import Recognizer
from twinface.services.tracks import Progress, TrackBuilder, TrackOptions

RULE = stage_rule()


def played(stage: Stage, options: TrackOptions | None = None, *, rule: bool = True) -> list[Track]:
    builder = TrackBuilder(stage, options, rule=RULE if rule else None)
    tracks = [track for frame in stage.frames() for track in builder.feed(frame)]
    return tracks + builder.finish()


def walking(x: float, speed: float, y: float = 300.0):
    return lambda time: (x + speed * time, y)


RATES = pytest.mark.parametrize("rate", [3.0, 5.0, 25.0])


@RATES
def test_who_comes_and_goes_is_known(rate: float) -> None:
    actors = [Actor("a", during(walking(100, 60), (1, 5))), Actor("b", during(still(900), (2, 3), (6, 8)))]
    last = 1 / rate
    assert told(played(Stage(actors, steps(9, rate)))) == [
        ("a", pytest.approx(1, abs=last), pytest.approx(5, abs=2 * last)),
        ("b", pytest.approx(2, abs=last), pytest.approx(3, abs=2 * last)),
        ("b", pytest.approx(6, abs=last), pytest.approx(8, abs=2 * last)),
    ]


@RATES
def test_faces_that_cross_keep_to_their_people(rate: float) -> None:
    actors = [Actor("a", walking(200, 200)), Actor("b", walking(1000, -200, 310))]
    assert [letters for letters, _, _ in told(played(Stage(actors, steps(4, rate))))] == ["a", "b"]


@RATES
def test_faces_that_meet_and_turn_back_are_told_by_their_templates(rate: float) -> None:
    """By geometry alone they would have crossed: at the turn they are in one place, and b is hidden meanwhile."""
    actors = [
        Actor("a", lambda time: (600 - 150 * abs(time - 2), 300)),
        Actor("b", lambda time: None if 1.7 < time < 2.3 else (600 + 150 * abs(time - 2), 300)),
    ]
    stage = Stage(actors, steps(4, rate))
    assert {letters for letters, _, _ in told(played(stage))} == {"a", "b"}
    assert len(played(stage)) == 2


def test_templates_are_asked_only_where_there_is_doubt() -> None:
    stage = Stage([Actor("a", walking(100, 50)), Actor("b", still(900))], steps(10))
    tracks = played(stage)
    assert sum(stage.batches) == sum(len(track.faces) for track in tracks) == 10
    assert stage.batches == [10]


def test_a_cut_to_another_face_in_the_same_place_ends_a_track() -> None:
    actors = [Actor("a", during(still(500), (0, 4))), Actor("b", during(still(505), (4, 8)))]
    assert told(played(Stage(actors, steps(8), cuts=[4]))) == [("a", 0, 3.8), ("b", 4, 7.8)]


def test_a_cut_to_the_same_face_does_not_end_a_track() -> None:
    stage = Stage([Actor("a", still(500))], steps(8), cuts=[4])
    assert told(played(stage)) == [("a", 0, 7.8)]
    assert told(played(stage, rule=False)) == [("a", 0, 3.8), ("a", 4, 7.8)]


def test_after_a_cut_nobody_is_waited_for() -> None:
    stage = Stage([Actor("a", during(still(500), (0, 3.9), (4.2, 8)))], steps(8), cuts=[4])
    assert told(played(stage)) == [("a", 0, 3.8), ("a", 4.2, 7.8)]


def test_a_cut_that_was_not_seen_is_found_by_the_faces() -> None:
    """Two people in one place, one after the other, and nothing else changes."""
    actors = [Actor("a", during(still(500), (0, 4))), Actor("b", during(still(530), (4, 8)))]
    assert told(played(Stage(actors, steps(8)))) == [("a", 0, 3.8), ("b", 4, 7.8)]
    assert told(played(Stage(actors, steps(8)), rule=False)) == [("ab", 0, 7.8)]


def test_a_leap_is_believed_only_of_the_same_face() -> None:
    """A face that is suddenly elsewhere may have moved fast; another one is another."""
    leap = lambda time: (500, 300) if time < 2 else (620, 300)  # noqa: E731
    assert told(played(Stage([Actor("a", leap)], steps(4)))) == [("a", 0, 3.8)]
    changed = Actor("a", leap, looks=lambda time: "a" if time < 2 else "b")
    assert told(played(Stage([changed], steps(4)))) == [("a", 0, 1.8), ("b", 2, 3.8)]


def test_absence_is_told_in_seconds_whatever_the_rate() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 80)).tolist()
    stage = Stage([Actor("a", during(still(500), (0, 3), (3.7, 6), (7.5, 99)))], times)
    (_, start, end), (_, again, last) = told(played(stage))
    assert start == pytest.approx(times[0], abs=1e-5)
    assert (end, again) == (pytest.approx(6, abs=0.3), pytest.approx(7.5, abs=0.3))
    assert last == pytest.approx(times[-1], abs=1e-5)


def test_faces_are_few_fit_spread_and_best_first() -> None:
    good = lambda time: -0.9 if 4 < time < 6 else 0.5 + 0.05 * (round(time * 5) % 7)  # noqa: E731
    (track,) = played(Stage([Actor("a", still(500), sharp=good)], steps(10)))
    times = sorted(face.time for face in track.faces)
    assert len(times) == 5
    assert min(np.diff(times)) >= 1
    assert not any(4 < time < 6 for time in times)
    sharp = [face.quality.sharpness for face in track.faces]
    assert sharp == sorted(sharp, reverse=True)
    assert all(face.box == track.box_at(face.time) for face in track.faces)


def test_a_track_without_a_fit_face_has_none() -> None:
    stage = Stage([Actor("a", still(500), sharp=lambda time: -1.0)], steps(3))
    (track,) = played(stage)
    assert (track.faces, len(track.sightings), stage.batches) == ((), 15, [])


def test_pixels_are_held_of_running_tracks_only() -> None:
    """Eight people one after another, for an hour."""
    gc.collect()
    turns = [[(start, start + 60) for start in range(60 * place, 3600, 480)] for place in range(8)]
    actors = [Actor(chr(97 + place), during(still(120 + 150 * place), *turns[place])) for place in range(8)]
    stage = Stage(actors, steps(3600, 1), jitter=0.0)
    builder = TrackBuilder(stage, TrackOptions(tracking=TrackingOptions(absence=2.5)), rule=RULE)
    ended = 0
    for frame in stage.frames():
        ended += len(builder.feed(frame))
        assert len(builder.running) <= 2
    assert ended + len(builder.finish()) == 60
    assert stage.most_faces <= 2 * (5 + 1) + 5


def test_a_track_of_hours_is_given_in_parts_that_meet() -> None:
    stage = Stage([Actor("a", still(500))], steps(1000, 2))
    tracks = played(stage, TrackOptions(longest=300))
    assert [track.number for track in tracks] == [1, 2, 3, 4]
    assert all(one.sightings[-1] == other.sightings[0] for one, other in pairwise(tracks))
    assert max(track.end - track.start for track in tracks) <= 301
    assert (tracks[0].start, tracks[-1].end) == (0, 999.5)


def test_who_watches_live_has_templates_as_soon_as_there_are_two() -> None:
    stage = Stage([Actor("a", during(still(500), (0, 9)))], steps(12))
    builder = TrackBuilder(stage, TrackOptions(live=True), rule=RULE)
    known = {}
    for frame in stage.frames():
        builder.feed(frame)
        for track in builder.running:
            known[frame.time] = len(track.faces)
            assert track.last.time == track.seen == min(frame.time, 8.8)
            assert track.start == 0
    assert known[0.2] == 0
    assert known[0.6] == 2
    assert known[8.0] == 5
    assert sum(stage.batches) < 20
    assert max(known) == pytest.approx(9.8)  # gone by absence


def test_running_tracks_are_without_faces_unless_live() -> None:
    stage = Stage([Actor("a", still(500))], steps(3))
    builder = TrackBuilder(stage, rule=RULE)
    for frame in stage.frames():
        builder.feed(frame)
    assert [track.faces for track in builder.running] == [()]


class Jumper:
    """A follower that finds every face ten pixels on."""

    def __init__(self) -> None:
        self.boxes: dict[int, Box] = {}

    def remember(self, image: np.ndarray, boxes: dict[int, Box], running: Sequence[int]) -> None:
        self.boxes = {number: box for number, box in (self.boxes | boxes).items() if number in running}

    def follow(self, image: np.ndarray) -> dict[int, Box]:
        self.boxes = {number: replace(box, x=box.x + 10) for number, box in self.boxes.items()}
        return self.boxes


def test_between_detections_faces_are_followed() -> None:
    stage = Stage([Actor("a", walking(100, 100))], steps(2, 10), jitter=0.0)
    builder = TrackBuilder(stage, follower=Jumper())
    for place, frame in enumerate(stage.frames()):
        if place % 2:
            builder.follow(frame)
            (running,) = builder.running
            assert (running.last.detected, running.seen) == (False, pytest.approx(frame.time - 0.1))
            assert running.last.box.x == pytest.approx(50 + 100 * frame.time)
        else:
            builder.feed(frame)
    (track,) = builder.finish()
    assert [one.detected for one in track.sightings] == [True, False] * 9 + [True]
    assert stage.located == 10


def test_without_a_follower_nothing_is_followed() -> None:
    stage = Stage([Actor("a", still(500))], steps(1))
    builder = TrackBuilder(stage)
    first, second, *_ = stage.frames()
    builder.feed(first)
    builder.follow(second)
    assert builder.time == second.time
    assert builder.running[0].last.time == first.time


def test_frames_must_come_in_order() -> None:
    stage = Stage([], steps(1))
    builder = TrackBuilder(stage)
    first, second, *_ = stage.frames()
    builder.feed(second)
    for take in (builder.feed, builder.follow):
        with pytest.raises(ValueError, match="order of their times"):
            take(first)


def test_a_rule_of_another_encoder_is_refused() -> None:
    rule = replace(RULE, model="other", points=tuple(replace(point, model="other") for point in RULE.points))
    with pytest.raises(ContractMismatch):
        TrackBuilder(Stage([], []), rule=rule)


def plain(tracks: Sequence[Track]) -> list[tuple[object, ...]]:
    rows = []
    for track in tracks:
        faces = [(face.time, face.box, face.quality, face.vector.tolist()) for face in track.faces]
        rows.append((track.number, track.sightings, faces))
    return rows


@pytest.mark.parametrize("stops", [[3.0], [0.0, 1.0, 4.0, 4.2, 6.9], steps(9)])
def test_what_goes_on_from_a_progress_is_what_one_go_gives(stops: list[float]) -> None:
    actors = [
        Actor("a", lambda time: (600 - 150 * abs(time - 2), 300), sharp=lambda time: 0.5 + time % 0.9 / 2),
        Actor("b", lambda time: None if 1.7 < time < 2.3 else (600 + 150 * abs(time - 2), 300)),
        Actor("c", during(still(1500), (1, 3), (5, 8))),
    ]
    stage = Stage(actors, steps(9), cuts=[4.2])
    builder = TrackBuilder(stage, rule=RULE)
    tracks: list[Track] = []
    for frame in stage.frames():
        tracks += builder.feed(frame)
        if frame.time in stops:
            builder = TrackBuilder(stage, rule=RULE, begun=builder.progress)
    assert plain(tracks + builder.finish()) == plain(played(stage))


def test_a_progress_that_cannot_be_is_refused() -> None:
    track = Track(1, (Sighting(1.0, Box(0, 0, 9, 9), 0.9),), ())
    Progress(1.0, (track,), 2, None, 0.0)
    for wrong in ((0.5, (track,), 2), (1.0, (track,), 1), (1.0, (track, track), 2), (float("nan"), (), 1)):
        with pytest.raises(ValueError, match="progress"):
            Progress(*wrong, None, 0.0)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"confirm": 0}, {"spacing": -1.0}, {"longest": 0.0}, {"renewal": -1}])
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="tracks"):
        TrackOptions(**wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def moving(recognizer: Recognizer) -> tuple[list[VideoFrame], list[TrackFace]]:
    """Two people who move over a grey wall; the left one is gone for three seconds. And both as they were."""
    photo = np.asarray(PillowImage.open(Path(__file__).parents[2] / "examples" / "two_faces.jpg").convert("RGB"))
    left, right = photo[60:300, 120:340], photo[60:340, 500:780]
    frames = []
    for number, time in enumerate(steps(6)):
        image = np.full((720, 1280, 3), 128, np.uint8)
        for crop, x, seen in ((left, 100 + 20 * time, not 1.5 < time < 4.5), (right, 800 - 20 * time, True)):
            if seen:
                place = round(x)
                image[200 : 200 + crop.shape[0], place : place + crop.shape[1]] = crop
        frames.append(VideoFrame(image, time, number, time))
    people = recognizer.analyze(photo).faces
    known = [TrackFace(0.0, face.box, face.quality, face.template.vector) for face in people if face.template]
    return frames, known


def test_the_shipped_models_follow_faces(
    recognizer: Recognizer, moving: tuple[list[VideoFrame], list[TrackFace]]
) -> None:
    frames, (right, left) = moving
    builder = TrackBuilder(recognizer.analyzer, rule=recognizer.rule)
    tracks = [track for frame in frames for track in builder.feed(frame)] + builder.finish()
    assert [(track.start, pytest.approx(track.end)) for track in sorted(tracks, key=lambda track: track.number)] == [
        (0, 5.8),
        (0, 1.4),
        (4.6, 5.8),
    ]
    for track in tracks:
        mine, other = (right, left) if track.number == 1 else (left, right)
        for face in track.faces:
            gaps = [float(np.linalg.norm(face.vector - one.vector)) for one in (mine, other)]
            assert gaps[0] < 0.2 < gaps[1]
