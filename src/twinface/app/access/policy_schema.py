"""The JSON Schema (draft 2020-12) of a policy file, for editors that complete and check TOML as one types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from twinface.app.access.policy_keys import (
    AUDIT,
    DEFAULTS,
    EVERYONE,
    EVERYWHERE,
    LOCKOUT,
    PERSON,
    PLACE,
    ROOT,
    RULE,
    SCHEDULE,
    TABLES,
    Key,
)
from twinface.core.access.actions import KINDS
from twinface.core.access.policy import Place

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Schema = {"type": "string", "minLength": 1}
_NAMES: Schema = {"type": "array", "items": _TEXT, "uniqueItems": True}
_BOUNDS = {"least": "minimum", "above": "exclusiveMinimum", "most": "maximum", "below": "exclusiveMaximum"}


def policy_schema() -> Schema:
    """The schema. It holds a file to its keys and kinds of values; names and contradictions only the reader sees."""
    tables: Schema = {
        "defaults": _object(DEFAULTS),
        "places": _named(_with_defaults(_object(PLACE)), r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        "people": _named(_object(PERSON)),
        "groups": _named({"anyOf": [_TEXT, _NAMES]}),
        "schedules": _named(_object(SCHEDULE)),
        "allow": {"type": "array", "items": _rule()},
        "deny": {"type": "array", "items": _rule()},
        "actions": _named({"anyOf": [_action(kind) for kind in KINDS]}),
        "audit": _object(AUDIT),
    }
    whole = _object(ROOT)
    whole["properties"] |= {name: {**schema, "description": TABLES[name]} for name, schema in tables.items()}
    whole["required"] = [*whole["required"], "places"]
    return {"$schema": DRAFT, "title": "TwinFace access policy", **whole}


def _object(keys: Mapping[str, Key]) -> Schema:
    return {
        "type": "object",
        "properties": {name: {**_value(key), "description": key.words} for name, key in keys.items()},
        "required": [name for name, key in keys.items() if key.needed],
        "additionalProperties": False,
    }


def _named(item: Schema, pattern: str = "") -> Schema:
    """A table of things under names of their own."""
    return {
        "type": "object",
        "additionalProperties": item,
        "propertyNames": {"pattern": pattern} if pattern else {"minLength": 1, "not": {"const": EVERYONE}},
    }


def _with_defaults(place: Schema) -> Schema:
    """Tells what a place has if neither it nor [defaults] says otherwise."""
    for field in fields(Place):
        if field.name in place["properties"] and isinstance(field.default, int | float) and field.default is not None:
            place["properties"][field.name]["default"] = field.default
    place["properties"]["liveness"]["default"] = "passive"
    place["properties"]["agree"]["default"] = [3, 5]
    place["dependentRequired"] = {"area": ["direction"], "direction": ["area"]}
    return place


def _rule() -> Schema:
    rule = _object(RULE)
    rule["properties"]["who"]["examples"] = [EVERYONE]
    rule["properties"]["where"]["examples"] = [EVERYWHERE]
    return rule


def _value(key: Key) -> Schema:
    bounds = {word: getattr(key, name) for name, word in _BOUNDS.items() if getattr(key, name) is not None}
    match key.kind:
        case "text":
            return dict(_TEXT)
        case "hash":
            return {"type": "string", "pattern": r"^scrypt\$[0-9]+\$[0-9]+\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$"}
        case "flag":
            return {"type": "boolean"}
        case "number":
            return {"type": "number", **bounds}
        case "count":
            return {"type": "integer", **bounds}
        case "choice":
            return {"enum": list(key.choices)}
        case "choices":
            return {"type": "array", "items": {"enum": list(key.choices)}, "uniqueItems": True}
        case "names" | "texts":
            return {"anyOf": [_TEXT, _NAMES]}
        case "days":
            return {"type": "array", "items": {"type": "string", "pattern": r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$"}}
        case "moment":
            return {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
        case "agree":
            return {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2}
        case "lockout":
            return {"anyOf": [_object(LOCKOUT), {"const": False}]}


def _action(kind: str) -> Schema:
    """An action's table, by the attributes of its dataclass."""
    made = KINDS[kind]
    hints = get_type_hints(made)
    named = [field for field in fields(made) if field.name != "name"]
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}, **{field.name: _hinted(hints[field.name]) for field in named}},
        "required": ["kind", *(field.name for field in named if field.default is MISSING)],
        "additionalProperties": False,
    }


def _hinted(hint: Any) -> Schema:
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        return _NAMES | {"uniqueItems": False}
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if hint is kind or kind in get_args(hint):
            return {"type": name}
    raise TypeError(f"no schema for {hint}")
