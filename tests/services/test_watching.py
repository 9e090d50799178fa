"""Who came, who left and who is a stranger, told once each, whatever the faces of single frames say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery_album import DIMENSION, Encoder
from stage import Actor, Stage, during, look, stage_rule, steps, still, who

from twinface.core.identification import Candidate
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Template
from twinface.core.video import Track, VideoFrame
from twinface.errors import GalleryLocked
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.tracks import RunningTrack, TrackBuilder, TrackOptions
from twinface.services.video_search import name_track
from twinface.services.watching import Watcher, WatchEvent, WatchOptions

RULE = stage_rule()
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RATE = 5.0


class Register:
    """Names letters that it holds; counts how often it was asked."""

    def __init__(self, letters: str) -> None:
        self.letters = set(letters)
        self.asked: list[int] = []

    def name(self, track: Track | RunningTrack) -> Candidate | None:
        self.asked.append(track.number)
        shown = {who(face) for face in track.faces}
        letter = shown.pop() if len(shown) == 1 else ""
        return Candidate(letter.upper(), letter, 0.1, 0.999) if letter in self.letters else None

    def knows(self, uid: str) -> bool:
        return uid in self.letters


def watcher(stage: Stage, register: Register, now: Callable[[], float] | None = None, **options: Any) -> Watcher:
    given = {"stale": None, "rate": RATE, **options}
    builder = TrackBuilder(
        stage,
        TrackOptions(live=True, confirm=given.get("confirm", 2)),
        rule=RULE,
        thumbnail=lambda crop: bytes(crop[0, 0]),
    )
    return Watcher(
        builder,
        register.name,
        WatchOptions(**given),
        known=register.knows,
        now=now or (lambda: 0.0),
        clock=lambda: NOON,
    )


def play(
    actors: Sequence[Actor], end: float, known: str = "a", *, rate: float = RATE, **options: Any
) -> list[WatchEvent]:
    stage = Stage(actors, steps(end, rate))
    watching = watcher(stage, Register(known), **options)
    return [event for frame in stage.frames() for event in watching.feed(frame)] + watching.finish()


def told(events: Iterable[WatchEvent]) -> list[tuple[str, str]]:
    return [(event.kind, event.candidate.name if event.candidate else "") for event in events]


def test_somebody_appears_once_and_leaves_once() -> None:
    events = play([Actor("a", during(still(300), (1, 6)))], 12)

    assert told(events) == [("appeared", "A"), ("left", "A")]
    came, left = events
    assert 1.3 <= came.time <= 2.0
    assert (came.first, came.last, came.track, came.clock) == (1.0, came.time, 1, NOON)
    assert came.candidate is not None
    assert (came.candidate.uid, came.candidate.distance, came.candidate.probability) == ("a", 0.1, 0.999)
    assert came.box.x == pytest.approx(250, abs=6)
    assert came.thumbnail[:1] == b"a"
    assert left.last == pytest.approx(5.8)
    assert left.time == pytest.approx(7.8, abs=0.21)
    assert left.first == 1.0


def test_a_stranger_is_told_once_and_never_named() -> None:
    events = play([Actor("a", still(300)), Actor("b", still(900))], 20)
    assert sorted(told(events)) == [("appeared", "A"), ("unknown", "")]
    (stranger,) = [event for event in events if event.kind == "unknown"]
    assert stranger.box.x == pytest.approx(850, abs=6)
    assert stranger.time < 3


def test_who_passes_by_with_too_few_faces_is_not_spoken_of() -> None:
    assert play([Actor("b", during(still(300), (1, 1.3)))], 6) == []
    assert play([Actor("a", during(still(300), (1, 1.3)))], 6) == []
    assert play([Actor("b", still(300), sharp=lambda time: -1.0)], 6) == []  # none is fit


def test_a_short_visit_is_told_when_its_track_ends() -> None:
    """One of two faces: enough to be named, though the next look at the running track never came."""
    events = play([Actor("a", during(still(300), (1, 1.5)))], 2, confirm=2)
    assert told(events) == [("appeared", "A")]


def test_more_faces_are_asked_for_where_more_must_agree() -> None:
    play_to = {confirm: play([Actor("a", still(300))], 6, confirm=confirm)[0].time for confirm in (1, 2, 4)}
    assert play_to[1] < play_to[2] < play_to[4]


class TestPresence:
    def test_who_is_back_before_the_absence_never_left(self) -> None:
        events = play([Actor("a", during(still(300), (0, 4), (5.6, 9)))], 9, absence=3.0)
        assert told(events) == [("appeared", "A")]

    def test_who_is_back_before_the_cooldown_is_not_announced_again(self) -> None:
        actor = Actor("a", during(still(300), (0, 4), (9, 13)))
        assert told(play([actor], 20, cooldown=10.0)) == [("appeared", "A"), ("left", "A")]

    def test_who_is_back_after_the_cooldown_is(self) -> None:
        actor = Actor("a", during(still(300), (0, 4), (9, 13)))
        events = play([actor], 20, cooldown=4.0)
        assert told(events) == [("appeared", "A"), ("left", "A")] * 2
        assert events[2].first == 9.0

    def test_the_cooldown_counts_from_when_she_was_last_seen_even_if_nothing_was_told(self) -> None:
        actor = Actor("a", during(still(300), (0, 4), (9, 13), (18, 22), (40, 44)))
        assert told(play([actor], 50, cooldown=10.0)) == [("appeared", "A"), ("left", "A")] * 2

    def test_two_tracks_of_one_person_are_one_presence(self) -> None:
        here, there = Actor("a", during(still(300), (0, 6))), Actor("a", during(still(900), (2, 10)))
        events = play([here, there], 15)
        assert told(events) == [("appeared", "A"), ("left", "A")]
        assert events[1].last == pytest.approx(9.8)

    def test_two_persons_are_two(self) -> None:
        events = play([Actor("a", during(still(300), (0, 6))), Actor("b", during(still(900), (2, 10)))], 15, "ab")
        assert told(events) == [("appeared", "A"), ("appeared", "B"), ("left", "A"), ("left", "B")]

    def test_who_is_there_at_the_end_has_not_left(self) -> None:
        assert told(play([Actor("a", still(300))], 6)) == [("appeared", "A")]


class TestGalleryThatChanges:
    def run(self, change: Callable[[Register], object], known: str = "a") -> tuple[list[WatchEvent], Register]:
        stage = Stage([Actor("a", still(300))], steps(16))
        register = Register(known)
        watching = watcher(stage, register)
        events = []
        for frame in stage.frames():
            if frame.time == 8.0:
                change(register)
            events += watching.feed(frame)
        return events, register

    def test_who_was_removed_is_named_no_longer(self) -> None:
        events, _ = self.run(lambda register: register.letters.clear())
        assert told(events) == [("appeared", "A"), ("left", ""), ("unknown", "")]
        assert events[1].time <= 9.0
        assert events[1].candidate is not None
        assert events[1].candidate.uid == "a"

    def test_who_was_added_is_named(self) -> None:
        events, _ = self.run(lambda register: register.letters.add("a"), "")
        assert told(events) == [("unknown", ""), ("appeared", "A")]
        assert 8.0 <= events[1].time <= 9.0

    def test_tracks_are_asked_about_every_second_not_every_frame(self) -> None:
        _, register = self.run(lambda register: None)
        assert 12 <= len(register.asked) <= 36  # of 80 frames; faces change now and then beside

    def test_a_name_that_is_doubted_a_while_does_not_end_a_presence(self) -> None:
        stage = Stage([Actor("a", still(300))], steps(16))
        register = Register("a")
        builder = TrackBuilder(stage, TrackOptions(live=True), rule=RULE)
        watching = Watcher(builder, register.name, WatchOptions(absence=3.0, stale=None, rate=RATE))
        events = []
        for frame in stage.frames():
            if frame.time in (8.0, 9.4):
                register.letters ^= {"a"}
            events += watching.feed(frame)
        assert told(events) == [("appeared", "A")]

    def test_a_gallery_that_others_hold_changes_nothing(self) -> None:
        class Held(Register):
            held = False

            def name(self, track: Track | RunningTrack) -> Candidate | None:
                if self.held:
                    raise GalleryLocked("held by others")
                return super().name(track)

        stage = Stage([Actor("a", still(300)), Actor("b", still(900))], steps(16))
        register = Held("a")
        watching = watcher(stage, register)
        events = []
        for frame in stage.frames():
            register.held = frame.time >= 6
            events += watching.feed(frame)
        assert sorted(told(events)) == [("appeared", "A"), ("unknown", "")]

    def test_a_real_gallery(self, tmp_path: Path) -> None:
        encoder = Encoder()
        space = TemplateSpace(encoder.identity, encoder.name, True, DIMENSION)
        with closing(SqliteGallery(tmp_path / "people.db", create=space)) as gallery:
            samples = [NewSample(f"{n:064x}", Template(look("a", [7, n], 0.2), space.identity)) for n in (0, 1)]
            gallery.enroll([Entry("Ada", one) for one in samples])
            stage = Stage([Actor("a", still(300)), Actor("b", still(900))], steps(12))
            builder = TrackBuilder(stage, TrackOptions(live=True), rule=RULE)
            watching = Watcher(
                builder,
                lambda track: name_track(track, gallery, RULE),
                WatchOptions(stale=None, rate=RATE),
                known=lambda uid: bool(gallery.names([uid])),
            )
            events = []
            for frame in stage.frames():
                if frame.time == 6.0:
                    gallery.remove(["Ada"])
                events += watching.feed(frame)
        assert told(events)[:2] == [("appeared", "Ada"), ("unknown", "")]
        assert told(events)[2:] == [("left", ""), ("unknown", "")]
        assert events[0].clock.tzinfo is not None


class TestFrames:
    def test_no_more_are_searched_than_asked_for(self) -> None:
        stage = Stage([Actor("a", still(300))], steps(10, 25))
        watching = watcher(stage, Register("a"), rate=5.0)
        for frame in stage.frames():
            watching.feed(frame)
        assert stage.located == watching.searched == pytest.approx(50, abs=1)

    def test_a_pause_of_the_source_is_not_made_up_for(self) -> None:
        times = [*steps(2, 25), *steps(12, 25, 10)]
        stage = Stage([Actor("a", still(300))], times)
        watching = watcher(stage, Register("a"), rate=5.0)
        for frame in stage.frames():
            watching.feed(frame)
        assert watching.searched <= 71

    def test_frames_between_are_followed(self) -> None:
        class Shifts:
            def remember(self, image: Any, boxes: Any, running: Any) -> None:
                self.boxes = dict(boxes)

            def follow(self, image: Any) -> Any:
                return self.boxes

        stage = Stage([Actor("a", still(300)), Actor("b", still(900))], steps(6, 25))
        builder = TrackBuilder(stage, TrackOptions(live=True), rule=RULE, follower=Shifts())
        watching = Watcher(builder, Register("a").name, WatchOptions(stale=None, rate=5))
        for frame in stage.frames():
            watching.feed(frame)
            assert all(running.last.time == frame.time for running in builder.running)
        first, second = watching.seen
        assert first.candidate is not None
        assert (first.candidate.name, first.stranger) == ("A", False)
        assert (second.candidate, second.stranger, second.box.x) == (None, True, pytest.approx(850, abs=6))

    def test_what_is_out_of_sight_is_not_shown(self) -> None:
        stage = Stage([Actor("a", during(still(300), (0, 4)))], steps(4.8))
        watching = watcher(stage, Register("a"))
        for frame in stage.frames():
            watching.feed(frame)
        assert watching.seen == ()

    def test_what_is_followed_but_not_found_again_is_not_shown_for_long(self) -> None:
        """Whatever was behind a face may look enough like it to be followed on."""

        class Clings:
            def __init__(self) -> None:
                self.boxes: dict[int, Any] = {}

            def remember(self, image: Any, boxes: Any, running: Any) -> None:
                self.boxes |= boxes

            def follow(self, image: Any) -> Any:
                return self.boxes

        stage = Stage([Actor("a", during(still(300), (0, 4)))], steps(4.8, 25))
        builder = TrackBuilder(stage, TrackOptions(live=True), rule=RULE, follower=Clings())
        watching = Watcher(builder, Register("a").name, WatchOptions(stale=None, rate=5))
        shown = []
        for frame in stage.frames():
            watching.feed(frame)
            shown += [frame.time] if watching.seen else []
        assert 4 <= shown[-1] <= 4.5

    def test_an_old_frame_of_a_live_source_decides_nothing(self) -> None:
        stage = Stage([Actor("a", during(still(300), (0, 4)))], steps(12))
        late = {"by": 0.0}
        clock = {"now": 0.0}
        watching = watcher(stage, Register("a"), now=lambda: clock["now"] + late["by"], stale=1.0)
        events = []
        for frame in stage.frames():
            clock["now"] = frame.arrived
            late["by"] = 1.2 if 5 <= frame.time < 8 else 0.9
            events += watching.feed(frame)
        assert told(events) == [("appeared", "A"), ("left", "A")]
        assert events[1].time == 8.0  # not before a frame was new again
        assert watching.passed_over == 15
        assert watching.searched == 45

    def test_an_old_frame_of_a_file_is_as_good_as_any(self) -> None:
        stage = Stage([Actor("a", still(300))], steps(4))
        watching = watcher(stage, Register("a"), now=lambda: 1e9)
        assert told(event for frame in stage.frames() for event in watching.feed(frame)) == [("appeared", "A")]

    def test_a_frame_that_is_not_later_is_passed_over(self) -> None:
        stage = Stage([Actor("a", still(300))], steps(1))
        watching = watcher(stage, Register("a"))
        first, *_ = stage.frames()
        watching.feed(first)
        watching.feed(VideoFrame(first.image, first.time, 1, first.arrived))
        assert watching.searched == 1


@pytest.mark.parametrize(
    "options",
    [
        {"confirm": 0}, {"stranger": 0}, {"absence": -1.0}, {"cooldown": float("nan")}, {"rate": 0.0},
        {"renewal": float("inf")}, {"stale": -1.0},
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="watching"):
        WatchOptions(**options)


def test_the_builder_must_be_live() -> None:
    with pytest.raises(ValueError, match="live"):
        Watcher(TrackBuilder(Stage([], [])), Register("").name)


def test_templates_of_the_stage_are_told_apart() -> None:
    """What all of this rests on."""
    assert np.linalg.norm(look("a") - look("b")) > 1
