"""`twinface access audit verify|show|export`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import complain, console, counted, printable, refuse_overwriting, write_json
from twinface.core.audit import AuditRecord, record_facts
from twinface.core.audit_chain import Head, Problem
from twinface.core.files import reason, shown, write_atomically
from twinface.errors import GalleryCorrupt, GalleryError, TwinFaceError

if TYPE_CHECKING:
    from rich.table import Table

    from twinface.app.gallery import Gallery

app = typer.Typer(help="The log of what was asked, decided and done: check it, read it, take it elsewhere.")

FOUND = 1
"""Exit status of verify when the log is not what was written."""

LISTED = 20
"""Problems that are printed; --json gives all."""

LONGEST_LINE = 1 << 16
"""Bytes of a line in an exported log; records are shorter."""


@app.command("verify")
def verify(
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="NUMBER:DIGEST",
            help="A head noted elsewhere, as this command prints it: the log must hold it.",
        ),
    ] = None,
    file: Annotated[Path | None, options.path("--file", "Check an exported log instead of the gallery's.")] = None,
    json: options.Json = False,
) -> None:
    """Find records that were edited, removed, exchanged or added. Status 0: sound; 1: not; 2: it cannot be looked at.

    Note the head that is printed somewhere else from time to time: with --expect even a log that was written anew as a
    whole, or an older state of the file that was put back, is found.
    """
    from twinface.core.audit_export import check_export

    expected = None if expect is None else parse_head(expect)
    if file is not None:
        if gallery is not None or key_file is not None:
            raise TwinFaceError("--file checks an exported log by itself; leave --gallery and --key-file out")
        try:
            if file.exists() and not file.is_file():
                raise ValueError("no regular file")  # which may never end
            with file.open("rb") as opened_file:
                exported = check_export(_lines(opened_file), expected)
        except GalleryError as error:
            raise GalleryError(f"{shown(file)}: {error}") from error
        except (OSError, ValueError) as error:
            raise GalleryError(f"{shown(file)}: cannot be read ({reason(error)})") from error
        _tell(file, exported.head, exported.problems, json)
        return
    with open_gallery(gallery, key_file, read_only=True) as opened:
        path, head = opened.store.path, _head(opened)
        problems = opened.store.audit.problems(expected)
    _tell(path, head, problems, json)


def _tell(path: Path, head: Head | None, problems: list[Problem], json: bool) -> None:
    if json:
        told = [{"number": one.number, "kind": one.kind, "words": one.words} for one in problems]
        write_json({"sound": not problems, "head": head_text(head), "problems": told})
    else:
        for one in problems[:LISTED]:
            typer.echo(f"{shown(path)}: {printable(one.words)}")
        if not problems:
            records = counted(0 if head is None else head[0], "record")
            typer.echo(f"{shown(path)}: the audit log is sound; {records}\nhead {head_text(head)}")
    if problems:
        complain(
            f"{shown(path)}: the audit log is not what was written ({counted(len(problems), 'problem')}); keep a copy "
            "of the file as evidence, and find out who can write it"
        )
        raise typer.Exit(FOUND)


@app.command("show")
def show(
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    last: Annotated[int, typer.Option("--last", min=1, help="So many records at the end.")] = 20,
    place: Annotated[str | None, typer.Option("--place", help="Of this place only.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not earlier: 2027-01-31 or 2027-01-31T08:00 (UTC).")
    ] = None,
    json: options.Json = False,
) -> None:
    """Print records, the newest last. People have their names while the gallery knows them."""
    moment = None if since is None else parse_time(since)
    with open_gallery(gallery, key_file, read_only=True) as opened:
        rows = list(opened.store.audit.entries(place=place, since=moment, newest=last))
        path, head = opened.store.path, _head(opened)
        known = _names(opened, [record for _, record in rows if record is not None])
    if json:
        for number, record in rows:
            write_json({"number": number, "damaged": True} if record is None else _for_machines(record, known))
        return
    if not rows:
        typer.echo(f"{shown(path)}: no such record in the audit log")
        return
    table = _table()
    for number, record in rows:
        _add_row(table, number, record, known)
    console().print(table)
    if head is not None:
        typer.echo(f"head {head_text(head)}")
    if any(record is None for _, record in rows):
        complain(f"{shown(path)}: records were edited or damaged; see twinface access audit verify")


@app.command("export")
def export(
    out: Annotated[
        Path,
        typer.Argument(help="The file to write; - for standard output.", metavar="FILE", parser=options.given_path),
    ],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Write the whole log as lines of JSON, which `verify --file` checks without the gallery. It is not encrypted."""
    from twinface.core.audit import write_record
    from twinface.core.audit_export import write_header

    with open_gallery(gallery, key_file, read_only=True) as opened:
        log, path = opened.store.audit, opened.store.path
        head = log.head()
        if head[0] and (problems := log.problems()):
            complain(
                f"{shown(path)}: the audit log is not sound ({problems[0].words}); see twinface access audit verify"
            )

        lines = (write_record(one) + b"\n" for _, one in log.entries(last=head[0]) if one is not None)
        whole = chain((write_header(opened.info().id, head) + b"\n",), lines)
        if str(out) == "-":
            for line in whole:
                typer.echo(line, nl=False)
            return
        refuse_overwriting(out, [path])
        write_atomically(out, lambda file: file.writelines(whole), private=True)
    typer.echo(f"{shown(out)}: {counted(head[0], 'record')}\nhead {head_text(head)}")


