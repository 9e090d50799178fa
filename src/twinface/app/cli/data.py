"""`twinface data fetch|list`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from twinface.app.cli import options
from twinface.app.cli.output import console, write_json
from twinface.app.settings import data_folder
from twinface.core.files import reason, shown
from twinface.errors import OutputError

if TYPE_CHECKING:
    from twinface.datasets.catalogue import RemoteFile, RemoteSet

app = typer.Typer(help="Data sets to measure with.")


@app.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="Which one (twinface data list).")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to put it in; default: TWINFACE_DATA or your data folder.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", help="Address of a folder with copies of the files; digests are checked.")
    ] = None,
    extract: Annotated[
        bool, typer.Option("--extract/--no-extract", help="Unpack the pictures; the archive can be read as it is.")
    ] = True,
) -> None:
    """Download a data set, check it, unpack it. Run again after an interruption: it goes on where it stopped."""
    from twinface.datasets.catalogue import find
    from twinface.datasets.extraction import extract as unpack

    chosen = find(name, _catalogue())
    home = to or data_folder()
    archive, folder = home / chosen.archive.name, home / chosen.folder
    with _bars() as bar:
        for file in chosen.lists:
            _fetch(file, home, mirror, bar)
        if not (extract and _is_filled(folder)):
            _fetch(chosen.archive, home, mirror, bar)
            if extract:
                unpack(archive, folder, progress=bar(f"unpacking {chosen.archive.name}"))
    place = folder if extract else archive
    typer.echo(f"{chosen.name}: in {shown(place)}; {chosen.terms}")
    if extract and archive.is_file():
        typer.echo(f"the archive is no longer needed: {shown(archive)}")
    root = str(place) if str(place).isprintable() else shown(place)  # whole, as it is there to be copied
    typer.echo(f"next: twinface evaluate lfw --root {shlex.quote(root)}")


@app.command("list")
def list_data(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to look in; default: TWINFACE_DATA or your data folder.")
    ] = None,
    json: options.Json = False,
) -> None:
    """List the data sets that can be fetched, their terms, and which are here."""
    home = to or data_folder()
    facts = [_facts(one, home) for one in _catalogue()]
    if json:
        write_json(facts)
        return
    from rich.table import Table

    table = Table("name", "what", "size", "here", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for one in facts:
        table.add_row(one["name"], one["title"], f"{one['bytes'] / 1e6:.0f} MB", one["here"] or "no")
    out = console()
    out.print(table)
    out.print()
    for one in facts:
        out.print(f"{one['name']}: {one['source']}; {one['terms']}", soft_wrap=True, markup=False)
    out.print(f"folder: {shown(home)}", soft_wrap=True, markup=False)


def _catalogue() -> Sequence[RemoteSet]:
    from twinface.datasets.catalogue import catalogue

    return catalogue()


def _facts(one: RemoteSet, home: Path) -> dict[str, Any]:
    here = "unpacked" if _is_filled(home / one.folder) else "archive" if (home / one.archive.name).is_file() else None
    return {
        "name": one.name,
        "title": one.title,
        "bytes": one.size,
        "terms": one.terms,
        "source": one.source,
        "here": here,
        "folder": str(home),
    }


def _is_filled(folder: Path) -> bool:
    """Whether something was unpacked there; that happens whole or not at all."""
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"{shown(folder)}: cannot be read ({reason(error)}); look at its rights") from error


class _Bar(Protocol):
    """Makes a bar and returns what moves it."""

    def __call__(self, words: str) -> Callable[..., None]: ...


def _fetch(file: RemoteFile, home: Path, mirror: str | None, bar: _Bar) -> None:
    from urllib.parse import quote

    from twinface.datasets.download import Effort, fetch

    url = file.url if mirror is None else f"{mirror.rstrip('/')}/{quote(file.name)}"
    fetch(url, file.sha256, home / file.name, effort=Effort(most=file.most), progress=bar(file.name))


@contextmanager
def _bars() -> Iterator[_Bar]:
    """Bytes, speed and time remaining on stderr, where somebody sees it."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    shown_on = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as progress:

        def bar(words: str) -> Callable[..., None]:
            task = progress.add_task(words, total=None)

            def move(done: int, total: int | None = None) -> None:
                progress.update(task, completed=done, total=total)

            return move

        yield bar
