"""What earlier decisions mean for the next: lock-out, anti-passback, and who waits for a second person."""

from __future__ import annotations

from datetime import datetime, timedelta

from twinface.core.access.calendar import instant
from twinface.core.access.evidence import ATTEMPTS, Finding, Past, PastEvent, Reason
from twinface.core.access.permission import permission
from twinface.core.access.policy import AccessRule, Place, Policy


def lockout_finding(place: Place, past: Past, now: datetime) -> Finding | None:
    """Whether a place is closed to everybody after refusals of kinds that a person causes (`ATTEMPTS`).

    Refusals while it is closed do not count; those before do, so who goes on trying closes it again at once.
    """
    rule = place.lockout
    if rule is None:
        return None
    times = sorted(
        instant(event.at)
        for event in past.events
        if event.place == place.id and not event.granted and event.reason in ATTEMPTS
    )
    within = timedelta(seconds=rule.within)
    ends = [
        last + timedelta(seconds=rule.seconds)
        for first, last in zip(times, times[rule.refusals - 1 :], strict=False)
        if last - first <= within
    ]
    if not ends or instant(now) >= ends[-1]:
        return None
    left = (ends[-1] - instant(now)).total_seconds()
    return Finding(Reason.locked_out, f"{left:.0f} s more", {"seconds_left": round(left, 1)})


def passback_finding(policy: Policy, place: Place, uid: str, past: Past, now: datetime) -> Finding | None:
    """Whether a subject goes in only from outside, and out only from inside.

    The last grant at any of the area's places tells. An entry counts for `passback_reset` hours against entering again,
    and always for leaving.
    """
    if not place.area:
        return None
    last = _last_passage(policy, place.area, uid, past)
    inside = last is not None and policy.places[last.place].direction == "in"
    if place.direction == "out":
        return None if inside else Finding(Reason.not_inside, f"area {place.area}")
    if last is None or not inside:
        return None
    age = (instant(now) - instant(last.at)).total_seconds()
    if place.passback_reset is not None and age >= place.passback_reset * 3600:
        return None
    return Finding(Reason.already_inside, f"area {place.area}, since {age / 60:.0f} min")


def _last_passage(policy: Policy, area: str, uid: str, past: Past) -> PastEvent | None:
    places = {one.id for one in policy.places.values() if one.area == area}
    passages = [event for event in past.events if event.granted and event.uid == uid and event.place in places]
    return max(reversed(passages), key=lambda event: instant(event.at), default=None)


def waiting(policy: Policy, place: Place, past: Past, now: datetime) -> dict[str, AccessRule]:
    """Who asked for a place that opens to several people, a short while ago, and would still be let in now.

    Nobody who asked before the last grant counts: that has used them up. Nor does anybody of whom only the uid is
    known, as after a restart, or who asked under another policy.

    Returns:
        For every subject the rule that lets her in.
    """
    found: dict[str, AccessRule] = {}
    for event in past.events:
        if event.place != place.id:
            continue
        if event.granted:
            found.clear()
            continue
        age = (instant(now) - instant(event.at)).total_seconds()
        if event.reason is not Reason.second_person_needed or not event.uid or age > place.together:
            continue
        person = policy.people.get(event.person) if event.policy == policy.digest else None
        allowed = None if person is None else permission(policy, person, place, now)
        if isinstance(allowed, AccessRule) and passback_finding(policy, place, event.uid, past, now) is None:
            found[event.uid] = allowed
    return found