def parse_head(text: str) -> Head:
    """Reads a head as `head_text` writes it.

    Raises:
        TwinFaceError: it is none.
    """
    match = re.fullmatch("([0-9]{1,18}):([0-9a-f]{64})", text.strip())
    if match is None:
        raise TwinFaceError(
            "--expect takes a head as verify prints it, NUMBER:DIGEST, the digest of 64 hexadecimal digits"
        )
    return int(match[1]), match[2]


def head_text(head: Head | None) -> str:
    """A head, as it is noted elsewhere; empty where it is not known."""
    return "" if head is None else f"{head[0]}:{head[1]}"


def parse_time(text: str) -> datetime:
    """Reads a day or a time; UTC unless it says otherwise.

    Raises:
        TwinFaceError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise TwinFaceError(f"--since takes a time as 2027-01-31 or 2027-01-31T08:00, got {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a file; one that is far too long is cut, so that it is no record."""
    while line := file.readline(LONGEST_LINE):
        yield line


def _head(gallery: Gallery) -> Head | None:
    """Where the log ends; None where what says so was tampered with."""
    try:
        return gallery.store.audit.head()
    except GalleryCorrupt:
        return None


def _names(gallery: Gallery, records: list[AuditRecord]) -> dict[str, str]:
    return gallery.store.names(sorted({uid for record in records for uid in record.subjects}))


def _for_machines(record: AuditRecord, known: dict[str, str]) -> dict[str, Any]:
    return {**record_facts(record), "people": [known.get(uid) for uid in record.subjects]}


def _who(uid: str, known: dict[str, str]) -> str:
    return printable(known[uid]) if uid in known else f"removed person {uid[:4]}\u2026"


def _table() -> Table:
    from rich.table import Column, Table

    return Table(
        Column("", justify="right", style="dim"), "time (UTC)", "what", "place", "decision", "who",
        Column("why", overflow="fold"), Column("distance", justify="right"), "liveness",
        box=None, padding=(0, 2, 0, 0), header_style="dim",
    )  # fmt: skip


def _add_row(table: Table, number: int, record: AuditRecord | None, known: dict[str, str]) -> None:
    from rich.text import Text

    if record is None:
        table.add_row(str(number), Text("DAMAGED", style="bold red"))
        return
    colour = {"grant": "green", "refuse": "red"}.get(record.decision, "")
    words = ": ".join(one for one in (record.reason, record.detail) if one)
    table.add_row(
        str(number),
        f"{record.at:%Y-%m-%d %H:%M:%S}",
        record.kind,
        Text(printable(record.place)),
        Text(record.decision, style=colour),
        Text(", ".join(_who(uid, known) for uid in record.subjects)),
        Text(printable(words)),
        "" if record.distance is None else f"{record.distance:.3f}",
        Text(printable(record.liveness)),
    )
