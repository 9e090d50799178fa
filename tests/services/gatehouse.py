"""A gatehouse for tests of access control: a stage before the camera, a real gallery and log, clocks that are moved."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
from gallery_album import DIMENSION, Encoder
from stage import Actor, Stage, look, stage_rule, steps, still

from twinface.core.access.evidence import Request
from twinface.core.access.policy import AccessRule, Lockout, Person, Place, Policy
from twinface.core.liveness.challenge import Challenge
from twinface.core.naming import name_key
from twinface.core.ports import AuditLog
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Template
from twinface.core.video import VideoFrame
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.access_control import AccessController, Outcome
from twinface.services.access_seeing import Seeing

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RATE = 10.0
PEOPLE = {"a": "Ada", "b": "Bea", "c": "Cleo"}
ENCODER = Encoder()
SPACE = TemplateSpace(ENCODER.identity, ENCODER.name, True, DIMENSION)
ANSWER = 2.0
"""Seconds within which a decision has to fall."""


@dataclass
class Time:
    """Clocks that stand still until they are moved."""

    steady_time: float = 0.0
    offset: timedelta = timedelta()

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.steady_time) + self.offset

    def steady(self) -> float:
        return self.steady_time

    def elapsed(self) -> float:
        return self.steady_time


@dataclass
class Verdict:
    live: bool
    reason: str
    measures: Mapping[str, float] = field(default_factory=dict)


class Passive:
    """Says what it is told to say, once it has seen five frames."""

    def __init__(self, reason: str = "") -> None:
        self.frames, self.reason = 0, reason

    def feed(self, time: float, image: np.ndarray, box: object, landmarks: np.ndarray) -> None:
        assert landmarks.shape == (5, 2)
        self.frames += 1

    def verdict(self) -> Verdict:
        return Verdict(False, "too short") if self.frames < 5 else Verdict(not self.reason, self.reason)


@dataclass
class Door:
    """What actions do: it remembers when it was opened."""

    opened: list[Outcome] = field(default_factory=list)
    told: list[Outcome] = field(default_factory=list)
    broken: Exception | None = None
    before: Callable[[], object] = lambda: None

    def __call__(self, outcome: Outcome, policy: Policy) -> None:
        self.before()
        self.told.append(outcome)
        if outcome.ruling.granted:
            if self.broken is not None:
                raise self.broken
            self.opened.append(outcome)


def policy_of(*places: Place, people: Sequence[str] = ("Ada", "Bea"), digest: str = "0" * 64) -> Policy:
    """Everybody of `people` may go everywhere."""
    known = {name_key(name): Person(name, name_key(name)) for name in people}
    rule = AccessRule("allow", frozenset(known), frozenset(place.id for place in places), 1)
    return Policy("UTC", {place.id: place for place in places}, known, rules=(rule,), digest=digest)


ROOM = Place("room", "Room", liveness="none", fmr=0.05)


class House:
    """A controller on a stage.

    Args:
        folder: for the gallery.
        policy: in force.
        actors: before the camera.
        seconds: that the play takes.
        passive: what the passive checks say.
    """

    def __init__(
        self, folder: Path, policy: Policy, actors: Sequence[Actor], seconds: float = 20.0, passive: str = ""
    ) -> None:
        path = folder / "people.db"
        fresh = not path.exists()
        self.gallery = SqliteGallery(path, create=SPACE, patience=0.2)
        if fresh:
            for number, (letter, name) in enumerate(PEOPLE.items()):
                enroll(self.gallery, name, letter, number)
        self.time = Time()
        self.stage = Stage(actors, steps(seconds, RATE))
        self.frames = iter(self.stage.frames())
        self.door = Door()
        self.numbers = count()
        self.spoilt: Exception | None = None
        self.audit: AuditLog = self.gallery.audit
        self.seeing = Seeing(
            self.stage,
            stage_rule(),
            self.gallery,
            lambda: Passive(passive),
            lambda: Challenge.random(random.Random(1)),
            0.5,
            thumbnail=lambda crop: b"jpeg" + bytes(crop[0, 0]),
        )
        self.controller = self.make(policy)

    def make(self, policy: Policy, *, trust_clock: bool = False) -> AccessController:
        return AccessController(
            policy,
            self.seeing,
            self.audit,
            self.door,
            self.time,
            integrity=self._integrity,
            model="stage",
            trust_clock=trust_clock,
        )

    def _integrity(self) -> None:
        if self.spoilt is not None:
            raise self.spoilt

    def next_frame(self) -> VideoFrame:
        """The next frame of the play, coming now."""
        frame = next(self.frames)
        self.time.steady_time = max(self.time.steady_time, frame.time)
        picture = np.zeros((600, 1200, 3), np.uint8)
        picture[: frame.image.shape[0], : frame.image.shape[1]] = frame.image
        return replace(frame, image=picture, arrived=frame.time)

    def ask(self, place: str = "room", *, pin: str | None = None, number: int = 0) -> list[Outcome]:
        return self.controller.ask(Request(f"r{number}", place, self.time.wall(), pin))

    def answer(
        self,
        place: str = "room",
        *,
        pin: str | None = None,
        each: Callable[[int, VideoFrame], VideoFrame | None] = lambda number, frame: frame,
        wait: float = ANSWER,
    ) -> Outcome:
        """Asks, and feeds frames until there is an answer; it must come in time.

        Args:
            place: asked for.
            pin: typed.
            each: what becomes of every frame, counted from 0; None: it is lost.
            wait: seconds that the answer may take.
        """
        began = self.time.steady_time
        outcomes = self.ask(place, pin=pin, number=next(self.numbers))
        shown_before = 0
        while not outcomes:
            shown = each(shown_before, self.next_frame())
            outcomes = self.controller.tick() if shown is None else self.controller.feed(shown)
            shown_before += 1
            assert self.time.steady_time <= began + wait + 0.2, "no answer in time"
        (outcome,) = outcomes
        return outcome


def enroll(gallery: SqliteGallery, name: str, letter: str, number: int, noise: float = 0.1) -> None:
    """Two pictures of a letter."""
    samples = [
        NewSample(f"{10 * number + one:064x}", Template(look(letter, [9, one], noise), SPACE.identity))
        for one in (0, 1)
    ]
    gallery.enroll([Entry(name, one) for one in samples])


@contextmanager
def house(
    folder: Path,
    *places: Place,
    actors: Sequence[Actor] = (Actor("a", still(300)),),
    people: Sequence[str] = ("Ada", "Bea"),
    seconds: float = 20.0,
    passive: str = "",
) -> Iterator[House]:
    """A gatehouse of these places (ROOM), where these people (Ada and Bea) may go."""
    made = House(folder, policy_of(*(places or (ROOM,)), people=people), actors, seconds, passive)
    try:
        yield made
    finally:
        made.gallery.close()


LOCKING = Lockout(2, 60.0, 120.0)
