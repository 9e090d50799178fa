"""Nobody gets in by a mistake, a fault or a trick: evidence, ruling, log, and only then the door."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from gatehouse import ANSWER, LOCKING, PEOPLE, ROOM, House, enroll, house, policy_of
from stage import Actor, during, still

from twinface.core.access.evidence import Reason
from twinface.core.access.policy import Place
from twinface.core.audit import AuditDraft, AuditRecord
from twinface.core.types import Analysis
from twinface.core.video import VideoFrame
from twinface.errors import (
    ActionFailed,
    GalleryError,
    GalleryLocked,
    ModelError,
    ModelTampered,
    SourceStalled,
)
from twinface.services.access_control import LONGEST_WAIT, WAITING

ADA = Actor("a", still(300))
STRANGER = Actor("z", still(300))


def reasons(place: House) -> list[tuple[str, str]]:
    return [(one.decision, one.reason) for one in place.gallery.audit.records() if one.kind == "request"]


class TestAGrant:
    def test_opens_once_is_logged_and_names_nobody_in_the_log(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            outcome = gate.answer()
            assert outcome.ruling.granted
            assert [one.request.id for one in gate.door.opened] == ["r0"]
            (record,) = gate.gallery.audit.records()
            assert record == outcome.record
            assert (record.decision, record.reason, record.place) == ("grant", "granted", "room")
            assert record.subjects == (gate.gallery.find("Ada").uid,)
            assert record.fmr == ROOM.fmr
            assert 0 <= record.distance < 0.5
            assert "Ada" not in repr(record)
            assert gate.gallery.audit.problems() == []

    def test_is_in_the_log_before_the_door_opens(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            heads: list[int] = []
            gate.door.before = lambda: heads.append(gate.gallery.audit.head()[0])
            assert gate.answer().ruling.granted
            assert heads == [1]

    def test_comes_as_soon_as_enough_was_seen(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            assert gate.answer(wait=1.0).seconds <= 1.0

    def test_rests_on_frames_after_the_request_only(self, tmp_path: Path) -> None:
        """Ada leaves, and a stranger asks: what the camera saw before does not count."""
        actors = [Actor("a", during(still(300), (0, 2.0))), Actor("z", during(still(300), (2.0, 20)))]
        with house(tmp_path, actors=actors) as gate:
            while gate.time.steady_time < 1.9:
                gate.controller.feed(gate.next_frame())
            outcome = gate.answer()
        assert outcome.ruling.reason is Reason.unknown_person
        assert gate.door.opened == []


class TestRefusals:
    def test_a_stranger(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[STRANGER]) as gate:
            outcome = gate.answer()
        assert outcome.ruling.reason is Reason.unknown_person
        assert [one.ruling.granted for one in gate.door.told] == [False]

    def test_somebody_whom_no_rule_lets_in(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[Actor("c", still(300))]) as gate:
            assert gate.answer().ruling.reason is Reason.not_allowed

    def test_nobody(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[]) as gate:
            assert gate.answer().ruling.reason is Reason.no_face

    def test_two_where_one_is_allowed(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[ADA, Actor("b", still(900))]) as gate:
            assert gate.answer().ruling.reason is Reason.several_faces

    def test_somebody_beside_ada_for_a_moment_only(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[ADA, Actor("z", during(still(900), (0.2, 0.4)))]) as gate:
            assert gate.answer().ruling.reason is Reason.several_faces

    def test_two_who_may_where_two_are_allowed(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, most=2), actors=[ADA, Actor("b", still(900))]) as gate:
            outcome = gate.answer()
        assert outcome.ruling.granted
        assert len(outcome.record.subjects) == 2

    def test_a_bystander_outside_the_zone_does_not_count(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[ADA, Actor("b", still(900))]) as gate:
            gate.seeing = replace(gate.seeing, zone=(0.0, 0.0, 0.5, 1.0))
            gate.controller = gate.make(gate.controller.policy)

            assert gate.answer().ruling.granted

    def test_a_blurred_face(self, tmp_path: Path) -> None:
        with house(tmp_path, actors=[Actor("a", still(300), sharp=lambda time: -1)]) as gate:
            outcome = gate.answer()
        assert outcome.ruling.reason is Reason.poor_quality
        assert "blurred" in outcome.ruling.detail

    def test_ada_and_then_another_face_in_her_place(self, tmp_path: Path) -> None:
        swapped = Actor("a", still(300), looks=lambda time: "a" if time < 0.35 else "z")
        with house(tmp_path, replace(ROOM, agree=(5, 5)), actors=[swapped]) as gate:
            assert not gate.answer().ruling.granted

    def test_a_twin_is_inconclusive(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            enroll(gate.gallery, "Anna", "a", 7, noise=0.12)  # as near as Ada herself
            outcome = gate.answer()
        assert outcome.ruling.reason is Reason.inconclusive
        assert gate.door.opened == []

    def test_somebody_who_is_almost_near_enough(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, fmr=1e-11)) as gate:
            outcome = gate.answer()
        assert outcome.ruling.reason is Reason.inconclusive
        assert "nearly" in outcome.ruling.detail

    def test_an_unknown_place_is_refused_at_once_and_logged(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            (outcome,) = gate.ask("roof")
            assert outcome.ruling.reason is Reason.unknown_place
            assert reasons(gate) == [("refuse", "unknown_place")]

    @pytest.mark.parametrize(
        ("sign", "reason"),
        [("still", Reason.not_live), ("moire", Reason.replayed), ("looped", Reason.replayed)],
    )
    def test_a_picture_where_liveness_is_asked_for(self, tmp_path: Path, sign: str, reason: Reason) -> None:
        with house(tmp_path, replace(ROOM, liveness="passive"), passive=sign) as gate:
            assert gate.answer().ruling.reason is reason

    def test_a_face_where_liveness_is_asked_for(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, liveness="passive")) as gate:
            assert gate.answer().ruling.granted

    def test_a_face_that_does_not_turn_when_asked(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, liveness="challenge")) as gate:
            gate.ask()
            assert gate.controller.prompt == "look into the camera"
            outcomes, prompts = [], set()
            while not outcomes:
                outcomes = gate.controller.feed(gate.next_frame())
                prompts.add(gate.controller.prompt)
        assert outcomes[0].ruling.reason is Reason.challenge_failed
        assert any("Turn your head" in words for words in prompts)


class TestRevocation:
    def test_is_in_force_at_the_next_decision(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            assert gate.answer().ruling.granted
            gate.gallery.remove(["Ada"])
            assert gate.answer().ruling.reason is Reason.unknown_person

    def test_is_in_force_in_the_middle_of_a_request(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, agree=(5, 9))) as gate:
            other = House(tmp_path, gate.controller.policy, [])  # another process, as it were

            def removing(number: int, frame: VideoFrame) -> VideoFrame:
                if number == 4:
                    other.gallery.remove(["Ada"])
                return frame

            assert gate.answer(each=removing).ruling.reason is Reason.unknown_person
            other.gallery.close()

    def test_a_new_policy_counts_for_the_request_being_decided(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, agree=(5, 9))) as gate:

            def changing(number: int, frame: VideoFrame) -> VideoFrame:
                if number == 4:
                    gate.controller.replace(policy_of(ROOM, people=["Bea"]))
                return frame

            assert gate.answer(each=changing).ruling.reason is Reason.not_allowed

    def test_a_stricter_place_is_not_entered_on_looser_evidence(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, agree=(5, 9))) as gate:

            def changing(number: int, frame: VideoFrame) -> VideoFrame:
                if number == 4:
                    gate.controller.replace(policy_of(replace(ROOM, fmr=1e-3)))
                return frame

            assert gate.answer(each=changing).ruling.reason is Reason.inconclusive


class TestThePast:
    def test_a_place_is_locked_after_refusals_also_after_a_restart(self, tmp_path: Path) -> None:
        place = replace(ROOM, lockout=LOCKING)
        with house(
            tmp_path,
            place,
            actors=[Actor("z", during(still(300), (0, 4.0))), Actor("a", during(still(300), (4.0, 20)))],
        ) as gate:
            gate.answer()
            gate.answer()
            while gate.time.steady_time < 4.5:
                gate.next_frame()
            assert gate.answer().ruling.reason is Reason.locked_out
            gate.controller = gate.make(gate.controller.policy)
            assert gate.answer().ruling.reason is Reason.locked_out
            assert gate.door.opened == []

    def test_who_is_inside_is_not_let_in_again(self, tmp_path: Path) -> None:
        into = replace(ROOM, id="in", area="house", direction="in")
        out = replace(ROOM, id="out", area="house", direction="out")
        with house(tmp_path, into, out) as gate:
            assert gate.answer("out").ruling.reason is Reason.not_inside
            assert gate.answer("in").ruling.granted
            assert gate.answer("in").ruling.reason is Reason.already_inside
            assert gate.answer("out").ruling.granted
            assert gate.answer("in").ruling.granted

    def test_two_people_one_after_the_other(self, tmp_path: Path) -> None:
        place = replace(ROOM, people=2, together=10.0)
        actors = [Actor("a", during(still(300), (0, 2.5))), Actor("b", during(still(300), (2.5, 20)))]
        with house(tmp_path, place, actors=actors) as gate:
            assert gate.answer().ruling.reason is Reason.second_person_needed
            assert gate.answer().ruling.reason is Reason.second_person_needed
            while gate.time.steady_time < 3.0:
                gate.next_frame()
            outcome = gate.answer()
            assert outcome.ruling.granted
            assert len(outcome.record.subjects) == 2

    def test_a_grant_written_beside_ours_counts(self, tmp_path: Path) -> None:
        """Two doors into one area decide at the same time: the second to write is refused."""
        into = replace(ROOM, id="in", area="house", direction="in")
        with house(tmp_path, into) as gate:
            uid = gate.gallery.find("Ada").uid
            real = gate.gallery.audit
            draft = AuditDraft(
                at=gate.time.wall(),
                kind="request",
                place="in",
                decision="grant",
                reason="granted",
                subjects=(uid,),
            )
            gate.audit = Beside(real, lambda: real.append(draft))
            gate.controller = gate.make(gate.controller.policy)
            outcome = gate.answer("in")
            assert outcome.ruling.reason is Reason.already_inside
            assert gate.door.opened == []
            assert reasons(gate)[-1] == ("refuse", "already_inside")


class Beside:
    """A log into which somebody else writes just before we do, once."""

    def __init__(self, log: object, write: Callable[[], object]) -> None:
        self._log, self._write = log, write
        self._done = False

    def append(self, draft: AuditDraft, thumbnail: bytes | None = None) -> AuditRecord:
        if not self._done:
            self._done = True
            self._write()
        return self._log.append(draft, thumbnail)

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)


class TestWaiting:
    def test_requests_are_answered_in_turn(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            for number in range(3):
                assert gate.ask(number=number) == []
            answered = []
            while len(answered) < 3:
                answered += gate.controller.feed(gate.next_frame())
            assert [one.request.id for one in answered] == ["r0", "r1", "r2"]
            assert all(one.ruling.granted for one in answered)

    def test_too_many_are_refused(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            told = [gate.ask(number=number) for number in range(WAITING + 2)]
            assert [one.ruling.reason for one in told[-1]] == [Reason.overloaded]
            assert not any(told[:-1])

    def test_one_that_waited_for_too_long_is_refused(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.ask(number=0)
            gate.ask(number=1)
            gate.time.steady_time += LONGEST_WAIT + 1
            first, second = gate.controller.tick()
            assert first.ruling.reason is Reason.camera_lost
            assert second.ruling.reason is Reason.overloaded

    def test_what_is_open_at_the_end_is_refused(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.ask(number=0)
            gate.ask(number=1)
            assert [one.ruling.reason for one in gate.controller.close()] == [Reason.cancelled] * 2
            assert len(reasons(gate)) == 2


class TestThumbnails:
    def test_are_kept_only_if_the_policy_says_so(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.answer()
            gate.controller.replace(replace(gate.controller.policy, thumbnails=True, retention=30.0))
            gate.answer()
            assert gate.gallery.audit.thumbnail(1) is None
            assert gate.gallery.audit.thumbnail(2).startswith(b"jpeg")


class Broken:
    """Something of which one method raises from some call on."""

    def __init__(self, inner: object, name: str, error: Exception, after: int = 0) -> None:
        self._inner, self._name, self._error, self._left = inner, name, error, after

    def __getattr__(self, name: str) -> object:
        if name != self._name:
            return getattr(self._inner, name)

        def call(*args: object, **kwargs: object) -> object:
            if self._left <= 0:
                raise self._error
            self._left -= 1
            return getattr(self._inner, name)(*args, **kwargs)

        return call


Fault = Callable[[House, random.Random], Callable[[int, VideoFrame], "VideoFrame | None"] | None]


def _from(
    start: int, change: Callable[[VideoFrame], VideoFrame | None]
) -> Callable[[int, VideoFrame], VideoFrame | None]:
    return lambda number, frame: change(frame) if number >= start else frame


def camera_lost(gate: House, chance: random.Random) -> object:
    return _from(0, lambda frame: None)


def camera_breaks_off(gate: House, chance: random.Random) -> object:
    start = chance.randint(0, 3)

    def breaking(number: int, frame: VideoFrame) -> VideoFrame | None:
        if number < start:
            return frame
        outcomes = gate.controller.fail(SourceStalled("door: no frame came for 10 s"))
        gate.controller.tick = lambda: outcomes
        return None

    return breaking


def frozen_picture(gate: House, chance: random.Random) -> object:
    """The stream goes on, with one and the same picture; its times and arrival are of now."""
    kept: list[np.ndarray] = []

    def frozen(frame: VideoFrame) -> VideoFrame:
        kept.append(frame.image)
        return replace(frame, image=kept[0])

    return _from(0, frozen)


def stale_picture(gate: House, chance: random.Random) -> object:
    lag = chance.uniform(1.1, 5.0)
    return _from(0, lambda frame: replace(frame, arrived=frame.arrived - lag))


def late_picture(gate: House, chance: random.Random) -> object:
    """Frames come long after the request, but were taken long before they are looked at."""
    lag = chance.uniform(1.1, 1.9)

    def late(frame: VideoFrame) -> VideoFrame:
        gate.time.steady_time = frame.time + lag
        return frame

    return _from(0, late)


def gallery_locked(gate: House, chance: random.Random) -> object:
    gate.seeing = replace(gate.seeing, store=Broken(gate.gallery, "nearest", GalleryLocked("held by another")))
    gate.controller = gate.make(gate.controller.policy)
    return None


def gallery_damaged(gate: House, chance: random.Random) -> object:
    name = chance.choice(["space", "nearest", "names"])
    gate.seeing = replace(gate.seeing, store=Broken(gate.gallery, name, GalleryError("damaged")))
    gate.controller = gate.make(gate.controller.policy)
    return None


def model_tampered(gate: House, chance: random.Random) -> object:
    gate.spoilt = ModelTampered("twin-r29.onnx: was changed")
    return None


def model_fails(gate: House, chance: random.Random) -> object:
    name = chance.choice(["locate", "encode"])
    error = chance.choice([ModelError("no memory"), RuntimeError("in the network"), MemoryError()])
    after = chance.randint(0, 3) if name == "locate" else 0
    gate.seeing = replace(gate.seeing, analyzer=Broken(gate.stage, name, error, after))
    gate.controller = gate.make(gate.controller.policy)
    return None


def clock_set(gate: House, chance: random.Random) -> object:
    jump = chance.choice([-1, 1]) * chance.uniform(70, 1e6)

    def set_clock(frame: VideoFrame) -> VideoFrame:
        gate.time.offset = timedelta(seconds=jump)
        return frame

    return _from(chance.randint(0, 2), set_clock)


def clock_before_the_log(gate: House, chance: random.Random) -> object:
    """The machine was started anew with a clock that is behind: the log knows better."""
    later = gate.time.wall() + timedelta(seconds=chance.uniform(3, 1e6))
    gate.gallery.audit.append(AuditDraft(at=later, kind="start"))
    return None


def policy_broken(gate: House, chance: random.Random) -> object:
    def breaking(frame: VideoFrame) -> VideoFrame:
        gate.controller.break_policy("policy.toml:3: no TOML")
        return frame

    return _from(chance.randint(0, 3), breaking)


def disk_full(gate: House, chance: random.Random) -> object:
    gate.audit = Broken(gate.gallery.audit, "append", GalleryError("no room on the disk"))
    gate.controller = gate.make(gate.controller.policy)
    return None


def log_damaged(gate: House, chance: random.Random) -> object:
    gate.gallery.audit.append(AuditDraft(at=gate.time.wall(), kind="start"))
    with sqlite3.connect(gate.gallery.path) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE audit SET content = zeroblob(40)")
    return None


def door_broken(gate: House, chance: random.Random) -> object:
    gate.door.broken = chance.choice([ActionFailed("relay: pin 17 is gone"), OSError("gone"), RuntimeError("?")])
    return None


def analysis_of_another_picture(gate: House, chance: random.Random) -> object:
    """Whatever the analyzer gives that makes no sense."""
    broken = chance.choice([None, 3, Analysis("x", np.zeros((4, 4, 3), np.uint8), (None,), (), None)])

    class Mad:
        def __getattr__(self, name: str) -> object:
            return getattr(gate.stage, name)

        def locate(self, source: object) -> object:
            return broken

    gate.seeing = replace(gate.seeing, analyzer=Mad())
    gate.controller = gate.make(gate.controller.policy)
    return None


FAULTS: dict[Fault, set[Reason]] = {
    camera_lost: {Reason.camera_lost},
    camera_breaks_off: {Reason.camera_lost},
    frozen_picture: {Reason.picture_frozen},
    stale_picture: {Reason.camera_lost, Reason.picture_stale},
    late_picture: {Reason.picture_stale},
    gallery_locked: {Reason.gallery_unavailable},
    gallery_damaged: {Reason.gallery_unavailable},
    model_tampered: {Reason.model_tampered},
    model_fails: {Reason.model_failed, Reason.internal_error},
    clock_set: {Reason.clock_wrong},
    clock_before_the_log: {Reason.clock_wrong},
    policy_broken: {Reason.policy_invalid},
    disk_full: {Reason.audit_unavailable},
    log_damaged: {Reason.audit_unavailable},
    door_broken: {Reason.actuator_failed},
    analysis_of_another_picture: {Reason.internal_error},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_fault_ever_lets_anybody_in(fault: Fault, tmp_path: Path) -> None:
    """Each kind of fault, a hundred times at random moments, with Ada before the camera, who may go in."""
    with house(tmp_path, seconds=1e4) as gate:
        sound = gate.controller, gate.seeing, gate.audit, gate.spoilt, gate.door.broken
        for trial in range(100):
            chance = random.Random(trial)
            gate.seeing, gate.audit, gate.spoilt, gate.door.broken = sound[1:]
            gate.time.offset = timedelta()
            gate.controller = gate.make(sound[0].policy)
            each = fault(gate, chance)
            outcome = gate.answer(each=each or (lambda number, frame: frame))
            assert not outcome.ruling.granted
            assert outcome.ruling.reason in FAULTS[fault], outcome.ruling
            if fault in (log_damaged, clock_before_the_log):
                break  # the log stays so
        assert gate.door.opened == []
        assert all(not one.ruling.granted for one in gate.door.told if one.record is None)


def test_after_a_fault_is_over_people_get_in_again(tmp_path: Path) -> None:
    with house(tmp_path) as gate:
        gate.controller.break_policy("no TOML")
        assert gate.answer().ruling.reason is Reason.policy_invalid
        gate.controller.replace(gate.controller.policy)
        assert gate.answer().ruling.granted


def test_people_of_the_house_are_distinct() -> None:
    assert len(set(PEOPLE.values())) == len(PEOPLE)
    assert Place("x").patience == ANSWER


def test_a_door_that_did_not_open_lets_nobody_count_as_inside(tmp_path: Path) -> None:
    into = replace(ROOM, id="in", area="house", direction="in")
    with house(tmp_path, into) as gate:
        gate.door.broken = ActionFailed("the relay is gone")
        assert gate.answer("in").ruling.reason is Reason.actuator_failed
        gate.door.broken = None
        assert gate.answer("in").ruling.granted
        assert gate.answer("in").ruling.reason is Reason.already_inside


class Turned:
    """A challenge that is met at its sixteenth frame, whoever is seen."""

    seconds = 6.0
    asked = None

    def __init__(self, challenge: object, started: float) -> None:
        self.frames, self.prompt, self.measures = 0, "turn", {}

    @property
    def state(self) -> str:
        return "passed" if self.frames >= 16 else "running"

    def feed(self, time: float, landmarks: object, box: object) -> None:
        self.frames += 1

    def lost(self, time: float) -> None:
        raise AssertionError("the face is there all the time")


class TestAChallengeThatIsMet:
    @pytest.fixture(autouse=True)
    def turned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.services.access_evidence.ChallengeWatch", Turned)

    def test_lets_in_who_met_it(self, tmp_path: Path) -> None:
        with house(tmp_path, replace(ROOM, liveness="challenge")) as gate:
            outcome = gate.answer()
        assert outcome.ruling.granted
        assert outcome.record.liveness == "challenge"

    def test_lets_in_nobody_who_shows_another_face_afterwards(self, tmp_path: Path) -> None:
        """Somebody turns his head, and then holds a picture of Ada where his face was."""
        swapped = Actor("a", still(300), looks=lambda time: "z" if time < 1.55 else "a")
        with house(tmp_path, replace(ROOM, liveness="challenge", agree=(1, 5)), actors=[swapped]) as gate:
            outcome = gate.answer(wait=9.0)
        assert outcome.ruling.reason in (Reason.unknown_person, Reason.inconclusive)

    @pytest.mark.parametrize("picture", [0.45, 0.65, 0.95], ids=lambda seconds: f"{seconds} s")
    @pytest.mark.parametrize("sharp", [1.0, -1.0], ids=["seen well", "blurred"])
    def test_lets_in_nobody_who_showed_another_face_before(self, tmp_path: Path, sharp: float, picture: float) -> None:
        """A picture of Ada, and then somebody else turns his head where it was, blurred or not."""
        swapped = Actor(
            "a",
            still(300),
            sharp=lambda time: 1.0 if time < picture else sharp,
            looks=lambda time: "a" if time < picture else "z",
        )
        with house(tmp_path, replace(ROOM, liveness="challenge", agree=(1, 5)), actors=[swapped]) as gate:
            outcome = gate.answer(wait=9.0)
        assert outcome.ruling.reason in (Reason.challenge_failed, Reason.inconclusive, Reason.poor_quality)

    def test_of_passive_signs_begins_anew_when_nobody_can_be_named(self, tmp_path: Path) -> None:
        """A picture of Ada, a blurred face for a second, Ada's picture again: what was seen before is forgotten."""
        swapped = Actor("a", still(300), sharp=lambda time: -1.0 if 0.4 <= time < 1.4 else 1.0)
        with house(tmp_path, replace(ROOM, liveness="passive"), actors=[swapped]) as gate:
            outcome = gate.answer(wait=3.0)
        assert outcome.ruling.granted
        assert outcome.seconds >= 1.4 + 0.4


