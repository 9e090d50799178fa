"""The JSON Schema of policies holds what it should, and the reference in docs/ names every key."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from twinface.app.access import policy_keys
from twinface.app.access.policy_schema import DRAFT, policy_schema
from twinface.core.access.actions import KINDS

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "access" / "policy.toml"

_KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def holds(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value is as the schema wants it: the words that ours uses, by the draft's text."""
    rules: dict[str, Callable[[Any], bool]] = {
        "type": lambda kind: isinstance(value, _KINDS[kind]) and not (kind != "boolean" and isinstance(value, bool)),
        "enum": lambda known: value in known,
        "const": lambda known: value == known,
        "anyOf": lambda some: any(holds(one, value) for one in some),
        "not": lambda one: not holds(one, value),
        "minLength": lambda least: len(value) >= least,
        "pattern": lambda form: re.search(form, value) is not None,
        "minimum": lambda bound: value >= bound,
        "exclusiveMinimum": lambda bound: value > bound,
        "maximum": lambda bound: value <= bound,
        "exclusiveMaximum": lambda bound: value < bound,
        "minItems": lambda least: len(value) >= least,
        "maxItems": lambda most: len(value) <= most,
        "uniqueItems": lambda wanted: not wanted or len(set(map(str, value))) == len(value),
        "items": lambda one: all(holds(one, item) for item in value),
        "required": lambda keys: set(keys) <= set(value),
        "dependentRequired": lambda keys: all(set(more) <= set(value) for key, more in keys.items() if key in value),
        "propertyNames": lambda one: all(holds(one, key) for key in value),
        "properties": lambda known: all(holds(known[key], value[key]) for key in known if key in value),
        "additionalProperties": lambda one: all(
            one is not False and holds(one, value[key]) for key in value if key not in schema.get("properties", {})
        ),
    }
    said = {"$schema", "title", "description", "default", "examples", "format"}
    assert set(schema) <= set(rules) | said
    if "type" in schema and not rules["type"](schema["type"]):
        return False
    return all(rules[word](schema[word]) for word in schema if word in rules)


@pytest.fixture
def example() -> Any:
    """The example as JSON has it: days and times are texts."""
    tree = tomllib.loads(EXAMPLE.read_text())
    return json.loads(json.dumps(tree, default=lambda day: day.isoformat()))


def test_it_says_which_draft_it_is_of() -> None:
    assert policy_schema()["$schema"] == DRAFT
    json.dumps(policy_schema(), allow_nan=False)


def test_the_example_holds(example: Any) -> None:
    assert holds(policy_schema(), example)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("zone", 7), ("holidays", ["25.12."]), ("unknown", 1), ("defaults.fmr", 1), ("defaults.name", "x"),
        ("defaults.liveness", "activ"), ("defaults.lockout", {"refusals": 4}), ("defaults.lockout", True),
        ("places.lobby.most", 0), ("places.lobby.most", 1.5), ("places.lobby.area", "alone"), ("places.a b", {}),
        ("places.lobby.agree", [3]), ("places.floor-7.factors", ["pins"]), ("people.everyone", {}),
        ("people.Ada Lovelace.pin", "2718"), ("people.Ada Lovelace.revoked", "yes"), ("groups.office", 7),
        ("schedules.cleaning", {}), ("allow", [{"who": "everyone"}]), ("allow", {"who": "a", "where": "b"}),
        ("actions.light.kind", "lamp"), ("actions.light.bright", True), ("audit.retention", 0),
    ],
)  # fmt: skip
def test_what_the_reader_refuses_does_not(example: Any, path: str, value: Any) -> None:
    *way, last = path.split(".")
    place = example
    for key in way:
        place = place[key]
    place[last] = value
    assert not holds(policy_schema(), example)


def test_every_key_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "access-policy.md").read_text()
    tables = ("ROOT", "TABLES", "PLACE", "LOCKOUT", "PERSON", "SCHEDULE", "RULE", "AUDIT")
    keys = {key for table in tables for key in getattr(policy_keys, table)}
    keys |= {*KINDS, *(field.name for kind in KINDS.values() for field in fields(kind) if field.name != "name")}
    missing = {key for key in keys if f"`{key}`" not in text and f"[{key}" not in text}
    assert not missing
