"""What must be seen before anybody asks who may go where: a fresh picture, the right faces, alive, surely named."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from twinface.core.access.calendar import instant
from twinface.core.access.evidence import Evidence, Finding, Past, Reason, Request, SeenPerson
from twinface.core.access.policy import Place

CLOCK_SLACK = timedelta(seconds=1)
"""By how much something may lie ahead of the clock: clocks are set right by less all the time."""

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""A clock that shows less was never set: those of computers without a battery begin in 1970 or 2000."""

_ENOUGH = {"none": ("none", "passive", "challenge", "unknown"), "passive": ("passive", "challenge"),
           "challenge": ("challenge",)}  # fmt: skip
"""What evidence may say of liveness for what a place asks."""

_FAILED_LIVENESS = (Reason.not_live, Reason.challenge_failed, Reason.replayed)


def clock_finding(request: Request, evidence: Evidence, past: Past, now: datetime) -> Finding | None:
    """Whether all times can be compared, and none lies ahead of the clock: it may have jumped back."""
    try:
        latest = instant(now) + CLOCK_SLACK
        ahead = {
            "the request": [instant(request.at)],
            "the picture": [] if evidence.taken is None else [instant(evidence.taken)],
            "an earlier decision": [instant(event.at) for event in past.events],
        }
    except (ValueError, OverflowError):
        return Finding(Reason.clock_wrong, "a time has no time zone or is out of range")
    if instant(now) < EARLIEST:
        return Finding(Reason.clock_wrong, "the clock was never set")
    for what, times in ahead.items():
        if any(at > latest for at in times):
            return Finding(Reason.clock_wrong, f"{what} lies ahead of the clock")
    return None


def fault_finding(evidence: Evidence) -> Finding | None:
    """Whether anything failed while looking."""
    if not evidence.faults:
        return None
    first = evidence.faults[0]
    return Finding(Reason.internal_error if first is Reason.granted else first)


def freshness_finding(place: Place, evidence: Evidence, now: datetime) -> Finding | None:
    """Whether there is a picture, and of now."""
    if evidence.taken is None:
        return Finding(Reason.camera_lost)
    age = max(evidence.age, (instant(now) - instant(evidence.taken)).total_seconds())
    if not (evidence.age >= 0 and age <= place.freshness):
        told = f"{age:.1f} s" if math.isfinite(age) else "of unknown age"
        return Finding(Reason.picture_stale, f"{told}, at most {place.freshness:g} s are allowed")
    return None


def faces_finding(place: Place, evidence: Evidence) -> Finding | None:
    """Whether as many faces are seen as the place allows, well enough, and each of them is accounted for."""
    uids = [one.uid for one in evidence.people]
    accounted = len(uids) + evidence.strangers
    seen = max(evidence.faces, accounted)
    if evidence.faces < 0 or evidence.strangers < 0:
        return Finding(Reason.internal_error, "negative counts of faces")
    if seen == 0:
        return Finding(Reason.poor_quality, evidence.shortcoming) if evidence.shortcoming else Finding(Reason.no_face)
    if seen > place.most:
        return Finding(Reason.several_faces, f"{seen} seen, at most {place.most} allowed")
    if evidence.shortcoming and not any(one.inconclusive for one in evidence.people):
        return Finding(Reason.poor_quality, evidence.shortcoming)
    if len(set(uids)) < len(uids):
        return Finding(Reason.not_consistent, "one person is seen twice at once")
    if evidence.faces == 0 or evidence.faces > accounted:
        return Finding(Reason.not_consistent, f"{evidence.faces} faces seen, {accounted} of them asked for their name")
    return None


def liveness_finding(place: Place, evidence: Evidence) -> Finding | None:
    """Whether the face is shown to be alive, as far as the place asks; what was refuted never passes."""
    enough = evidence.liveness in _ENOUGH[place.liveness]
    if enough and evidence.liveness_reason is None:
        return None
    reason = evidence.liveness_reason
    if reason is None:
        passed = place.liveness == "challenge" and evidence.liveness == "passive"
        reason = Reason.challenge_failed if passed else Reason.not_live
    if reason not in _FAILED_LIVENESS:
        reason = Reason.not_live
    return Finding(reason, f"{place.liveness} asked for, {evidence.liveness} found")


def naming_finding(place: Place, evidence: Evidence) -> Finding | None:
    """Whether all faces are named, and as surely as the place asks."""
    if evidence.strangers:
        return Finding(Reason.unknown_person)
    if not 0 < evidence.fmr <= place.fmr:
        return Finding(Reason.inconclusive, f"held to FMR {evidence.fmr:g}, the place asks for {place.fmr:g}")
    for one in sorted(evidence.people, key=lambda person: person.uid):
        if (finding := _doubt(place, one, evidence.shortcoming)) is not None:
            return finding
    return None if evidence.people else Finding(Reason.not_consistent)


def _doubt(place: Place, one: SeenPerson, shortcoming: str) -> Finding | None:
    if not (one.uid and one.name and 0 <= one.distance <= 2 and 0 <= one.probability <= 1):
        return Finding(Reason.inconclusive, "the gallery's answer makes no sense")
    facts = {"distance": one.distance, "agreeing": one.agreeing, "of": one.of}
    if one.inconclusive:
        return Finding(Reason.inconclusive, shortcoming, facts)
    needed, of = place.agree
    if not (needed <= one.agreeing <= one.of and one.agreeing * of >= needed * one.of):
        return Finding(Reason.not_consistent, f"{one.agreeing} of {one.of} agree, {needed} of {of} are needed", facts)
    return None
