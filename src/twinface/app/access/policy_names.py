"""The people and groups of a policy file, and whom its rules mean by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twinface.app.access.policy_keys import EVERYONE, PERSON
from twinface.app.access.policy_values import Problems, Tree, named, read_keys, suggestion, table
from twinface.app.access.toml_lines import Path
from twinface.core.access.calendar import first_moment, last_moment
from twinface.core.access.policy import Person
from twinface.core.files import shown
from twinface.core.naming import name_key
from twinface.errors import GalleryError

MOST_LEVELS = 50
"""Groups within groups."""


def read_people(tree: Tree, zone: str, problems: Problems) -> dict[str, Person]:
    """The people by `name_key`; of those that are written twice the first."""
    people: dict[str, Person] = {}
    for name, found in table(tree.get("people", {}), ("people",), problems).items():
        path: Path = ("people", name)
        key = _key(name, path, problems)
        values = read_keys(table(found, path, problems), PERSON, path, problems)
        values.pop("note", None)
        start, end = validity(values, zone, path, problems)
        line = problems.line(*path)
        if key in people:
            problems.add(
                path,
                f'is the same name as "{shown(people[key].name)}" on line {people[key].line}; write each person once',
            )
        elif key is not None:
            revoked = bool(values.get("revoked", False))
            people[key] = Person(name, key, line, values.get("pin"), values.get("card"), start, end, revoked)
    return people


def validity(values: dict[str, Any], zone: str, path: Path, problems: Problems) -> tuple[Any, Any]:
    """From and until when something is valid, UTC; None for no bound."""
    bounds: dict[str, Any] = {"valid_from": None, "valid_until": None}
    for name, moment in (("valid_from", first_moment), ("valid_until", last_moment)):
        if name in values:
            try:
                bounds[name] = moment(values[name], zone)
            except ValueError as error:
                problems.add((*path, name), str(error))
    start, end = bounds.values()
    if start is not None and end is not None and end <= start:
        problems.add(
            (*path, "valid_until"),
            f"{values['valid_until']} is over before valid_from, {values['valid_from']}, begins; correct one of them",
        )
    return start, end


class Names:
    """Whom names in groups and rules mean.

    Args:
        tree: the file's.
        people: as `read_people` gives them.
        problems: takes what is wrong with the groups.
    """

    def __init__(self, tree: Tree, people: dict[str, Person], problems: Problems) -> None:
        self._people, self._problems = people, problems
        self._everyone = frozenset(people)
        self._members: dict[str, tuple[str, list[str]]] = {}
        """Names and members of the groups, by key."""
        self._resolved: dict[str, frozenset[str]] = {}
        for name, found in table(tree.get("groups", {}), ("groups",), problems).items():
            self._take(name, found)
        for key in self._members:
            self._resolve(key, ())

    @property
    def groups(self) -> dict[str, frozenset[str]]:
        """The keys of all people of each group, by its name as written."""
        return {name: self._resolved[key] for key, (name, _) in self._members.items()}

    def people(self, names: tuple[str, ...], path: Path) -> frozenset[str]:
        """The keys of all whom a rule names; unknown names are noted as problems.

        Args:
            names: groups, people, or "everyone".
            path: of the list.
        """
        found: set[str] = set()
        for place, name in enumerate(names):
            if name == EVERYONE:
                found |= self._everyone
                continue
            key = _key(name, (*path, place), self._problems)
            if key in self._members:
                found |= self._resolved[key]
            elif key in self._people:
                found.add(key)
            elif key is not None:
                self._unknown(name, (*path, place))
        return frozenset(found)

    def _take(self, name: str, found: object) -> None:
        path: Path = ("groups", name)
        key = _key(name, path, self._problems)
        members = [found] if isinstance(found, str) else found
        if not (isinstance(members, list) and all(isinstance(one, str) for one in members)):
            self._problems.add(path, f"expected a list of names, found {named(found)}")
            members = []
        if key is None:
            return
        if key in self._people:
            person = self._people[key]
            self._problems.add(path, f"is also a person's name, on line {person.line}; call the group otherwise")
        elif key in self._members:
            line = self._problems.line("groups", self._members[key][0])
            self._problems.add(path, f"is the same name as that of the group on line {line}; call it otherwise")
        else:
            self._members[key] = (name, members)

    def _resolve(self, key: str, above: tuple[str, ...]) -> frozenset[str]:
        """The people of a group, those of its groups with them."""
        if key in self._resolved:
            return self._resolved[key]
        name, members = self._members[key]
        if key in above or len(above) >= MOST_LEVELS:
            round_trip = [self._members[one][0] for one in (*above[above.index(key) :], key)] if key in above else []
            what = (
                f"contains itself ({' > '.join(map(shown, round_trip))})" if round_trip else "lies too deep in others"
            )
            self._problems.add(("groups", name), f"{what}; take one group out of another")
            return frozenset()
        found: set[str] = set()
        for place, member, inner in self._inner(name, members):
            if inner in self._members:
                found |= self._resolve(inner, (*above, key))
            elif inner in self._people:
                found.add(inner)
            else:
                self._unknown(member, ("groups", name, place))
        self._resolved[key] = frozenset(found)
        return self._resolved[key]

    def _inner(self, name: str, members: list[str]) -> Iterator[tuple[int, str, str]]:
        for place, member in enumerate(members):
            inner = _key(member, ("groups", name, place), self._problems)
            if inner is not None:
                yield place, member, inner

    def _unknown(self, name: str, path: Path) -> None:
        known = [*(group for group, _ in self._members.values()), *(person.name for person in self._people.values())]
        self._problems.add(path, f'there is no person or group "{shown(name)}"; {suggestion(name, known)}')


def _key(name: str, path: Path, problems: Problems) -> str | None:
    """The key of a name; None, and a problem, where it is no name."""
    try:
        key = name_key(name)
    except GalleryError as error:
        problems.add(path, str(error))
        return None
    if key == EVERYONE:
        problems.add(path, f'"{EVERYONE}" means all people, and can name none; write another name')
        return None
    return key
