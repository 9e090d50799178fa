"""Reads a policy from its TOML file; all that is wrong with it is told at once, each with its line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

from twinface.app.access.policy_keys import (
    AUDIT,
    DEFAULTS,
    EVERYWHERE,
    LOCKOUT,
    PLACE,
    ROOT,
    RULE,
    SCHEDULE,
    TABLES,
)
from twinface.app.access.policy_names import Names, read_people, validity
from twinface.app.access.policy_sense import contradictions, contradictions_of_places
from twinface.app.access.policy_values import Problems, Tree, named, read_keys, suggestion, table
from twinface.app.access.toml_lines import lines_of
from twinface.core.access.actions import Action, action_of
from twinface.core.access.calendar import Schedule, parse_window, zone_of
from twinface.core.access.policy import AccessRule, Effect, Lockout, Place, Policy
from twinface.core.files import read_regular, reason, shown
from twinface.errors import BadPolicy

LARGEST = 1 << 20
"""Bytes of a policy at most."""

MOST_RULES = 2000

_PLACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EFFECTS: tuple[Effect, ...] = ("allow", "deny")


def read_policy(path: Path) -> Policy:
    """Reads and checks a policy.

    Raises:
        BadPolicy: it cannot be read, or is malformed or contradicts itself: all problems found, one a line, each as
            `FILE:LINE: KEY: what is wrong; what to do`.
    """
    try:
        size = path.stat().st_size
        content = read_regular(path) if size <= LARGEST else b""
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise BadPolicy(f"{shown(path)}: cannot be read ({reason(error)}); give another policy") from error
    if max(size, len(content)) > LARGEST:
        raise BadPolicy(f"{shown(path)}: {size:,} bytes are too many for a policy, {LARGEST:,} at most")
    return parse_policy(content, shown(path))


def parse_policy(content: bytes, origin: str) -> Policy:
    """Reads and checks a policy from its file's bytes.

    Args:
        content: of the file.
        origin: what messages call it.

    Raises:
        BadPolicy: as `read_policy`.
    """
    if len(content) > LARGEST:
        raise BadPolicy(f"{origin}: {len(content):,} bytes are too many for a policy, {LARGEST:,} at most")
    text = _text(content, origin)
    tree = _tree(text, origin)
    problems = Problems(origin, lines_of(text))
    policy = _policy(tree, problems, hashlib.sha256(content).hexdigest(), origin)
    for line, problem in contradictions(policy):
        problems.add_at(line, problem)
    problems.refuse()
    return policy


def usable_policy(path: Path) -> Policy:
    """As `read_policy`, for those with room for one problem only.

    Raises:
        BadPolicy: the first problem, and how many more there are.
    """
    try:
        return read_policy(path)
    except BadPolicy as error:
        first, *others = str(error).splitlines()
        if not others:
            raise
        raise BadPolicy(f"{first} (and {len(others)} more: see twinface access check)") from error


def _text(content: bytes, origin: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadPolicy(f"{origin}:{line}: no UTF-8 text; save it as UTF-8") from error


def _tree(text: str, origin: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = found[1] if found else text.rstrip().count("\n") + 1  # "end of document"
        raise BadPolicy(f"{origin}:{line}: no valid TOML ({shown(problem)}); correct it") from error
    except RecursionError:
        raise BadPolicy(f"{origin}:1: values lie too deep in one another; no policy needs that") from None
    except ValueError as error:
        raise BadPolicy(f"{origin}:1: a number has too many digits; shorten it") from error


def _policy(tree: dict[str, Any], problems: Problems, digest: str, origin: str) -> Policy:
    """The policy of a tree.

    Raises:
        BadPolicy: anything is wrong that does not need the whole to be seen.
    """
    for name in tree:
        if name not in ROOT and name not in TABLES:
            problems.add((name,), f"unknown key; {suggestion(name, [*ROOT, *TABLES])}")
    root = read_keys(
        {name: value for name, value in tree.items() if name not in TABLES and name in ROOT}, ROOT, (), problems
    )
    zone = _zone(root, problems)
    schedules = _schedules(tree, problems)
    holidays = root.get("holidays", ())
    for schedule in schedules.values():
        if schedule.windows and not schedule.ever_opens(holidays):
            problems.add(("schedules", schedule.name), "never opens: no holiday falls on its days; correct one of them")
    actions = _actions(tree, problems)
    places = _places(tree, problems)
    people = read_people(tree, zone, problems)
    names = Names(tree, people, problems)
    rules = _rules(tree, names, places, schedules, zone, problems)
    audit = read_keys(table(tree.get("audit", {}), ("audit",), problems), AUDIT, ("audit",), problems)
    if audit.get("thumbnails") and "retention" not in audit:
        problems.add(("audit",), "thumbnails are kept, and nothing says how long; add retention = 30 (days)")
    for line, problem in contradictions_of_places(places.values()):
        problems.add_at(line, problem)
    problems.refuse()
    return Policy(
        zone, places, people, names.groups, rules, schedules, holidays, actions,
        audit.get("thumbnails", False), audit.get("retention", 0.0), digest, origin,
    )  # fmt: skip


def _zone(root: dict[str, Any], problems: Problems) -> str:
    """The time zone; UTC, to go on with, where it is wrong."""
    try:
        return zone_of(root["zone"]).key if "zone" in root else "UTC"
    except ValueError as error:
        problems.add(("zone",), str(error))
        return "UTC"


def _schedules(tree: Tree, problems: Problems) -> dict[str, Schedule]:
    schedules: dict[str, Schedule] = {}
    for name, found in table(tree.get("schedules", {}), ("schedules",), problems).items():
        path = ("schedules", name)
        values = read_keys(table(found, path, problems), SCHEDULE, path, problems)
        windows = []
        for place, text in enumerate(values.get("open", ())):
            try:
                windows.append(parse_window(text))
            except ValueError as error:
                problems.add((*path, "open", place), str(error))
        if values.get("open") == ():
            problems.add((*path, "open"), 'is empty, so it never opens; write hours as "mon-fri 07:00-19:00"')
        schedules[name] = Schedule(name, tuple(windows), values.get("holidays", "off"), problems.line(*path))
    return schedules


def _actions(tree: Tree, problems: Problems) -> dict[str, Action]:
    """The actions by name, but for those that are wrong."""
    actions: dict[str, Action] = {}
    for name, found in table(tree.get("actions", {}), ("actions",), problems).items():
        try:
            actions[name] = action_of(name, table(found, ("actions", name), problems))
        except ValueError as error:
            prefix = f"actions.{name}."
            key, _, problem = str(error).removeprefix(prefix).partition(" ")
            problems.add(("actions", name, key), problem)
    return actions


def _places(tree: Tree, problems: Problems) -> dict[str, Place]:
    actions = [*tree["actions"]] if isinstance(tree.get("actions"), dict) else []
    shared = table(tree.get("defaults", {}), ("defaults",), problems)
    defaults = _place_values(shared, DEFAULTS, ("defaults",), actions, problems)
    places: dict[str, Place] = {}
    for id_, found in table(tree.get("places", {}), ("places",), problems).items():
        path = ("places", id_)
        if not _PLACE_ID.fullmatch(id_):
            problems.add(path, "is no id; take up to 64 letters, digits, '-', '_' and '.', as floor-7")
        values = {**defaults, **_place_values(table(found, path, problems), PLACE, path, actions, problems)}
        if bool(values.get("area")) != bool(values.get("direction")):
            problems.add(path, "area and direction go together; add the other, or leave both out")
            values.pop("area", None)
            values.pop("direction", None)
        places[id_] = Place(id_, **{"name": id_, **values}, line=problems.line(*path))
    if not places and isinstance(tree.get("places", {}), dict):
        problems.add(("places",), "there is no place; add one, as [places.floor-1]")
    return places


def _place_values(
    found: Tree, keys: Any, path: tuple[str, ...], actions: list[str], problems: Problems
) -> dict[str, Any]:
    values = read_keys(found, keys, path, problems)
    if "lockout" in values:
        values["lockout"] = _lockout(values["lockout"], (*path, "lockout"), problems)
    for key in ("on_grant", "on_refusal"):
        for place, name in enumerate(values.get(key, ())):
            if name not in actions:
                problems.add((*path, key, place), f'there is no action "{shown(name)}"; {suggestion(name, actions)}')
    return values


def _lockout(found: Any, path: tuple[str, ...], problems: Problems) -> Lockout | None:
    if found is False:
        return None
    values = read_keys(found, LOCKOUT, path, problems)
    return Lockout(**values) if len(values) == len(LOCKOUT) else None


def _rules(
    tree: Tree, names: Names, places: dict[str, Place], schedules: dict[str, Schedule], zone: str, problems: Problems
) -> tuple[AccessRule, ...]:
    rules: list[AccessRule] = []
    for effect in _EFFECTS:
        tables = tree.get(effect, [])
        if not isinstance(tables, list):
            problems.add(
                (effect,), f"expected a list of tables, found {named(tables)}; write [[{effect}]] above each rule"
            )
            continue
        for number, found in enumerate(tables):
            path = (effect, number)
            values = read_keys(table(found, path, problems), RULE, path, problems)
            start, end = validity(values, zone, path, problems)
            when = values.get("when", "")
            if when and when not in schedules:
                problems.add((*path, "when"), f'there is no schedule "{shown(when)}"; {suggestion(when, schedules)}')
            who = values.get("who", ())
            for key in ("who", "where"):
                if values.get(key) == ():
                    problems.add((*path, key), "is empty; name somebody or somewhere, or leave the rule out")
            rules.append(
                AccessRule(
                    effect, names.people(who, (*path, "who")),
                    _where(values.get("where", ()), places, (*path, "where"), problems), problems.line(*path),
                    who, when, start, end, values.get("note", ""),
                )
            )  # fmt: skip
    if len(rules) > MOST_RULES:
        problems.add((), f"{len(rules):,} rules are too many, {MOST_RULES:,} at most; put people into groups")
    return tuple(sorted(rules, key=lambda rule: rule.line))


def _where(
    names: tuple[str, ...], places: dict[str, Place], path: tuple[str | int, ...], problems: Problems
) -> frozenset[str]:
    found: set[str] = set()
    for number, name in enumerate(names):
        if name == EVERYWHERE:
            found |= set(places)
        elif name in places:
            found.add(name)
        else:
            problems.add((*path, number), f'there is no place "{shown(name)}"; {suggestion(name, places)}')
    return frozenset(found)
