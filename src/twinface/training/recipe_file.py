"""Recipes as TOML files: read with a profile and changes laid over them, checked whole, and written."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from twinface.core.files import read_regular, reason, shown
from twinface.errors import RecipeError
from twinface.training.recipe import Recipe
from twinface.training.recipe_checks import check_recipe, suggestion

LARGEST = 2**20
"""Bytes of a recipe's file at most; the shipped ones have a few thousand."""

PROFILE = "profile"
"""The table whose tables overlay the recipe."""

Tree = dict[str, Any]
Value = TypeVar("Value")


def read_recipe(path: Path, profile: str | None = None, changes: Sequence[str] = ()) -> Recipe:
    """Reads a recipe, whether written by hand or by a run, and checks all of it, the profiles not chosen included.

    Args:
        path: the TOML file: the recipe's fields as keys, its parts as tables, several of a kind as arrays of tables,
            and a table `profile.NAME` of the same shape for each profile.
        profile: laid over the recipe: tables merge key by key, arrays are replaced whole. None takes the recipe as it
            stands outside its profiles.
        changes: made last, each `key=value`: a dotted path, items of an array by number from 0, and a value as TOML
            writes it; anything else is text.

    Raises:
        RecipeError: the file cannot be read, is no TOML, has unknown keys, wrong types or impossible values; there is
            no such profile; a change cannot be made. The message names the file or the change, and the key's path.
    """
    with _said_of(shown(path)):
        tree, overlays = _contents(path)
        recipe = _table(Recipe, tree, "")
        profiled = {name: _table(Recipe, _merged(tree, one), f"{PROFILE}.{name}") for name, one in overlays.items()}
        if profile is not None and profile not in profiled:
            instead = suggestion(profile, list(profiled)) if profiled else "there are none, so leave it out"
            raise RecipeError(f'there is no profile "{shown(profile)}"; {instead}')
    for name, candidate in profiled.items():
        with _said_of(f"{shown(path)}, profile {shown(name)}"):
            check_recipe(candidate)
    recipe = recipe if profile is None else profiled[profile]
    for change in changes:
        with _said_of("--set"):
            recipe = _changed(recipe, change)
    circumstances = [shown(path)]
    if profiled:
        circumstances.append("no profile" if profile is None else f"profile {shown(profile)}")
    if changes:
        circumstances.append("--set")
    with _said_of(", ".join(circumstances)):
        check_recipe(recipe)
    return recipe


def profiles(path: Path) -> tuple[str, ...]:
    """The names of a recipe's profiles, in the file's order.

    Raises:
        RecipeError: the file cannot be read or is no TOML.
    """
    with _said_of(shown(path)):
        return tuple(_contents(path)[1])


def write_recipe(recipe: Recipe) -> str:
    """A recipe as TOML text, every field of it; `read_recipe` reads an equal recipe from it.

    Raises:
        RecipeError: text that is no Unicode, as in the path of a file whose name is none.
    """
    return "\n".join(_lines(_plain(recipe), "")) + "\n"


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    """Puts what an error is about before its message."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(f"{what}: {error}") from error


def _wrong(path: str, problem: str) -> RecipeError:
    return RecipeError(f"{shown(path)}: {problem}")


def _contents(path: Path) -> tuple[Tree, dict[str, Tree]]:
    """The file's tree without its profiles, and the profiles."""
    tree = _parsed(_text(path))
    overlays = tree.pop(PROFILE, {})
    if not isinstance(overlays, dict):
        raise _wrong(PROFILE, f"expected tables such as [{PROFILE}.gpu], found {_named(overlays)}")
    for name, overlay in overlays.items():
        if not isinstance(overlay, dict):
            raise _wrong(f"{PROFILE}.{name}", f"expected a table, found {_named(overlay)}")
    return tree, overlays


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        content = read_regular(path) if size <= LARGEST else b""
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise RecipeError(f"cannot be read ({reason(error)}); give another recipe") from error
    if size > LARGEST:
        raise RecipeError(f"{size:,} bytes are too many for a recipe, {LARGEST:,} at most; give another file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"line {line}: no UTF-8 text; save it as UTF-8") from error


def _parsed(text: str) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).rpartition(" (at ")
        found = re.match(r"line \d+", place)
        line = found[0] if found else f"line {text.rstrip().count(chr(10)) + 1}"  # "end of document"
        raise RecipeError(f"{line}: no valid TOML ({shown(problem)}); correct it") from error
    except RecursionError:
        raise RecipeError("values lie too deep in one another; no recipe needs that") from None
    except ValueError as error:
        raise RecipeError("a number has too many digits; shorten it") from error


def _merged(base: Any, overlay: Any) -> Any:
    """Tables merge key by key; anything else is replaced."""
    if not (isinstance(base, dict) and isinstance(overlay, dict)):
        return overlay
    return base | {key: _merged(base.get(key), value) for key, value in overlay.items()}


