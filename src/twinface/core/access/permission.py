"""Whether the rules let a person into a place at a time. Keeping out beats letting in, whatever their order."""

from __future__ import annotations

from datetime import datetime

from twinface.core.access.calendar import instant, wall_clock
from twinface.core.access.evidence import Finding, Reason
from twinface.core.access.policy import AccessRule, Person, Place, Policy


def standing(person: Person, now: datetime) -> Finding | None:
    """Whether a person may go anywhere at all now."""
    if person.revoked:
        return Finding(Reason.revoked)
    reason = _outside(person.valid_from, person.valid_until, now)
    return None if reason is None else Finding(reason)


def permission(policy: Policy, person: Person, place: Place, now: datetime) -> AccessRule | Finding:
    """The rule that lets a person in, the first one in the file; else why none does.

    Args:
        policy: in force.
        person: of this policy.
        place: of this policy.
        now: with a time zone.
    """
    if (finding := standing(person, now)) is not None:
        return finding
    concerned = sorted(
        (rule for rule in policy.rules if person.key in rule.people and place.id in rule.places), key=_rank
    )
    wall = wall_clock(now, policy.zone)
    obstacles = [(rule, _obstacle(policy, rule, wall, now)) for rule in concerned]
    for rule, obstacle in obstacles:
        if rule.effect == "deny" and obstacle is None:
            return Finding(Reason.denied, f"rule on line {rule.line}", _facts(rule))
    allowing = [(rule, obstacle) for rule, obstacle in obstacles if rule.effect == "allow"]
    for rule, obstacle in allowing:
        if obstacle is None:
            return rule
    for reason in (Reason.outside_schedule, Reason.not_yet_valid, Reason.no_longer_valid):
        for rule, obstacle in allowing:
            if obstacle is reason:
                named = f" ({rule.schedule})" if reason is Reason.outside_schedule else ""
                return Finding(reason, f"rule on line {rule.line}{named}", _facts(rule))
    return Finding(Reason.not_allowed)


def _obstacle(policy: Policy, rule: AccessRule, wall: datetime, now: datetime) -> Reason | None:
    """Why a rule does not hold now; None where it does."""
    reason = _outside(rule.valid_from, rule.valid_until, now)
    if reason is None and rule.schedule and not policy.schedules[rule.schedule].open_at(wall, policy.holidays):
        return Reason.outside_schedule
    return reason


def _outside(start: datetime | None, end: datetime | None, now: datetime) -> Reason | None:
    if start is not None and instant(now) < instant(start):
        return Reason.not_yet_valid
    if end is not None and instant(now) >= instant(end):
        return Reason.no_longer_valid
    return None


def _rank(rule: AccessRule) -> tuple[int, str, tuple[str, ...]]:
    """An order of rules that is the file's, and stays the same for rules that come from none."""
    return rule.line, rule.schedule, rule.who


def _facts(rule: AccessRule) -> dict[str, str | float | int]:
    return {"rule": rule.line, **({"schedule": rule.schedule} if rule.schedule else {})}
