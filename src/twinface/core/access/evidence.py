"""What an access decision rests on, and what it says: request, evidence, past, ruling, and the reasons there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

CHECKS = ("none", "passive", "challenge", "failed", "unknown")
"""What evidence can say of liveness: not asked, shown by passive checks, by a challenge too, refuted, not told."""


class Reason(StrEnum):
    """Why a request was granted or refused; all but the first are refusals."""

    granted = "granted"
    unknown_place = "unknown_place"
    camera_lost = "camera_lost"
    picture_frozen = "picture_frozen"
    picture_stale = "picture_stale"
    gallery_unavailable = "gallery_unavailable"
    model_tampered = "model_tampered"
    model_failed = "model_failed"
    clock_wrong = "clock_wrong"
    policy_invalid = "policy_invalid"
    audit_unavailable = "audit_unavailable"
    actuator_failed = "actuator_failed"
    internal_error = "internal_error"
    overloaded = "overloaded"
    cancelled = "cancelled"
    no_face = "no_face"
    several_faces = "several_faces"
    poor_quality = "poor_quality"
    not_consistent = "not_consistent"
    unknown_person = "unknown_person"
    inconclusive = "inconclusive"
    not_live = "not_live"
    challenge_failed = "challenge_failed"
    replayed = "replayed"
    not_allowed = "not_allowed"
    denied = "denied"
    outside_schedule = "outside_schedule"
    not_yet_valid = "not_yet_valid"
    no_longer_valid = "no_longer_valid"
    revoked = "revoked"
    locked_out = "locked_out"
    already_inside = "already_inside"
    not_inside = "not_inside"
    second_person_needed = "second_person_needed"
    factor_missing = "factor_missing"
    factor_wrong = "factor_wrong"


_WORDS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.granted: "Access is granted.",
        Reason.unknown_place: "There is no such place in the policy.",
        Reason.camera_lost: "The camera gives no picture.",
        Reason.picture_frozen: "The camera's picture stands still.",
        Reason.picture_stale: "The newest picture is too old.",
        Reason.gallery_unavailable: "The gallery of people cannot be read.",
        Reason.model_tampered: "A model's file is not the one it should be.",
        Reason.model_failed: "A model could not be run.",
        Reason.clock_wrong: "The clock cannot be trusted.",
        Reason.policy_invalid: "The policy is not valid.",
        Reason.audit_unavailable: "The audit log cannot be written.",
        Reason.actuator_failed: "The door or light did not answer.",
        Reason.internal_error: "Something unexpected went wrong.",
        Reason.overloaded: "There are too many requests at once.",
        Reason.cancelled: "The request was withdrawn.",
        Reason.no_face: "No face is seen.",
        Reason.several_faces: "More people are seen than the place allows at once.",
        Reason.poor_quality: "The face cannot be seen well enough.",
        Reason.not_consistent: "Too few pictures agree on who is seen.",
        Reason.unknown_person: "Somebody is seen whom the gallery does not know.",
        Reason.inconclusive: "It is not sure enough who is seen.",
        Reason.not_live: "The face is not shown to be a living person's.",
        Reason.challenge_failed: "The challenge was not met.",
        Reason.replayed: "The picture seems to be a recording.",
        Reason.not_allowed: "No rule lets this person in here.",
        Reason.denied: "A rule keeps this person out of here.",
        Reason.outside_schedule: "This person may come here, but not at this time.",
        Reason.not_yet_valid: "This person's access has not begun yet.",
        Reason.no_longer_valid: "This person's access is over.",
        Reason.revoked: "This person's access was revoked.",
        Reason.locked_out: "The place is locked after too many refusals.",
        Reason.already_inside: "This person is inside already, by the log.",
        Reason.not_inside: "This person has not come in, by the log.",
        Reason.second_person_needed: "The place opens to several people together, and one more is needed.",
        Reason.factor_missing: "A PIN or card is needed and was not given.",
        Reason.factor_wrong: "The PIN or card is not this person's.",
    }
)

ATTEMPTS = frozenset(
    {
        Reason.unknown_person, Reason.inconclusive, Reason.not_live, Reason.challenge_failed, Reason.replayed,
        Reason.not_allowed, Reason.denied, Reason.outside_schedule, Reason.not_yet_valid, Reason.no_longer_valid,
        Reason.revoked, Reason.factor_wrong,
    }
)  # fmt: skip
"""Refusals that count towards a lock-out: somebody tried who should not get in, or could be trying to."""


def in_words(reason: Reason) -> str:
    """The reason as a plain sentence."""
    return _WORDS[reason]


@dataclass(frozen=True)
class Request:
    """Somebody asks to go somewhere.

    Attributes:
        id: of this request, unique.
        place: id of the place, as asked; it may be unknown.
        at: when, with a time zone.
        pin: as typed; None where none was. Never shown.
        card: what the reader read; None where there was no card. Never shown.
    """

    id: str
    place: str
    at: datetime
    pin: str | None = field(default=None, repr=False)
    card: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SeenPerson:
    """Who the gallery says a face in the zone is.

    Attributes:
        uid: of the subject.
        name: of the subject, as the gallery has it.
        distance: to her templates, [0, 2].
        probability: calibrated P(same person | distance), [0, 1].
        agreeing: frames that name her.
        of: frames of this face that were asked.
        inconclusive: whether the distance lies in the band of doubt, or somebody else is as near.
    """

    uid: str
    name: str
    distance: float
    probability: float
    agreeing: int
    of: int
    inconclusive: bool = False


@dataclass(frozen=True)
class Evidence:
    """What was seen in the zone before a decision.

    Attributes:
        taken: when the newest frame was taken, with a time zone; None where there is none.
        age: seconds since then.
        faces: most faces seen at once.
        people: everybody whom the gallery names.
        strangers: tracks with enough faces that it does not.
        shortcoming: why too few faces were fit for naming ("blurred"), or why somebody is inconclusive; "" where enough
            were fit and nobody is. Nobody gets in with one.
        fmr: false match rate that the naming was held to.
        liveness: one of `CHECKS`.
        liveness_reason: what was wrong with it; None where nothing was.
        faults: what failed while looking.
    """

    taken: datetime | None = None
    age: float = float("inf")
    faces: int = 0
    people: tuple[SeenPerson, ...] = ()
    strangers: int = 0
    shortcoming: str = ""
    fmr: float = 1.0
    liveness: str = "none"
    liveness_reason: Reason | None = None
    faults: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class PastEvent:
    """An earlier decision, as far as rules ask for it.

    Attributes:
        at: when, with a time zone.
        place: id.
        uid: who; None where nobody was named.
        granted: whether access was granted.
        reason: why.
        person: key of the person in the policy; "" where it is not known, as after a restart.
        policy: digest of the policy that was in force. Who waits for a second person waits under this policy only, and
            as long as her key is still allowed in.
    """

    at: datetime
    place: str
    uid: str | None
    granted: bool
    reason: Reason
    person: str = ""
    policy: str = ""


@dataclass(frozen=True)
class Past:
    """Earlier decisions, oldest first."""

    events: tuple[PastEvent, ...] = ()

    def adding(self, event: PastEvent, now: datetime, keep: float) -> Past:
        """The past with one event more, and without those that no rule can need any more.

        Of every subject the last grant at each place is kept for ever, as anti-passback asks who is inside.

        Args:
            event: the newest.
            now: with a time zone.
            keep: seconds for which events count, `Policy.memory`.
        """
        since = now.astimezone(UTC) - timedelta(seconds=max(keep, 0.0))
        events = (*self.events, event)
        last = {(one.uid, one.place): number for number, one in enumerate(events) if one.granted and one.uid}
        lasting = frozenset(last.values())
        return Past(
            tuple(one for number, one in enumerate(events) if number in lasting or one.at.astimezone(UTC) >= since)
        )

    def without(self, uid: str) -> Past:
        """The past as if the subject had never been there: for who was removed from the gallery."""
        return Past(tuple(one for one in self.events if one.uid != uid))


@dataclass(frozen=True)
class Finding:
    """Why one check refuses.

    Attributes:
        reason: never `granted`.
        note: what was special this time, without a full stop; no names, as it goes into the log.
        facts: as `Ruling.facts`.
    """

    reason: Reason
    note: str = ""
    facts: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """A decision.

    Attributes:
        granted: whether access is granted.
        reason: why.
        place: id, as asked.
        uids: subjects it is about: who was seen and, of a grant to several people, who had asked before.
        detail: the reason in words, with what this time was special; for the log, not for who asked.
        facts: what it rests on, as "rule" (line in the policy), "schedule", "distance".
    """

    granted: bool
    reason: Reason
    place: str
    uids: tuple[str, ...] = ()
    detail: str = ""
    facts: Mapping[str, str | float | int] = field(default_factory=dict)
