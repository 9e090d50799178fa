"""A policy in plain words: who may go where and when, what is asked of them, what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from twinface.core.access.actions import action_words, concerns
from twinface.core.access.calendar import Schedule, instant, wall_clock
from twinface.core.access.evidence import Reason
from twinface.core.access.factors import read_hash
from twinface.core.access.permission import permission
from twinface.core.access.policy import AccessRule, Person, Place, Policy
from twinface.core.wording import fmr_label

_LIVENESS = {
    "none": "",
    "passive": "photos and recordings are looked for",
    "challenge": "the head is turned as told",
}


@dataclass(frozen=True)
class RuleWords:
    """One rule about a place.

    Attributes:
        who: people and groups, as written.
        people: names of all of them.
        schedule: its name; "" for always.
        when: "always", or the schedule's name and hours.
        dates: from and until when; "" for no bound.
        note: as written.
        line: in the file.
    """

    who: str
    people: tuple[str, ...]
    schedule: str
    when: str
    dates: str
    note: str
    line: int


@dataclass(frozen=True)
class PlaceWords:
    """One place.

    Attributes:
        id: of the place.
        name: of the place.
        line: in the file.
        allowed: who may go there.
        refused: who must not, whatever is allowed.
        asked: what is asked of them.
        guarded: what else keeps it safe: the second person, lock-out, anti-passback.
        on_grant: what follows.
        on_refusal: what follows.
    """

    id: str
    name: str
    line: int
    allowed: tuple[RuleWords, ...]
    refused: tuple[RuleWords, ...]
    asked: tuple[str, ...]
    guarded: tuple[str, ...]
    on_grant: tuple[str, ...]
    on_refusal: tuple[str, ...]


def place_words(policy: Policy, place: Place) -> PlaceWords:
    """All that a policy says of a place."""
    rules = [rule for rule in policy.rules if place.id in rule.places]
    told = {
        effect: tuple(_rule_words(policy, rule) for rule in rules if rule.effect == effect)
        for effect in ("allow", "deny")
    }
    follows = {
        granted: tuple(
            action_words(policy.actions[name], granted) for name in names if concerns(policy.actions[name], granted)
        )
        for granted, names in ((True, place.on_grant), (False, place.on_refusal))
    }
    return PlaceWords(
        place.id, place.name, place.line, told["allow"], told["deny"], tuple(_asked(place)),
        tuple(_guarded(place)), follows[True], follows[False],
    )  # fmt: skip


def _rule_words(policy: Policy, rule: AccessRule) -> RuleWords:
    names = tuple(sorted(policy.people[key].name for key in rule.people))
    return RuleWords(
        ", ".join(rule.who), names, rule.schedule, when_words(policy, rule.schedule), dates_words(policy, rule),
        rule.note, rule.line,
    )  # fmt: skip


def when_words(policy: Policy, name: str) -> str:
    """When a rule with that schedule holds: "office hours: Mondays to Fridays 07:00 to 19:00, not on holidays"."""
    return f"{name}: {hours_words(policy, policy.schedules[name])}" if name else "always"


def hours_words(policy: Policy, schedule: Schedule) -> str:
    """A schedule's hours: "Mondays to Fridays 07:00 to 19:00, not on holidays"."""
    hours = "; ".join(str(window) for window in schedule.windows)
    special = {"only": ", on holidays only", "off": ", not on holidays", "on": ""}[schedule.holidays]
    return hours + (special if policy.holidays else "")


def dates_words(policy: Policy, what: AccessRule | Person) -> str:
    """From and until when something holds, by the wall: "from 2026-11-30 to 2026-12-18"; "" for no bound."""
    parts = []
    if what.valid_from is not None:
        parts.append(f"from {_moment(policy, what.valid_from)}")
    if what.valid_until is not None:
        last = what.valid_until
        if wall_clock(last, policy.zone).time() == datetime.min.time():  # a day counts whole
            parts.append(f"to {wall_clock(last, policy.zone) - timedelta(days=1):%Y-%m-%d}")
        else:
            parts.append(f"until {_moment(policy, last)}")
    return " ".join(parts)


def _moment(policy: Policy, at: datetime) -> str:
    wall = wall_clock(at, policy.zone)
    return f"{wall:%Y-%m-%d}" if wall.time() == datetime.min.time() else f"{wall:%Y-%m-%d %H:%M}"


def _asked(place: Place) -> Iterator[str]:
    least, of = place.agree
    yield f"{least} of {of} pictures agree, with {fmr_label(place.fmr)} false matches at most"
    if place.liveness != "none":
        yield _LIVENESS[place.liveness]
    yield ("nobody else in view" if place.most == 1 else f"up to {place.most} people in view, all of them allowed here")
    for factor, word in (("pin", "a PIN"), ("card", "a card")):
        if factor in place.factors:
            yield f"{word} of one's own"


def _guarded(place: Place) -> Iterator[str]:
    if place.people > 1:
        yield f"opens to {place.people} different people together, within {span_words(place.together)}"
    if place.direction == "in":
        again = "" if place.passback_reset is None else f", until {span_words(place.passback_reset * 3600)} later"
        yield f"who went into the {place.area} must leave it before going in again{again}"
    if place.direction == "out":
        yield f"only who went into the {place.area} may leave it"
    if place.lockout is not None:
        rule = place.lockout
        refusals = "1 refusal" if rule.refusals == 1 else f"{rule.refusals} refusals"
        yield f"closes for {span_words(rule.seconds)} after {refusals} within {span_words(rule.within)}"


