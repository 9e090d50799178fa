"""What a JSON file says, checked field by field before anything is built of it; a complaint names the field."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any


def _number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "str": ("text", lambda value: isinstance(value, str)),
    "float": ("a finite number", _number),
    "int": ("a whole number", _whole),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
    "tuple[float, ...]": ("a list", lambda value: isinstance(value, list)),
}
"""What a field's annotation admits in JSON: in words, and whether a value is such; true is no number here."""


def object_of(value: object, what: str) -> dict[str, Any]:
    """The value, which must be an object.

    Raises:
        ValueError: it is none; `what` says what was expected there.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, got {reprlib.repr(value)}")
    return value


def field_of(facts: Mapping[str, Any], name: str, kind: str, what: str) -> Any:
    """One field of an object, of one of the `KINDS`.

    Raises:
        ValueError: it is missing or of another kind.
    """
    if name not in facts:
        raise ValueError(f"{what} lacks {name!r}")
    value = facts[name]
    words, sound = KINDS[kind]
    if not sound(value):
        raise ValueError(f"{name} of {what} must be {words}, got {reprlib.repr(value)}")
    return value


def list_of(facts: Mapping[str, Any], name: str, most: int, what: str) -> list[Any]:
    """One field of an object, a list of at most so many.

    Raises:
        ValueError: it is missing, no list or too long.
    """
    values: list[Any] = field_of(facts, name, "list", what)
    if len(values) > most:
        raise ValueError(f"{what} has {len(values):,} {name}, more than {most:,}")
    return values


def fields_of(shape: type, value: object, what: str) -> dict[str, Any]:
    """An object's fields for a dataclass: all of them, no others, each of the annotated kind.

    Raises:
        ValueError: one is missing, unknown or of another kind, or the value is no object.
    """
    facts = object_of(value, what)
    kinds = {field.name: str(field.type) for field in fields(shape)}
    for name in facts:
        if name not in kinds:
            raise ValueError(f"{what} has an unknown {reprlib.repr(name)}")
    return {name: field_of(facts, name, kind, what) for name, kind in kinds.items()}
