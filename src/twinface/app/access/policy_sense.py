"""Contradictions of a policy whose every line is fine by itself. The clock is not asked: sense does not expire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from twinface.core.access.actions import concerns
from twinface.core.access.policy import AccessRule, Place, Policy
from twinface.core.files import shown

Problem = tuple[int, str]
"""A line of the file, and what is wrong there."""

_ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_NAMES_TOLD = 3


def contradictions_of_places(places: Iterable[Place]) -> Iterator[Problem]:
    """What is wrong with places, each by itself or together, whoever may go there."""
    directions: dict[str, dict[str, Place]] = defaultdict(dict)
    for place in places:
        where = f"places.{place.id}"
        if place.area:
            directions[place.area].setdefault(place.direction, place)
        if place.liveness == "challenge" and place.most > 1:
            yield place.line, f'{where}: a challenge is for one face; set most = 1, or liveness = "passive"'
        if place.factors and place.most > 1:
            yield place.line, f"{where}: a request brings one PIN or card, of one person; set most = 1, or factors = []"
    for area, doors in directions.items():
        (door, *others) = doors.values()
        if not others:
            other = "out of" if door.direction == "in" else "into"
            whom = "who is in stays in" if door.direction == "in" else "nobody is ever inside, so nobody gets out"
            yield (
                door.line,
                (
                    f'places.{door.id}: no place leads {other} the area "{shown(area)}": {whom}; add one, or leave '
                    "area out"
                ),
            )


def contradictions(policy: Policy) -> Iterator[Problem]:
    """What is wrong with rules, places and people together."""
    denied = _Denials(policy)
    allowed: dict[str, set[str]] = {id_: set() for id_ in policy.places}
    for rule in policy.rules:
        if rule.effect == "deny":
            continue
        left = denied.left(rule)
        if rule.people and not any(left.values()):
            lines = ", ".join(map(str, denied.lines(rule)[:_NAMES_TOLD]))
            yield (
                rule.line,
                f"allow: lets nobody in, as the refusal on line {lines} covers it all; leave one of them out",
            )
        for id_, people in left.items():
            allowed[id_] |= {key for key in people if not policy.people[key].revoked}
    for place in policy.places.values():
        yield from _of_place(policy, place, allowed[place.id])


def _of_place(policy: Policy, place: Place, allowed: set[str]) -> Iterator[Problem]:
    where = f"places.{place.id}"
    if not allowed:
        yield (
            place.line,
            f'{where}: nobody can go there; add an [[allow]] rule with where = ["{place.id}"], or leave it out',
        )
    elif len(allowed) < place.people:
        yield (
            place.line,
            (
                f"{where}: {place.people} people must come together, and only {len(allowed)} may go there; allow more "
                "people, or lower the number"
            ),
        )
    for factor, word in (("pin", "PIN"), ("card", "card")):
        if factor not in place.factors:
            continue
        lacking = sorted(policy.people[key].name for key in allowed if getattr(policy.people[key], factor) is None)
        if lacking:
            more = f" and {len(lacking) - _NAMES_TOLD} more" if len(lacking) > _NAMES_TOLD else ""
            option = " --card" if factor == "card" else ""
            yield (
                place.line,
                (
                    f"{where}: asks for a {word}, and people without one may go there: "
                    f"{', '.join(map(shown, lacking[:_NAMES_TOLD]))}{more}; make it with twinface access pin{option}"
                ),
            )
    for granted, names in ((True, place.on_grant), (False, place.on_refusal)):
        for name in names:
            if not concerns(policy.actions[name], granted):
                key, on = ("on_grant", "grant") if granted else ("on_refusal", "refusal")
                yield (
                    place.line,
                    (
                        f'{where}: {key} names "{shown(name)}", which is not for that; give that action on = "both", '
                        f'or "{on}"'
                    ),
                )


class _Denials:
    """Who is kept out of what, by refusals that hold whenever a given rule does."""

    def __init__(self, policy: Policy) -> None:
        self._rules = [rule for rule in policy.rules if rule.effect == "deny"]

    def left(self, rule: AccessRule) -> dict[str, frozenset[str]]:
        """Whom a rule lets in at least at times, by place."""
        out: dict[frozenset[str], set[str]] = defaultdict(set)  # few sets of places, even where refusals are many
        for one in self._rules:
            if _covers(one, rule):
                out[one.places] |= one.people
        return {
            id_: rule.people.difference(*(people for places, people in out.items() if id_ in places))
            for id_ in rule.places
        }

    def lines(self, rule: AccessRule) -> list[int]:
        """The lines of the refusals that take something from a rule."""
        return [
            one.line
            for one in self._rules
            if _covers(one, rule) and one.people & rule.people and one.places & rule.places
        ]


def _span(rule: AccessRule) -> tuple[datetime, datetime]:
    return rule.valid_from or _ALWAYS[0], rule.valid_until or _ALWAYS[1]


def _covers(denial: AccessRule, rule: AccessRule) -> bool:
    """Whether a refusal holds whenever the rule does."""
    start, end = _span(denial)
    first, last = _span(rule)
    return denial.schedule in ("", rule.schedule) and start <= first and end >= last
