"""On which line of a TOML file each key stands; `tomllib` reads the values but does not say.

The text has to be valid TOML 1.0, which is for `tomllib` to tell: here strings, comments and brackets are only passed
over, and names are put together as they are there.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys down from the root; numbers are places in arrays, from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r"'[^']*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:''?(?!'))?", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and array item of a valid TOML text.

    Tables that come about by themselves, as `a` in `[a.b]`, stand where they are first named.
    """
    return _Scanner(text).lines()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of a key, or of the innermost table around it that is there; 1 for the root."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._ends = [place for place, letter in enumerate(self._text) if letter == "\n"]
        self._lines: dict[Path, int] = {}
        self._items: dict[Path, int] = {}
        """How many tables each array of tables has so far."""

    def lines(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self._pass(_BLANK)
            if self._at >= len(self._text):
                return self._lines
            if self._text.startswith("[[", self._at):
                table = self._array_header()
            elif self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _pass(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, "not valid TOML"
        self._at = match.end()
        return match[0]

    def _record(self, path: Path, start: int) -> None:
        """Notes the line of a path, and of those around it that have none."""
        line = bisect_right(self._ends, start - 1) + 1
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _header(self) -> Path:
        start, self._at = self._at, self._at + 1
        path = self._within(self._key())
        self._at += 1
        self._lines.pop(path, None)  # [a] after [a.b]: it stands where it is written
        self._record(path, start)
        return path

    def _array_header(self) -> Path:
        start, self._at = self._at, self._at + 2
        *outer, last = self._key()
        array = (*self._within(tuple(outer)), last)
        self._at += 2
        number = self._items.get(array, 0)
        self._items[array] = number + 1
        self._record((*array, number), start)
        return (*array, number)

    def _within(self, keys: tuple[str, ...]) -> Path:
        """A header's keys as a path: in arrays of tables, the last table so far."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._items:
                path = (*path, self._items[path] - 1)
        return path

    def _key(self) -> tuple[str, ...]:
        """A key, dotted or not; what follows it is next."""
        parts: list[str] = []
        while True:
            self._pass(_SPACE)
            first = self._text[self._at]
            if first == '"':
                parts.append(tomllib.loads("key = " + self._pass(_BASIC))["key"])
            elif first == "'":
                parts.append(self._pass(_LITERAL)[1:-1])
            else:
                parts.append(self._pass(_BARE))
            self._pass(_SPACE)
            if not self._text.startswith(".", self._at):
                return tuple(parts)
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._key())
        self._record(path, start)
        self._at += 1
        self._pass(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case "[":
                self._array(path)
            case "{":
                self._inline(path)
            case '"':
                self._pass(_LONG_BASIC if self._text.startswith('"""', self._at) else _BASIC)
            case "'":
                self._pass(_LONG_LITERAL if self._text.startswith("'''", self._at) else _LITERAL)
            case _:
                self._pass(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while True:
            self._pass(_BLANK)
            if self._text[self._at] == "]":
                self._at += 1
                return
            self._record((*path, number), self._at)
            self._value((*path, number))
            number += 1
            self._pass(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._pass(_BLANK)
            if self._text[self._at] in "},":
                self._at += 1
                if self._text[self._at - 1] == "}":
                    return
                continue
            self._pair(path)
