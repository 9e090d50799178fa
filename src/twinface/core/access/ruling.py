"""The decision: policy, request, evidence, past and clock in, a ruling out. Pure and total; doubt refuses.

The checks follow one another so that a locked place does no work and the reasons are useful: clock, place, lock-out,
faults, freshness, faces, liveness, names, rules, PIN and card, anti-passback, and last the second person. Each finds a
refusal or leaves the word to the next; a grant is what no check refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from twinface.core.access.evidence import (
    Evidence,
    Finding,
    Past,
    PastEvent,
    Reason,
    Request,
    Ruling,
    SeenPerson,
    in_words,
)
from twinface.core.access.factors import factor_finding
from twinface.core.access.history import lockout_finding, passback_finding, waiting
from twinface.core.access.permission import permission
from twinface.core.access.policy import AccessRule, Person, Place, Policy
from twinface.core.access.sight import (
    clock_finding,
    faces_finding,
    fault_finding,
    freshness_finding,
    liveness_finding,
    naming_finding,
)

Named = tuple[SeenPerson, Person]
"""Somebody seen, and whom the policy knows her as."""


def decide(policy: Policy, request: Request, evidence: Evidence, past: Past, now: datetime) -> Ruling:
    """Whether the request is granted.

    Args:
        policy: in force.
        request: what is asked.
        evidence: what was seen for it.
        past: earlier decisions.
        now: with a time zone.

    Returns:
        The ruling. Never an exception, whatever it is given: what cannot be judged is refused as `internal_error`.
    """
    try:
        return _decide(policy, request, evidence, past, now)
    except Exception as error:  # noqa: BLE001 - fails closed: a mistake in here must neither open a door nor stop it all
        return _refusal(request, (), Finding(Reason.internal_error, f"{type(error).__name__} while deciding"))


def remembered(policy: Policy, ruling: Ruling, evidence: Evidence, at: datetime) -> tuple[PastEvent, ...]:
    """What a ruling leaves behind for those that follow, to be given to `Past.adding`: an event for every subject.

    Args:
        policy: the one that was in force.
        ruling: made by `decide`, or a refusal made where it was not asked.
        evidence: what it rested on.
        at: when it was made.
    """
    names = {one.uid: one.name for one in evidence.people}
    keys = {uid: person.key for uid, name in names.items() if (person := policy.person(name)) is not None}
    return tuple(
        PastEvent(at, ruling.place, uid, ruling.granted, ruling.reason, keys.get(uid, "") if uid else "", policy.digest)
        for uid in ruling.uids or (None,)
    )


def _decide(policy: Policy, request: Request, evidence: Evidence, past: Past, now: datetime) -> Ruling:
    uids = tuple(sorted({one.uid for one in evidence.people}))
    finding = clock_finding(request, evidence, past, now)
    if finding is not None:
        return _refusal(request, uids, finding)
    place = policy.places.get(request.place)
    if place is None:
        return _refusal(request, uids, Finding(Reason.unknown_place))
    finding = (
        lockout_finding(place, past, now)
        or fault_finding(evidence)
        or freshness_finding(place, evidence, now)
        or faces_finding(place, evidence)
        or liveness_finding(place, evidence)
        or naming_finding(place, evidence)
    )
    if finding is not None:
        return _refusal(request, uids, finding)
    return _admit(policy, place, request, evidence, past, now)


def _admit(policy: Policy, place: Place, request: Request, evidence: Evidence, past: Past, now: datetime) -> Ruling:
    """The ruling on people who are surely named: everybody seen has to be let in, one by one and together."""
    seen = sorted(evidence.people, key=lambda one: one.uid)
    uids = tuple(one.uid for one in seen)
    facts: dict[str, str | float | int] = {
        "distance": max(one.distance for one in seen),
        "agreeing": min(one.agreeing for one in seen),
        "of": max(one.of for one in seen),
    }
    named: list[Named] = []
    for one in seen:
        person = policy.person(one.name)
        if person is None:
            return _refusal(request, uids, Finding(Reason.not_allowed, "the policy does not name this person"), facts)
        named.append((one, person))
    rules: dict[str, AccessRule] = {}
    for one, person in named:
        allowed = permission(policy, person, place, now)
        if isinstance(allowed, Finding):
            return _refusal(request, uids, allowed, facts)
        rules[one.uid] = allowed
    facts |= _rule_facts(rules)
    for one, person in named:
        finding = factor_finding(place, person, request) or passback_finding(policy, place, one.uid, past, now)
        if finding is not None:
            return _refusal(request, uids, finding, facts)
    together = rules
    if place.people > 1:
        together = {**waiting(policy, place, past, now), **rules}
        if len(together) < place.people:
            note = f"{len(together)} of {place.people}"
            return _refusal(request, uids, Finding(Reason.second_person_needed, note), facts)
    lines = sorted({rule.line for rule in together.values()})
    note = f"rule on line {', '.join(map(str, lines))}"
    return Ruling(True, Reason.granted, request.place, tuple(sorted(together)), _detail(Reason.granted, note), facts)


def _rule_facts(rules: Mapping[str, AccessRule]) -> dict[str, str | float | int]:
    """The rule that lets the first in, and its schedule."""
    first = min(rules.values(), key=lambda rule: (rule.line, rule.schedule))
    return {"rule": first.line, **({"schedule": first.schedule} if first.schedule else {})}


def _refusal(
    request: Request, uids: tuple[str, ...], finding: Finding, facts: Mapping[str, str | float | int] | None = None
) -> Ruling:
    told = {**(facts or {}), **finding.facts}
    return Ruling(False, finding.reason, request.place, uids, _detail(finding.reason, finding.note), told)


def _detail(reason: Reason, note: str) -> str:
    sentence = in_words(reason)
    return f"{sentence[:-1]}: {note}." if note else sentence
