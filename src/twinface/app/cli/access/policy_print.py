"""A policy in words, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twinface.app.access.policy_keys import EVERYONE
from twinface.app.access.policy_words import (
    Now,
    PlaceWords,
    RuleWords,
    hours_words,
    nowhere,
    people_words,
    place_words,
)
from twinface.app.cli.output import console, counted, printable
from twinface.core.access.calendar import wall_clock
from twinface.core.access.policy import Policy

LISTED = 5
"""Names that are told of a group."""

MOST = 20
"""Names that are told where they are all there is to tell."""


def print_policy(policy: Policy, origin: str) -> None:
    """Places with who may go there and what is asked, schedules, and people who are bound to dates."""
    out = console()
    counts = ", ".join(
        (
            counted(len(policy.places), "place"),
            counted(len(policy.people), "person", "people"),
            counted(len(policy.rules), "rule"),
        )
    )
    out.print(Text(printable(origin), style="bold"))
    out.print(Text(f"sound: {counts}; what is not allowed here is refused", style="dim"))
    for place in policy.places.values():
        _print_place(place_words(policy, place))
    if policy.schedules:
        hours = [(one.name, hours_words(policy, one)) for one in policy.schedules.values()]
        _print_pairs(f"Times, as a clock in {policy.zone} shows them", hours)
    if people_words(policy):
        _print_pairs("People with limits", people_words(policy))
    if nowhere(policy):
        _print_pairs("May go nowhere", [("", some(nowhere(policy), MOST))])


def print_moment(policy: Policy, when: datetime, now: Sequence[Now]) -> None:
    """Who gets in where at a moment."""
    table = _grid()
    for one in now:
        table.add_row(one.place, Text(some(one.may, MOST) or "nobody", style="green" if one.may else "red"))
        for reason, names in one.not_now.items():
            table.add_row("", Text(f"{str(reason).replace('_', ' ')}: {some(names, MOST)}", style="dim"))
    _print_table(f"On {wall_clock(when, policy.zone):%A, %Y-%m-%d at %H:%M} the rules let in", table)


def print_warnings(told: Sequence[tuple[int, str]]) -> None:
    """What may not be meant: lines (0 for none) and words."""
    table = _grid()
    for line, words in told:
        table.add_row(f"line {line}" if line else "", Text(printable(words), style="yellow"))
    if told:
        _print_table("Is this meant?", table)


def some(names: Sequence[str], most: int = LISTED) -> str:
    """Names, not too many of them."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return printable(", ".join(names[:most])) + more


def _print_place(place: PlaceWords) -> None:
    table = _grid()
    for label, rules, style in (("may", place.allowed, "green"), ("never", place.refused, "red")):
        for number, rule in enumerate(rules):
            table.add_row(label if number == 0 else "", _rule_text(rule, style))
    table.add_row("asked", Text(printable("; ".join(place.asked))))
    if place.guarded:
        table.add_row("guarded", Text(printable("; ".join(place.guarded))))
    for label, words in (("granted", place.on_grant), ("refused", place.on_refusal)):
        if words:
            table.add_row(label, Text(printable(", ".join(words))))
    name = Text(printable(place.name), style="bold")
    _print_table(name.append(f"  {place.id}, line {place.line}", style="not bold dim"), table)


def _rule_text(rule: RuleWords, style: str) -> Text:
    """Who, when, and where in the file."""
    text = Text(printable(rule.who), style=style)
    if rule.who not in (EVERYONE, ", ".join(rule.people)):
        text.append(f" ({some(rule.people)})", style="default")
    when = f" during {rule.schedule}" if rule.schedule else "" if rule.dates else " at any time"
    text.append(printable(f"{when}{' ' * bool(rule.dates)}{rule.dates}"), style="default")
    note = f"{printable(rule.note)}; " if rule.note else ""
    return text.append(f"  {note}line {rule.line}", style="dim")


def _print_pairs(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    table = _grid()
    for name, words in pairs:
        table.add_row(*([printable(name)] if name else []), Text(printable(words)))
    _print_table(title, table)


def _print_table(title: str | Text, table: Table) -> None:
    out = console()
    out.print()
    out.print(title if isinstance(title, Text) else Text(title, style="bold"))
    out.print(Padding(table, (0, 0, 0, 2)))


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    return table