class TestTheLog:
    """One that is not what was written lets nobody in, nor one that becomes so."""

    def drop_guards(self, gate: House) -> sqlite3.Connection:
        connection = sqlite3.connect(gate.gallery.path)
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        return connection

    def test_a_record_was_removed_before_the_start(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.answer()
            gate.answer()
            with self.drop_guards(gate) as connection:
                connection.execute("DELETE FROM audit WHERE number = 1")
            gate.controller = gate.make(gate.controller.policy)
            assert gate.answer().ruling.reason is Reason.audit_unavailable

    def test_its_end_was_cut_off_while_it_runs(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.answer()
            with sqlite3.connect(gate.gallery.path) as connection:
                (head,) = connection.execute("SELECT content FROM audit_head").fetchone()
            gate.answer()
            gate.answer()
            with self.drop_guards(gate) as connection:
                connection.execute("DELETE FROM audit WHERE number > 1")
                connection.execute("UPDATE audit_head SET content = ?", (head,))
            assert gate.answer().ruling.reason is Reason.audit_unavailable
            assert len(gate.door.opened) == 3

    def test_of_another_version_counts_as_refusals(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            draft = AuditDraft(at=gate.time.wall(), kind="request", place="room", decision="refuse", reason="new word")
            gate.gallery.audit.append(draft)
            assert gate.answer().ruling.granted

    def test_holds_no_picture_of_somebody_who_was_not_named(self, tmp_path: Path) -> None:
        """A fault cuts the request short: nobody knows whose picture it would be, so removing her could not find it."""
        with house(tmp_path) as gate:
            gate.controller.replace(replace(gate.controller.policy, thumbnails=True, retention=30.0))
            gate.seeing = replace(gate.seeing, store=Broken(gate.gallery, "nearest", GalleryLocked("held")))
            gate.controller = gate.make(gate.controller.policy)
            assert gate.answer().ruling.reason is Reason.gallery_unavailable
            assert gate.gallery.audit.thumbnail(1) is None

    def test_holds_no_pin_that_was_typed_as_a_place(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            for typed in ("271828", "room 271828", "4111-1111"):
                gate.ask(typed)
            gate.ask("roof")
            assert [one.place for one in gate.gallery.audit.records()] == ["", "", "", "roof"]

    def test_is_not_given_times_of_a_wrong_clock(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.time.offset = timedelta(days=4000)
            assert gate.answer().ruling.reason is Reason.clock_wrong
            gate.time.offset = timedelta()
            assert gate.answer().ruling.granted

    def test_that_has_such_times_is_passed_over_if_the_clock_is_trusted(self, tmp_path: Path) -> None:
        with house(tmp_path) as gate:
            gate.gallery.audit.append(AuditDraft(at=gate.time.wall() + timedelta(days=400), kind="start"))
            assert gate.answer().ruling.reason is Reason.clock_wrong
            gate.controller = gate.make(gate.controller.policy, trust_clock=True)
            assert gate.answer().ruling.granted


def test_after_a_restart_nobody_waits_for_a_second_person(tmp_path: Path) -> None:
    place = replace(ROOM, people=2, together=10.0)
    actors = [Actor("a", during(still(300), (0, 1.5))), Actor("b", during(still(300), (1.5, 20)))]
    with house(tmp_path, place, actors=actors) as gate:
        assert gate.answer().ruling.reason is Reason.second_person_needed
        while gate.time.steady_time < 2.0:
            gate.next_frame()
        gate.controller = gate.make(gate.controller.policy)
        assert gate.answer().ruling.reason is Reason.second_person_needed


def test_a_grant_taken_back_beside_another_does_not_count(tmp_path: Path) -> None:
    """The door did not open, and another door writes meanwhile: she is not inside."""
    into = replace(ROOM, id="in", area="house", direction="in")
    out = replace(ROOM, id="out", area="house", direction="out")
    with house(tmp_path, into, out) as gate:
        real = gate.gallery.audit
        gate.audit = Beside(real, lambda: real.append(AuditDraft(at=gate.time.wall(), kind="start")))
        gate.controller = gate.make(gate.controller.policy)
        gate.door.broken = ActionFailed("the relay is gone")
        assert gate.answer("in").ruling.reason is Reason.actuator_failed
        gate.door.broken = None
        assert gate.answer("out").ruling.reason is Reason.not_inside
