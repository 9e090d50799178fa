"""A policy: places, people, rules and what follows on a decision. Values only; `ruling` judges by them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from twinface.core.access.calendar import Holiday, Schedule, zone_of
from twinface.core.naming import name_key
from twinface.errors import GalleryError

if TYPE_CHECKING:
    from twinface.core.access.actions import Action

Liveness = Literal["none", "passive", "challenge"]
"""What a place asks for: nothing, passive checks, or a turn of the head on demand."""

Factor = Literal["pin", "card"]
Direction = Literal["", "in", "out"]
Effect = Literal["allow", "deny"]


@dataclass(frozen=True)
class Lockout:
    """When a place closes to everybody for a while.

    Attributes:
        refusals: so many close it.
        within: seconds in which they come.
        seconds: how long it stays closed after the last of them.
    """

    refusals: int
    within: float
    seconds: float

    def __post_init__(self) -> None:
        if self.refusals < 1:
            raise ValueError(f"lock-out: refusals must be at least 1, got {self.refusals}")
        _check_seconds("lock-out: within", self.within)
        _check_seconds("lock-out: seconds", self.seconds)


@dataclass(frozen=True)
class Place:
    """Somewhere one may ask to go: a floor, a door, a gate.

    Attributes:
        id: what requests call it.
        name: what people call it.
        line: in the policy's file, from 1; 0 where there is none.
        fmr: false match rate that naming is held to here.
        liveness: what is asked for against photos and recordings.
        agree: (n, m): n of m frames must name a person.
        most: people allowed in the zone at once; all of them must be allowed here.
        people: how many different people must ask together; 1 for no such rule.
        together: seconds within which they do.
        factors: what a request must bring beside the face.
        area: the area it leads into or out of, for anti-passback; "" for none.
        direction: whether it leads in or out; "" where there is no area.
        passback_reset: hours after which an entry no longer keeps from entering again; None for never.
        lockout: when it closes after refusals; None for never.
        freshness: seconds that the newest frame may be old.
        patience: seconds within which a decision falls, beside what liveness takes.
        on_grant: names of actions.
        on_refusal: names of actions.
    """

    id: str
    name: str = ""
    line: int = 0
    fmr: float = 1e-4
    liveness: Liveness = "passive"
    agree: tuple[int, int] = (3, 5)
    most: int = 1
    people: int = 1
    together: float = 30.0
    factors: frozenset[Factor] = frozenset()
    area: str = ""
    direction: Direction = ""
    passback_reset: float | None = None
    lockout: Lockout | None = None
    freshness: float = 1.0
    patience: float = 2.0
    on_grant: tuple[str, ...] = ()
    on_refusal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least, of = self.agree
        if not 1 <= least <= of:
            raise ValueError(f"place {self.id}: agree must be n of m with 1 <= n <= m, got {least} of {of}")
        if not 0 < self.fmr < 1:
            raise ValueError(f"place {self.id}: fmr must lie between 0 and 1, got {self.fmr}")
        if self.most < 1 or self.people < 1:
            raise ValueError(f"place {self.id}: most and people must be at least 1, got {self.most}, {self.people}")
        if bool(self.area) != bool(self.direction):
            raise ValueError(f"place {self.id}: area and direction go together, got {self.area!r}, {self.direction!r}")
        _check_seconds(f"place {self.id}: together", self.together)
        _check_seconds(f"place {self.id}: freshness", self.freshness)
        _check_seconds(f"place {self.id}: patience", self.patience)
        if self.passback_reset is not None:
            _check_seconds(f"place {self.id}: passback_reset", self.passback_reset)


@dataclass(frozen=True)
class Person:
    """Somebody of the gallery, as the policy knows her.

    Attributes:
        name: as written in the policy.
        key: `name_key` of it, by which the gallery's subject is found.
        line: in the policy's file.
        pin: scrypt hash; None where she has none. Never shown.
        card: likewise.
        valid_from: the first moment she may go anywhere, UTC; None for always.
        valid_until: the first moment she may no more, UTC; None for never.
        revoked: whether she may go nowhere.
    """

    name: str
    key: str
    line: int = 0
    pin: str | None = field(default=None, repr=False)
    card: str | None = field(default=None, repr=False)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True)
class AccessRule:
    """Who may go where and when, or must not.

    Attributes:
        effect: whether it lets in or keeps out; keeping out wins.
        people: keys of all it is about, groups resolved.
        places: ids of all it is about.
        line: in the policy's file.
        who: people and groups as written.
        schedule: name of the one outside which it does not hold; "" for none.
        valid_from: the first moment it holds, UTC; None for always.
        valid_until: the first moment it does no more, UTC; None for never.
        note: for whoever reads the policy.
    """

    effect: Effect
    people: frozenset[str]
    places: frozenset[str]
    line: int = 0
    who: tuple[str, ...] = ()
    schedule: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


@dataclass(frozen=True)
class Policy:
    """Who may go where.

    Attributes:
        zone: IANA time zone of all wall-clock times.
        places: by id.
        people: by `name_key`.
        groups: keys of all their people by name, groups within groups resolved.
        rules: in the file's order, which means nothing.
        schedules: by name.
        holidays: days that schedules may except.
        actions: by name.
        thumbnails: whether the audit log may keep a small picture of the face.
        retention: days that thumbnails are kept.
        digest: SHA-256 of the file's bytes, hexadecimal.
        origin: where it came from, for messages.
    """

    zone: str
    places: Mapping[str, Place]
    people: Mapping[str, Person]
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rules: tuple[AccessRule, ...] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    holidays: tuple[Holiday, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    thumbnails: bool = False
    retention: float = 0.0
    digest: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        zone_of(self.zone)
        for rule in self.rules:
            strangers = [*(rule.people - set(self.people)), *(rule.places - set(self.places))]
            if rule.schedule and rule.schedule not in self.schedules:
                strangers.append(rule.schedule)
            if strangers:
                raise ValueError(f"policy: the rule on line {rule.line} names what is not there: {sorted(strangers)}")
        for place in self.places.values():
            unknown = {*place.on_grant, *place.on_refusal} - set(self.actions)
            if unknown:
                raise ValueError(f"policy: place {place.id} names actions that are not there: {sorted(unknown)}")

    def person(self, name: str) -> Person | None:
        """Whom the policy means by the gallery's name, however it is written; None where it knows nobody so."""
        try:
            return self.people.get(name_key(name))
        except GalleryError:
            return None

    def memory(self) -> float:
        """Seconds for which earlier events can matter; see `Past.adding`."""
        spans = [0.0]
        for place in self.places.values():
            spans.append(place.together)
            if place.lockout is not None:
                spans.append(place.lockout.within + place.lockout.seconds)
        return max(spans)


LONGEST = 366 * 86400.0
"""Seconds, or hours: any time span of a policy is shorter."""


def _check_seconds(what: str, span: float) -> None:
    if not (math.isfinite(span) and 0 < span <= LONGEST):
        raise ValueError(f"{what} must be positive and at most a year, got {span}")
