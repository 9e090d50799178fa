"""Plays a day from a file against a policy: who comes when, with what, and what the policy says to it.

No camera and no gallery is needed: what would be seen is written in the file. What the checks for a living face stop is
taken from what was measured (docs/liveness.md), in the main: passive checks stop a picture that is held still and a
stream that stands still, a challenge also pictures that are moved and recordings that run by themselves. Where a place
asks for neither, a good picture of somebody is somebody; and where somebody has films of both turns and starts the
right one (a chosen recording), no check stops him.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from twinface.app.access.policy_keys import Key
from twinface.app.access.policy_values import Problems, read_keys, table
from twinface.app.access.toml_lines import lines_of
from twinface.core.access.calendar import first_moment
from twinface.core.access.evidence import Evidence, Past, Reason, Request, Ruling, SeenPerson
from twinface.core.access.policy import Place, Policy
from twinface.core.access.ruling import decide, remembered
from twinface.core.files import read_regular, reason, shown
from twinface.core.naming import name_key
from twinface.errors import BadPolicy

LARGEST = 1 << 20
"""Bytes of a scenario at most."""

NOBODY, STRANGER = "nobody", "stranger"
"""Whom `who` may say instead of a name."""

Attack = Literal[
    "", "still picture", "moved picture", "recording", "chosen recording", "frozen stream", "lookalike", "blurred"
]

_FAULTS = (
    Reason.camera_lost, Reason.picture_frozen, Reason.picture_stale, Reason.gallery_unavailable, Reason.model_tampered,
    Reason.model_failed, Reason.clock_wrong, Reason.policy_invalid, Reason.audit_unavailable, Reason.actuator_failed,
    Reason.internal_error,
)  # fmt: skip

_EVENT = {
    "at": Key("moment", "When, on the wall unless it has an offset.", needed=True),
    "place": Key("text", "The place asked for.", needed=True),
    "who": Key("names", "Who stands before the camera: names, stranger, or nobody.", needed=True),
    "attack": Key("choice", "How the camera is deceived.", choices=tuple(filter(None, get_args(Attack)))),
    "fault": Key("choice", "What fails meanwhile.", choices=tuple(map(str, _FAULTS))),
    "pin": Key("text", "What is typed."),
    "card": Key("text", "What the reader reads."),
    "expect": Key("choice", "What should be decided; the command's exit status tells.", choices=("grant", "refuse")),
    "note": Key("text", "For whoever reads the file."),
}


@dataclass(frozen=True)
class Event:
    """Somebody asks for a place.

    Attributes:
        line: in the scenario's file.
        at: when, with a time zone.
        place: which.
        who: names of those before the camera.
        attack: how the camera is deceived.
        fault: what fails meanwhile; None for nothing.
        pin: what is typed; None for nothing.
        card: what the reader reads.
        expect: what should be decided; "" where the file does not say.
        note: for people.
    """

    line: int
    at: datetime
    place: str
    who: tuple[str, ...]
    attack: Attack = ""
    fault: Reason | None = None
    pin: str | None = None
    card: str | None = None
    expect: str = ""
    note: str = ""


@dataclass(frozen=True)
class Played:
    """An event and what became of it.

    Attributes:
        event: who asked for what.
        request: as the rules were given it.
        evidence: likewise.
        ruling: the answer.
    """

    event: Event
    request: Request
    evidence: Evidence
    ruling: Ruling

    @property
    def as_expected(self) -> bool:
        """Whether it is what the file says it should be, if it says anything."""
        return self.event.expect in ("", "grant" if self.ruling.granted else "refuse")


def read_scenario(path: Path, policy: Policy) -> list[Event]:
    """Reads a day.

    Args:
        path: the file.
        policy: in whose time zone times are read, and whose people and places are meant.

    Returns:
        The events in the order of their times.

    Raises:
        BadPolicy: it cannot be read; all problems, one a line, with the file's lines.
    """
    try:
        size = path.stat().st_size
        text = (read_regular(path) if size <= LARGEST else b"").decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise BadPolicy(f"{shown(path)}: cannot be read ({reason(error)}); give another scenario") from error
    if size > LARGEST:
        raise BadPolicy(f"{shown(path)}: {size:,} bytes are too many for a scenario, {LARGEST:,} at most")
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadPolicy(f"{shown(path)}: no valid TOML ({shown(str(error))}); correct it") from error
    problems = Problems(shown(path), lines_of(text))
    for name in tree:
        if name != "event":
            problems.add((name,), "unknown key; a scenario has [[event]] only")
    found = tree.get("event", [])
    if not isinstance(found, list) or not found:
        problems.add(("event",), "there is none; write [[event]] above each")
        found = []
    events = [_event(one, place, policy, problems) for place, one in enumerate(found)]
    problems.refuse()
    return sorted((one for one in events if one is not None), key=lambda one: one.at)


def play(policy: Policy, events: list[Event]) -> Iterator[Played]:
    """Plays a day from its morning on: what happened earlier in it counts, nothing from before."""
    past = Past(())
    for number, event in enumerate(events, 1):
        request = Request(f"event-{number}", event.place, event.at, event.pin, event.card)
        evidence = evidence_of(event, policy.places.get(event.place))
        ruling = decide(policy, request, evidence, past, event.at)
        for made in remembered(policy, ruling, evidence, event.at):
            past = past.adding(made, event.at, policy.memory())
        yield Played(event, request, evidence, ruling)


def evidence_of(event: Event, place: Place | None) -> Evidence:
    """What a camera would have shown."""
    place = place or Place("")
    if event.attack == "frozen stream" and event.fault is None:
        event = replace(event, fault=Reason.picture_frozen)
    named = [name for name in event.who if name not in (NOBODY, STRANGER)]
    strangers = event.who.count(STRANGER)
    if event.fault is Reason.camera_lost:
        return Evidence(faults=(event.fault,))
    doubt = event.attack == "lookalike"
    of = place.agree[1]
    people = tuple(_seen(name, 0 if event.attack == "blurred" else of, of, doubt) for name in named)
    liveness, against = _liveness(event.attack, place) if people or strangers else ("unknown", None)
    return Evidence(
        taken=event.at,
        age=0.1,
        faces=len(people) + strangers,
        people=() if event.attack == "blurred" else people,
        strangers=strangers,
        shortcoming="blurred" if event.attack == "blurred" else "nearly" if doubt else "",
        fmr=place.fmr,
        liveness=liveness,
        liveness_reason=against,
        faults=() if event.fault is None else (event.fault,),
    )


def _liveness(attack: Attack, place: Place) -> tuple[str, Reason | None]:
    """What the checks a place asks for would say."""
    flat = attack in ("still picture", "moved picture", "recording")
    if place.liveness == "none" or not flat:
        return place.liveness, None
    if attack == "still picture":
        return "failed", Reason.not_live
    return ("passive", None) if place.liveness == "passive" else ("failed", Reason.challenge_failed)


def _seen(name: str, agreeing: int, of: int, doubt: bool) -> SeenPerson:
    uid = hashlib.sha256(name_key(name).encode()).hexdigest()[:32]
    return SeenPerson(uid, name, 0.1, 0.9999, agreeing, of, inconclusive=doubt)


def _event(found: Any, number: int, policy: Policy, problems: Problems) -> Event | None:
    """An event; None where anything is wrong with it."""
    path = ("event", number)
    before = len(problems)
    values = read_keys(table(found, path, problems), _EVENT, path, problems)
    for name in values.get("who", ()):
        if name not in (NOBODY, STRANGER) and policy.person(name) is None:
            problems.add((*path, "who"), f'the policy knows no "{shown(name)}"; write {STRANGER}, or name somebody')
    try:
        at = first_moment(values["at"], policy.zone) if "at" in values else None
    except ValueError as error:
        problems.add((*path, "at"), str(error))
        at = None
    if at is not None and not 1971 <= at.year <= 2999:
        problems.add((*path, "at"), "is out of range; write a time between 1971 and 2999")
    if len(problems) > before or at is None:
        return None
    fault = values.get("fault")
    return Event(
        problems.line(*path),
        at,
        values["place"],
        values["who"],
        values.get("attack", ""),
        None if fault is None else Reason(fault),
        values.get("pin"),
        values.get("card"),
        values.get("expect", ""),
        values.get("note", ""),
    )
