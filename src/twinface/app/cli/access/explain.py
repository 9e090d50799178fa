"""`twinface access explain`: why somebody was let in, or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import console, printable, write_json
from twinface.core.wording import percent
from twinface.errors import TwinFaceError
from twinface.services.access_record import REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twinface.core.access.policy import Policy
    from twinface.core.audit import AuditRecord


def explain(
    event: Annotated[str, typer.Argument(help="Number of the record (access audit show), or the request's id.")],
    policy: Annotated[
        Path | None, options.path("--policy", "To tell whether it was decided by this policy, and name the place.")
    ] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    json: options.Json = False,
) -> None:
    """Say why a request was granted or refused: what was seen, what was asked for, by which rules."""
    from twinface.app.access.policy_file import usable_policy

    read = None if policy is None else usable_policy(policy)
    with open_gallery(gallery, key_file, read_only=True) as opened:
        record = _found(opened.store.audit.records(), event)
        names = opened.store.names(record.subjects)
    people = [names.get(uid, f"removed person {uid[:8]}") for uid in record.subjects]
    rows = list(_rows(record, people, read))
    if json:
        write_json({"record": record.number, "request": record.request, **dict(rows)})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    for name, words in rows:
        style = {"grant": "green", "refuse": "red"}.get(words, "") if name == "decision" else ""
        table.add_row(name, Text(printable(words), style))
    console().print(table)


def _found(records: Iterable[AuditRecord], event: str) -> AuditRecord:
    """The record of a number or a request's id.

    Raises:
        TwinFaceError: there is none.
    """
    found = None
    for record in records:
        if event == str(record.number):
            return record
        if record.request == event and record.kind == REQUEST:
            found = record  # the last one holds: a grant whose door did not open is followed by a refusal
    if found is not None:
        return found
    raise TwinFaceError(f"the log has no record {printable(event)}; see twinface access audit show")


def _rows(record: AuditRecord, people: list[str], policy: Policy | None) -> list[tuple[str, str]]:
    """What there is to say, a name and words each."""
    place = None if policy is None else policy.places.get(record.place)
    rows = [
        ("time", record.at.isoformat(timespec="milliseconds")),
        ("what", record.kind),
        ("place", record.place if place is None else f"{place.name} ({record.place})"),
        ("people", ", ".join(people)),
        ("decision", record.decision),
        ("reason", record.reason),
        ("in words", record.detail),
    ]
    if record.distance is not None:
        sure = "" if record.probability is None else f", probability {percent(record.probability)}"
        rows.append(("nearest", f"distance {record.distance:.3f}{sure}"))
    if record.fmr is not None:
        rows.append(("held to", f"FMR {record.fmr:g}: of so many strangers one may be taken for somebody enrolled"))
    if record.liveness:
        rows.append(("liveness", record.liveness))
    if record.policy:
        same = "" if policy is None else ", this one" if record.policy == policy.digest else ", another than this one"
        rows.append(("policy", f"{record.policy[:16]}{same}"))
    if record.model:
        rows.append(("model", record.model[:16]))
    rows.append(("record", f"{record.number}, sealed {record.digest[:16]}"))
    return [(name, words) for name, words in rows if words]
