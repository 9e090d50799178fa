"""`twinface access simulate`: a day on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import console, counted, write_json

if TYPE_CHECKING:
    from rich.text import Text

    from twinface.app.access.simulation import Played
    from twinface.core.access.policy import Policy

UNEXPECTED = 1
"""Exit status when something else was decided than the scenario expects."""


def simulate(
    policy: Annotated[Path, options.path("--policy", "Who may go where (TOML).")],
    scenario: Annotated[Path, options.path("--scenario", "Who comes when, with what (TOML).")],
    json: options.Json = False,
) -> None:
    """Play a day against a policy, and say who got in where, and why. No camera is needed, nothing is opened.

    Exit status 0, 1 if the scenario expects something else somewhere, 2 trouble.
    """
    from twinface.app.access.answers import answer_json
    from twinface.app.access.policy_file import usable_policy
    from twinface.app.access.simulation import play, read_scenario

    read = usable_policy(policy)
    played = list(play(read, read_scenario(scenario, read)))
    wrong = [one for one in played if not one.as_expected]
    if json:
        for one in played:
            facts = answer_json(one.request, one.ruling, one.evidence, read.zone)
            facts["person"] = facts["person"] or ", ".join(one.event.who)
            write_json({**facts, **({"expected": one.event.expect} if one.event.expect else {})})
    else:
        _show(played, read)
    if wrong:
        raise typer.Exit(UNEXPECTED)


def _show(played: list[Played], policy: Policy) -> None:
    """A table, by day."""
    from rich.table import Table
    from rich.text import Text

    from twinface.app.access.answers import local

    out = console()
    days: dict[str, list[Played]] = {}
    for one in played:
        days.setdefault(f"{local(one.event.at, policy.zone):%A, %d %B %Y}", []).append(one)
    for day, events in days.items():
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=day, title_justify="left")
        for name in ("time", "place", "who"):
            table.add_column(name, style="dim" if name == "time" else "", overflow="fold")
        table.add_column("decision", no_wrap=True)
        table.add_column("why", overflow="fold")
        for one in events:
            table.add_row(
                f"{local(one.event.at, policy.zone):%H:%M:%S}",
                Text(_place(one, policy)),
                Text(_who(one)),
                Text("● grant", "green") if one.ruling.granted else Text("■ refuse", "red"),
                _why(one),
            )
        out.print(table)
        out.print()
    granted, wrong = sum(one.ruling.granted for one in played), sum(not one.as_expected for one in played)
    out.print(f"{counted(len(played), 'request')}: {granted} granted, {len(played) - granted} refused")
    if wrong:
        out.print(Text(f"{counted(wrong, 'answer')} not as the scenario expects", "red"))


def _place(one: Played, policy: Policy) -> str:
    place = policy.places.get(one.event.place)
    return one.event.place if place is None else place.name


def _who(one: Played) -> str:
    event = one.event
    how = event.attack or ("" if event.fault is None else str(event.fault).replace("_", " "))
    return ", ".join(event.who) + (f" ({how})" if how else "")


def _why(one: Played) -> Text:
    from rich.text import Text

    text = Text(one.ruling.detail)
    if one.event.note:
        text.append(f"  {one.event.note}", "dim italic")
    if not one.as_expected:
        text.append(f"  expected: {one.event.expect}", "red")
    return text
