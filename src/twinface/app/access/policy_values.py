"""Values of a policy file as their keys want them; every problem is noted with its line, and the reading goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any

from twinface.app.access.policy_keys import Key
from twinface.app.access.toml_lines import Path, line_of
from twinface.core.access.calendar import parse_holiday
from twinface.core.access.factors import read_hash
from twinface.core.files import shown
from twinface.errors import BadPolicy

Tree = Mapping[str, Any]

LONGEST_TEXT = 500
"""Letters of a text."""

TOLD = 100
"""Problems that are listed at most."""


class Problems:
    """What is wrong with a policy file, by line.

    Args:
        origin: the file, for messages.
        lines: of its keys.
    """

    def __init__(self, origin: str, lines: Mapping[Path, int]) -> None:
        self._origin, self._lines = origin, lines
        self._found: dict[tuple[int, str], None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def line(self, *path: str | int) -> int:
        """The line on which a key stands."""
        return line_of(self._lines, path)

    def add(self, path: Path, problem: str) -> None:
        """Notes what is wrong with a key, and what to do."""
        where = dotted(path)
        self.add_at(self.line(*path), f"{where}: {problem}" if where else problem)

    def add_at(self, line: int, problem: str) -> None:
        """Notes what is wrong with a line, and what to do."""
        self._found[line, problem] = None

    def refuse(self) -> None:
        """Ends the reading if anything was noted.

        Raises:
            BadPolicy: all of it, one problem a line.
        """
        if not self._found:
            return
        told = [f"{self._origin}:{line}: {problem}" for line, problem in sorted(self._found, key=lambda one: one[0])]
        if len(told) > TOLD:
            told = [*told[:TOLD], f"{self._origin}: and {len(told) - TOLD} problems more"]
        raise BadPolicy("\n".join(told))


def dotted(path: Path) -> str:
    """A path as people write it: `places.floor-7.fmr`; rules are counted by their lines, not by numbers."""
    return ".".join(shown(one) for one in path if isinstance(one, str))


def suggestion(found: str, names: Iterable[str]) -> str:
    """What to write in place of a name that does not exist, as a request: the nearest, else all there are."""
    known = list(dict.fromkeys(names))
    for near in get_close_matches(found, known, n=1):
        return f'did you mean "{shown(near)}"?'
    if not known:
        return "there are none yet; add it or leave this out"
    more = ", ..." if len(known) > 20 else ""
    return f"choose one of {shown(', '.join(known[:20]) + more)}"


def named(found: object) -> str:
    """What a value is, for a message."""
    match found:
        case bool():
            return str(found).lower()
        case str():
            return f'"{shown(found)}"'
        case int() | float():
            return shown(str(found)) if abs(found) < 1e18 or isinstance(found, float) else "a huge number"
        case dict():
            return "a table"
        case list():
            return "a list"
    return "a date or time"


def table(value: object, path: Path, problems: Problems) -> dict[str, Any]:
    """A table; an empty one where it is none."""
    if isinstance(value, dict):
        return value
    problems.add(path, f"expected a table, found {named(value)}; write [{dotted(path)}]")
    return {}


def read_keys(found: Tree, keys: Mapping[str, Key], path: Path, problems: Problems) -> dict[str, Any]:
    """The values of a table's keys; those that are wrong are left out.

    Args:
        found: the table.
        keys: that it may have.
        path: of the table.
        problems: takes what is wrong.
    """
    for name in found:
        if name not in keys:
            problems.add((*path, name), f"unknown key; {suggestion(name, keys)}")
    for name, key in keys.items():
        if key.needed and name not in found:
            problems.add(path, f"{name} is missing; add it ({key.words.rstrip('.')})")
    values: dict[str, Any] = {}
    for name, key in keys.items():
        if name in found:
            try:
                values[name] = _value(key, found[name])
            except ValueError as error:
                problems.add((*path, name), str(error))
    return values


def _value(key: Key, found: object) -> Any:
    """A value of its kind.

    Raises:
        ValueError: it is not; without the key's name.
    """
    match key.kind:
        case "text":
            return _text(found)
        case "hash":
            return str(read_hash(_text(found)))
        case "flag":
            if not isinstance(found, bool):
                raise ValueError(f"expected true or false, found {named(found)}")
            return found
        case "number" | "count":
            return _number(key, found)
        case "choice":
            return _choice(key, found)
        case "choices":
            return frozenset(_choice(key, one) for one in _list(found, "texts"))
        case "names":
            return tuple(dict.fromkeys(_text(one) for one in ([found] if isinstance(found, str) else _list(found))))
        case "texts":
            return tuple(_text(one) for one in ([found] if isinstance(found, str) else _list(found, "texts")))
        case "days":
            return tuple(_day(one) for one in _list(found, "days"))
        case "moment":
            return _moment(found)
        case "agree":
            return _agree(found)
        case "lockout":
            if found is not False and not isinstance(found, dict):
                raise ValueError(f"expected a table, or false for none, found {named(found)}")
            return found


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise ValueError(f"expected text, found {named(found)}")
    if not found.strip():
        raise ValueError("is empty; write something or leave it out")
    if len(found) > LONGEST_TEXT:
        raise ValueError(f"has {len(found):,} letters, at most {LONGEST_TEXT} are read; shorten it")
    if not found.isprintable():
        raise ValueError(f"{found!a} holds line breaks or signs that are not seen; leave them out")
    return found


def _list(found: object, those: str = "names") -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"expected a list of {those}, found {named(found)}")
    return found


def _number(key: Key, found: object) -> float | int:
    kinds = (int,) if key.kind == "count" else (int, float)
    if isinstance(found, bool) or not isinstance(found, kinds):
        raise ValueError(f"expected a {'whole ' if key.kind == 'count' else ''}number, found {named(found)}")
    if abs(found) > 1e18:
        raise ValueError("is too large or too small a number; correct it")
    bounds = {"at least": key.least, "above": key.above, "at most": key.most, "below": key.below}
    holds = (
        math.isfinite(found)
        and (key.least is None or found >= key.least)
        and (key.above is None or found > key.above)
        and (key.most is None or found <= key.most)
        and (key.below is None or found < key.below)
    )
    if not holds:
        words = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
        raise ValueError(f"must be {words}, got {named(found)}")
    return found if key.kind == "count" else float(found)


def _choice(key: Key, found: object) -> str:
    if not (isinstance(found, str) and found in key.choices):
        hint = suggestion(found, key.choices) if isinstance(found, str) else ""
        told = ", ".join(f'"{one}"' for one in key.choices)
        near = f"; {hint}" if hint.startswith("did") else ""
        raise ValueError(f"expected {'one of ' if len(key.choices) > 1 else ''}{told}, found {named(found)}{near}")
    return found


def _day(found: object) -> Any:
    if isinstance(found, datetime) or not isinstance(found, str | date):
        raise ValueError(f'expected days, found {named(found)}; write 2026-04-06, or "12-25" for one of every year')
    return parse_holiday(found)


def _moment(found: object) -> date | datetime:
    if not isinstance(found, date) or isinstance(found, time):
        raise ValueError(f"expected a day or a time, found {named(found)}; write 2026-12-31 or 2026-12-31T18:00:00")
    return found


def _agree(found: object) -> tuple[int, int]:
    numbers = [one for one in found if isinstance(one, int) and one is not True] if isinstance(found, list) else []
    if not (isinstance(found, list) and len(found) == len(numbers) == 2):
        raise ValueError(f"expected two whole numbers, as [3, 5], found {named(found)}")
    least, of = numbers
    if not 1 <= least <= of <= 50:
        raise ValueError(f"{least} of {of} cannot agree; write [n, m] with 1 <= n <= m <= 50, as [3, 5]")
    return least, of