def _table(kind: type[Value], found: object, path: str) -> Value:
    """A dataclass from its table."""
    if not isinstance(found, dict):
        raise _wrong(path, f"expected a table, found {_named(found)}")
    assert is_dataclass(kind)
    kinds = get_type_hints(kind)
    for key in found:
        if key not in kinds:
            known = [*kinds] if path else [*kinds, PROFILE]
            raise _wrong(_joined(path, key), f"unknown key; {suggestion(key, known)}")
    for field in fields(kind):
        if field.name not in found and field.default is MISSING and field.default_factory is MISSING:
            raise _wrong(_joined(path, field.name), "is missing; add it")
    values = {key: _value(kinds[key], value, _joined(path, key)) for key, value in found.items()}
    try:
        return kind(**values)
    except ValueError as error:  # its message begins with the field's name
        raise RecipeError(_joined(path, reason(error))) from error


def _value(kind: Any, found: object, path: str) -> Any:
    """A field's value of its declared type."""
    if is_dataclass(kind):
        return _table(cast(type[Any], kind), found, path)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if not isinstance(found, list):
            wanted = f"a list of tables, each [[{path}]]" if is_dataclass(item) else "a list"
            raise _wrong(path, f"expected {wanted}, found {_named(found)}")
        return tuple(_value(item, value, f"{path}.{number}") for number, value in enumerate(found))
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if not (isinstance(found, str) and found in choices):
            near = get_close_matches(found, choices, n=1) if isinstance(found, str) else []
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise _wrong(path, f"expected one of {', '.join(map(_named, choices))}, found {_named(found)}{hint}")
        return found
    return _scalar(kind, found, path)


def _scalar(kind: type, found: object, path: str) -> Any:
    if kind is float and type(found) is int and _fits(found):
        found = float(found)
    if type(found) is not kind:
        wanted = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise _wrong(path, f"expected {wanted}, found {_named(found)}")
    if isinstance(found, str):
        _check_text(found, path)
    elif not _fits(found):
        raise _wrong(path, f"expected a finite number of at most 64 bits, found {_named(found)}")
    return found


def _fits(number: Any) -> bool:
    """Whether TOML has such whole numbers, and whether any other is finite."""
    return -(2**63) <= number < 2**63 if isinstance(number, int) else math.isfinite(number)


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _wrong(path, f"{shown(text)} is no Unicode text; rename the file or folder") from error
    if "\0" in text:
        raise _wrong(path, "has a zero byte; leave it out")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _named(found: object) -> str:
    """What a value is, for a message."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str):
        return f'"{shown(found)}"'
    if isinstance(found, int | float):
        return str(found) if isinstance(found, float) or _fits(found) else "a number beyond 64 bits"
    return "a table" if isinstance(found, dict) else "a list" if isinstance(found, list) else "a date or time"


def _changed(recipe: Recipe, change: str) -> Recipe:
    """The recipe with one `key=value` of the command line."""
    path, sign, text = (word.strip() for word in change.partition("="))
    if not (sign and path):
        raise RecipeError(f'"{shown(change)}" is no key=value; write for instance seed=2 or loss.0.margin=0.5')
    tree: Tree = _plain(recipe)
    place: Any = tree
    *way, last = path.split(".")
    for depth, key in enumerate(way):
        place = place[_step(place, key, ".".join(way[: depth + 1]))]
    step = _step(place, last, path)
    place[step] = _merged(place[step], _given(text, place[step]))
    return _table(Recipe, tree, "")


def _step(place: object, key: str, path: str) -> str | int:
    """A key that is there."""
    if isinstance(place, dict):
        if key not in place:
            raise _wrong(path, f"unknown key; {suggestion(key, list(place))}")
        return key
    if isinstance(place, list):
        if key not in map(str, range(len(place))):
            raise _wrong(path, f"no such item; there are {len(place)}, numbered from 0")
        return int(key)
    raise _wrong(path, "there is nothing within a single value; leave the end of the key out")


def _given(text: str, old: object) -> Any:
    """A value of the command line: as TOML has it, else text, which needs no quotes where text is wanted."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    value = parsed["value"] if list(parsed) == ["value"] else text
    return text if isinstance(old, str) and not isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Dataclasses as tables, tuples as lists."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """A table's own values, then the tables within it, as TOML wants it."""
    inner: dict[str, list[Tree]] = {}
    for key, value in table.items():
        here = _joined(path, key)
        if isinstance(value, dict):
            inner[f"[{here}]"] = [value]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inner[f"[[{here}]]"] = value
        else:
            yield f"{key} = {_toml(value, here)}"
    for heading, tables in inner.items():
        for one in tables:
            yield from ("", heading)
            yield from _lines(one, heading.strip("[]"))


def _toml(value: Any, path: str) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(item, path) for item in value)}]"
    if isinstance(value, str):
        _check_text(value, path)
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # all else JSON writes as TOML does
    return str(value).lower() if isinstance(value, bool) else repr(value)
