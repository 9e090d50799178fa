"""Answers for machines and for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from twinface.core.access.evidence import Evidence, Request, Ruling, in_words
from twinface.services.access_control import Outcome


def answer_json(request: Request, ruling: Ruling, evidence: Evidence | None, zone: str) -> dict[str, Any]:
    """An answer as every command prints it.

    Args:
        request: who asked for what.
        ruling: the answer.
        evidence: what it rests on.
        zone: in which times are told.
    """
    people = () if evidence is None else evidence.people
    return {
        "time": local(request.at, zone).isoformat(timespec="milliseconds"),
        "place": request.place,
        "person": ", ".join(person.name for person in people) or None,
        "decision": "grant" if ruling.granted else "refuse",
        "reason": str(ruling.reason),
    }


def outcome_json(outcome: Outcome, zone: str) -> dict[str, Any]:
    """An answer of `twinface access run`."""
    record = outcome.record
    return {
        **answer_json(outcome.request, outcome.ruling, outcome.evidence, zone),
        "words": in_words(outcome.ruling.reason),
        "request": outcome.request.id,
        "record": None if record is None else record.number,
        "seconds": round(outcome.seconds, 3),
    }


def public_json(outcome: Outcome) -> dict[str, Any]:
    """What whoever asked over the network is told: whether, and why, but not who others are."""
    return {
        "id": outcome.request.id,
        "place": outcome.request.place,
        "decision": "grant" if outcome.ruling.granted else "refuse",
        "reason": str(outcome.ruling.reason),
        "words": in_words(outcome.ruling.reason),
    }


def line_of(outcome: Outcome, place: str, zone: str) -> str:
    """An answer for whoever sits at the terminal: when, where, what, who, why."""
    people = () if outcome.evidence is None else outcome.evidence.people
    who = ", ".join(person.name for person in people) or "nobody known"
    word = "GRANT " if outcome.ruling.granted else "REFUSE"
    when = f"{local(outcome.request.at, zone):%H:%M:%S}"
    return f"{when}  {word}  {place or outcome.request.place}  {who}  {in_words(outcome.ruling.reason)}"


def local(moment: datetime, zone: str) -> datetime:
    """A moment in the policy's time zone."""
    return moment.astimezone(ZoneInfo(zone))