def span_words(seconds: float) -> str:
    """A time span: "30 s", "5 min", "16 h"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0 and (unit != "days" or seconds > 86400):
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


@dataclass(frozen=True)
class Now:
    """Who gets in where at a moment.

    Attributes:
        place: id.
        may: names of those whom the rules let in.
        not_now: names of the others whom some rule lets in, by why it does not now.
    """

    place: str
    may: tuple[str, ...]
    not_now: Mapping[Reason, tuple[str, ...]]


def at_moment(policy: Policy, now: datetime) -> list[Now]:
    """Who gets in where at a moment, by the rules alone: a face, a PIN, a second person are asked for beside."""
    told = []
    for place in policy.places.values():
        concerned = {
            key for rule in policy.rules if rule.effect == "allow" and place.id in rule.places for key in rule.people
        }
        answers = {key: permission(policy, policy.people[key], place, now) for key in concerned}
        by_name = sorted(answers, key=lambda key: policy.people[key].name)
        may = tuple(policy.people[key].name for key in by_name if isinstance(answers[key], AccessRule))
        not_now: dict[Reason, tuple[str, ...]] = {}
        for key in by_name:
            answer = answers[key]
            if not isinstance(answer, AccessRule):
                not_now[answer.reason] = (*not_now.get(answer.reason, ()), policy.people[key].name)
        told.append(Now(place.id, may, not_now))
    return told


def nowhere(policy: Policy) -> tuple[str, ...]:
    """Names of those who may go nowhere, ever."""
    anywhere = {key for rule in policy.rules if rule.effect == "allow" and rule.places for key in rule.people}
    return tuple(sorted(one.name for key, one in policy.people.items() if key not in anywhere or one.revoked))


def moment(text: str, zone: str) -> datetime:
    """Reads a time of the wall, as 2026-12-24T18:00, or with an offset; where the wall shows it twice the first.

    Raises:
        ValueError: it is none.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'"{text}" is no time; write it as 2026-12-24T18:00') from None
    if not 1971 <= at.year <= 2999:
        raise ValueError(f'"{text}" is out of range; write a time between 1971 and 2999')
    return instant(at if at.utcoffset() is not None else at.replace(tzinfo=ZoneInfo(zone)))


def warnings(policy: Policy, now: datetime) -> list[tuple[int, str]]:
    """What is no mistake, but may not be meant: lines and words, in the file's order."""
    found = [*_unused(policy), *_expired(policy, now), *_loose(policy)]
    return sorted(found, key=lambda one: one[0])


def _unused(policy: Policy) -> Iterator[tuple[int, str]]:
    used = {rule.schedule for rule in policy.rules}
    for schedule in policy.schedules.values():
        if schedule.name not in used:
            yield schedule.line, f'the schedule "{schedule.name}" is in no rule'
    named = {name for place in policy.places.values() for name in (*place.on_grant, *place.on_refusal)}
    for name in policy.actions:
        if name not in named:
            yield 0, f'no place names the action "{name}"'
    for name, members in policy.groups.items():
        if not members:
            yield 0, f'the group "{name}" is empty'
    anywhere = {key for rule in policy.rules if rule.effect == "allow" for key in rule.people}
    for key, person in policy.people.items():
        if key not in anywhere:
            yield person.line, f'no rule lets "{person.name}" in anywhere'
    for rule in policy.rules:
        if not rule.people:
            yield rule.line, f"the rule for {', '.join(rule.who)} is about nobody"


def _expired(policy: Policy, now: datetime) -> Iterator[tuple[int, str]]:
    for rule in policy.rules:
        if rule.valid_until is not None and instant(now) >= instant(rule.valid_until):
            yield rule.line, f"the rule for {', '.join(rule.who)} is over since {_moment(policy, rule.valid_until)}"
    for person in policy.people.values():
        if person.valid_until is not None and instant(now) >= instant(person.valid_until) and not person.revoked:
            yield person.line, f'the access of "{person.name}" is over since {_moment(policy, person.valid_until)}'
    years = {one.year for one in policy.holidays if one.year is not None}
    if years and max(years) < wall_clock(now, policy.zone).year:
        yield 0, f"the dated holidays end with {max(years)}; add those of this year"


def _loose(policy: Policy) -> Iterator[tuple[int, str]]:
    for rule in policy.rules:
        off = rule.schedule and policy.schedules[rule.schedule].holidays == "off"
        if rule.effect == "deny" and off and policy.holidays:
            yield (
                rule.line,
                (
                    f'this refusal does not hold on holidays, as "{rule.schedule}" is closed then; give the schedule '
                    'holidays = "on"'
                ),
            )
    for place in policy.places.values():
        if place.liveness == "none" and not place.factors:
            yield place.line, f'"{place.id}" asks for no liveness: a photo of somebody gets in'
    weak = [person for person in policy.people.values() if any(map(_is_weak, (person.pin, person.card)))]
    for person in weak:
        yield person.line, f'a hash of "{person.name}" is quick to try out; make it anew with twinface access pin'


def _is_weak(hashed: str | None) -> bool:
    return hashed is not None and read_hash(hashed).weak


def people_words(policy: Policy) -> list[tuple[str, str]]:
    """Of people who are bound to dates or revoked: name, and how she stands."""
    told = []
    for one in sorted(policy.people.values(), key=lambda person: person.name):
        words = [*(["revoked: may go nowhere"] if one.revoked else []), dates_words(policy, one)]
        if any(words):
            told.append((one.name, ", ".join(filter(None, words))))
    return told
