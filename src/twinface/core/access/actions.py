"""What follows from a decision: the notice that actions are given, and actions as a policy's tables state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from twinface.core.access.action_kinds import (
    Action,
    CommandAction,
    LightAction,
    MqttAction,
    On,
    RelayAction,
    SoundAction,
    WebhookAction,
)

__all__ = [
    "KINDS",
    "Action",
    "CommandAction",
    "LightAction",
    "MqttAction",
    "Notice",
    "On",
    "RelayAction",
    "SoundAction",
    "WebhookAction",
    "action_of",
    "action_words",
    "concerns",
    "notice_json",
    "secret_variables",
]

KINDS: Mapping[str, type[Action]] = MappingProxyType(
    {
        "light": LightAction,
        "sound": SoundAction,
        "webhook": WebhookAction,
        "mqtt": MqttAction,
        "command": CommandAction,
        "relay": RelayAction,
    }
)
"""What a policy's key `kind` may say."""


@dataclass(frozen=True)
class Notice:
    """A decision, as actions are told of it.

    Attributes:
        id: of the request; printable ASCII without spaces, the same however often the notice is sent.
        at: when it was decided, with a time zone.
        place: id of the place.
        place_name: what people call it.
        granted: whether it is a grant.
        reason: the reason's code.
        words: the reason for people.
        name: who; None where unknown, or where the policy lets no names out.
        subject: the subject's uid in the gallery; None where unknown.
        head: the audit log's last record once the decision was in it, "number:digest".
        dry: whether nothing may be done about it but saying so.

    Raises:
        ValueError: `id` cannot travel in a header, or `at` has no time zone.
    """

    id: str
    at: datetime
    place: str
    place_name: str
    granted: bool
    reason: str
    words: str
    name: str | None
    subject: str | None
    head: str
    dry: bool = False

    def __post_init__(self) -> None:
        if not (self.id and self.id.isascii() and self.id.isprintable() and " " not in self.id):
            raise ValueError(f"notice: id must be printable ASCII without spaces, got {self.id!r}")
        if self.at.tzinfo is None:
            raise ValueError("notice: at needs a time zone")


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice for machines: what webhooks, brokers and commands are given."""
    return {
        "id": notice.id,
        "time": notice.at.isoformat(timespec="milliseconds"),
        "place": notice.place,
        "place_name": notice.place_name,
        "decision": "grant" if notice.granted else "refuse",
        "reason": notice.reason,
        "words": notice.words,
        "name": notice.name,
        "subject": notice.subject,
        "head": notice.head,
        "dry": notice.dry,
    }


def action_of(name: str, table: Mapping[str, object]) -> Action:
    """The action that a policy's table `[actions.NAME]` states.

    Args:
        name: of the action.
        table: `kind`, and the attributes of that kind of action.

    Raises:
        ValueError: a key is missing, unknown, of a wrong type or out of range; it begins with "actions.NAME.KEY".
    """
    kind = table.get("kind")
    made = KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ValueError(f"actions.{name}.kind must be one of {', '.join(KINDS)}, got {kind!r}")
    known = {field.name: str(field.type) for field in fields(made) if field.name != "name"}
    for key in table:
        if key != "kind" and key not in known:
            raise ValueError(f"actions.{name}.{key} is no key of a {kind}; it has {', '.join(known)}")
    for field in fields(made):
        if field.default is MISSING and field.name != "name" and field.name not in table:
            raise ValueError(f"actions.{name}.{field.name} is missing; a {kind} needs it")
    values = {key: _value(name, key, value, known[key]) for key, value in table.items() if key != "kind"}
    return made(name, **values)


def action_words(action: Action, granted: bool | None = None) -> str:
    """What an action does, for people: "POST to https://door.example, signed".

    Args:
        action: which.
        granted: on which decision; None: in general.

    Returns:
        Words without any secret, nor a path or arguments that may hold one.
    """
    match action:
        case LightAction():
            return f"show {_either(granted, 'green', 'red')}"
        case SoundAction():
            return f"sound {_either(granted, 'a chime', 'a buzz')}"
        case WebhookAction():
            return f"POST to {action.server}, signed"
        case MqttAction():
            return f"publish to {action.topic!r} at {action.host}:{action.port}"
        case CommandAction():
            return f"run {action.words[0]!r}"
        case RelayAction():
            on = f"switch on the relay at pin {action.pin} for {action.seconds:g} s"
            return f"switch off the relay at pin {action.pin}" if granted is False else on


def concerns(action: Action, granted: bool) -> bool:
    """Whether an action is told of such a decision; a relay is of both, and switched off by refusals."""
    on: On = "both" if isinstance(action, RelayAction) else action.on
    return on in ("both", "grant" if granted else "refusal")


def secret_variables(action: Action) -> tuple[str, ...]:
    """The environment variables that hold an action's secrets: what commands are not told."""
    named = (getattr(action, key, None) for key in ("secret_env", "password_env"))
    return tuple(one for one in named if one is not None)


def _either(granted: bool | None, on_grant: str, on_refusal: str) -> str:
    return f"{on_grant} or {on_refusal}" if granted is None else on_grant if granted else on_refusal


def _value(name: str, key: str, value: object, kind: str) -> Any:
    """A value of TOML as an attribute of that type has it."""
    if kind == "tuple[str, ...]":
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise ValueError(f'actions.{name}.{key} must be a list of words, as ["open", "--now"], got {value!r}')
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return float(value)
    wanted = {"bool": bool, "int": int, "float": float}.get(kind, str)
    if type(value) is not wanted:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[wanted]
        raise ValueError(f"actions.{name}.{key} must be {words}, got {value!r}")
    return value
