"""The keys of a policy file, once for all: its reader, its JSON Schema and its reference rest on these tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from twinface.core.access.policy import LONGEST

Kind = Literal[
    "text", "flag", "number", "count", "choice", "choices", "names", "texts", "days", "moment", "hash", "agree",
    "lockout",
]  # fmt: skip
"""What a value is: `names` one text or a list of them, `days` texts or dates, `agree` a pair of counts, `lockout` a
table or false."""

EVERYONE, EVERYWHERE = "everyone", "everywhere"
"""What `who` and `where` of a rule may say instead of names."""


@dataclass(frozen=True)
class Key:
    """What may stand under a key.

    Attributes:
        kind: of value.
        words: what it means.
        least: the smallest number; None for no bound.
        above: what a number must exceed; None for no bound.
        most: the largest number.
        below: what a number must stay below.
        choices: the texts there are, for choices.
        needed: whether it must be there.
    """

    kind: Kind
    words: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    needed: bool = False


def _seconds(words: str, most: float = LONGEST) -> Key:
    return Key("number", words, above=0, most=most)


_VALID_FROM = Key("moment", "A day, from its beginning, or a time; on the wall unless it has an offset.")
_VALID_UNTIL = Key("moment", "A day, to its end, or a time, up to it; on the wall unless it has an offset.")
_NOTE = Key("text", "For whoever reads the file.")

PLACE: Mapping[str, Key] = MappingProxyType(
    {
        "name": Key("text", "What people call it; its id if left out."),
        "fmr": Key("number", "False match rate to which naming is held here.", above=0, below=1),
        "liveness": Key(
            "choice", "Asked for against photos and recordings.", choices=("none", "passive", "challenge")
        ),
        "agree": Key("agree", "[n, m]: n of m pictures must agree on who is seen."),
        "most": Key("count", "People allowed in view at once; all of them must be allowed here.", least=1, most=100),
        "people": Key("count", "Different people who must ask together; 2 is the two-person rule.", least=1, most=10),
        "together": _seconds("Seconds within which they ask.", 3600),
        "factors": Key("choices", "What a request must bring beside the face.", choices=("pin", "card")),
        "area": Key("text", "The area it leads into or out of, for anti-passback."),
        "direction": Key("choice", "Whether it leads into the area or out of it.", choices=("in", "out")),
        "passback_reset": Key(
            "number", "Hours after which an entry no longer keeps from entering again; never if left out.", above=0,
            most=8784,
        ),
        "lockout": Key("lockout", "When it closes to everybody after refusals; false for never."),
        "freshness": _seconds("Seconds that the newest picture may be old.", 10),
        "patience": _seconds("Seconds within which a decision falls, beside what liveness takes.", 60),
        "on_grant": Key("names", "Actions on a grant."),
        "on_refusal": Key("names", "Actions on a refusal."),
    }
)  # fmt: skip

DEFAULTS: Mapping[str, Key] = MappingProxyType(
    {name: key for name, key in PLACE.items() if name not in ("name", "area", "direction")}
)
"""What places have that do not say otherwise."""

LOCKOUT: Mapping[str, Key] = MappingProxyType(
    {
        "refusals": Key("count", "So many close the place.", least=1, most=1000, needed=True),
        "within": Key("number", "Seconds in which they come.", above=0, most=LONGEST, needed=True),
        "seconds": Key("number", "How long it stays closed after the last.", above=0, most=LONGEST, needed=True),
    }
)

PERSON: Mapping[str, Key] = MappingProxyType(
    {
        "pin": Key("hash", "Hash of her PIN, made by twinface access pin."),
        "card": Key("hash", "Hash of her card's id, made by twinface access pin --card."),
        "valid_from": _VALID_FROM,
        "valid_until": _VALID_UNTIL,
        "revoked": Key("flag", "true: she may go nowhere, at once."),
        "note": _NOTE,
    }
)

SCHEDULE: Mapping[str, Key] = MappingProxyType(
    {
        "open": Key(
            "texts", 'Days with hours: "mon-fri 07:00-19:00", "sat,sun 09:00-12:00", "daily 22:00-06:00", "fri".',
            needed=True,
        ),
        "holidays": Key(
            "choice", '"off" (if left out): closed on holidays; "on": as on other days; "only": on no others.',
            choices=("off", "on", "only"),
        ),
    }
)  # fmt: skip

RULE: Mapping[str, Key] = MappingProxyType(
    {
        "who": Key("names", f'Groups and people, or "{EVERYONE}": all people of this file.', needed=True),
        "where": Key("names", f'Places, or "{EVERYWHERE}": all places of this file.', needed=True),
        "when": Key("text", "A schedule; always if left out."),
        "valid_from": _VALID_FROM,
        "valid_until": _VALID_UNTIL,
        "note": _NOTE,
    }
)

AUDIT: Mapping[str, Key] = MappingProxyType(
    {
        "thumbnails": Key("flag", "Whether the log keeps a small picture of the face; not if left out."),
        "retention": Key("number", "Days that thumbnails are kept.", above=0, most=3660),
    }
)

ROOT: Mapping[str, Key] = MappingProxyType(
    {
        "zone": Key("text", "Time zone of all times on the wall, as Europe/Vienna.", needed=True),
        "holidays": Key("days", 'Days: 2026-04-06 for one, "12-25" for one of every year.'),
    }
)
"""What stands before the first table."""

TABLES: Mapping[str, str] = MappingProxyType(
    {
        "defaults": "What places have that do not say otherwise.",
        "places": "Places, each under its id.",
        "people": "People of the gallery, each under her name.",
        "groups": "Groups, each a list of people and other groups.",
        "schedules": "Schedules, each under its name.",
        "allow": "Rules that let people in.",
        "deny": "Rules that keep people out, whatever others say.",
        "actions": "What can follow on a decision, each under its name.",
        "audit": "What the log keeps beside the decisions.",
    }
)
"""The tables of the file."""
