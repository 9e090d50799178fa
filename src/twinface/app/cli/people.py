"""`twinface people list|show|rename|merge|remove|export|import`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import complain, console, counted, printable, write_json
from twinface.core.files import shown
from twinface.core.subjects import expiry
from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery
    from twinface.core.subjects import ErasureReceipt, Sample, Subject

app = typer.Typer(help="The people of a gallery: see, rename, merge, remove, take elsewhere.")

Name = Annotated[str, typer.Argument(help="A person's name.", metavar="NAME")]


@app.command("list")
def list_people(gallery: options.Gallery = None, key_file: options.KeyFile = None, json: options.Json = False) -> None:
    """List everybody enrolled."""
    with open_gallery(gallery, key_file) as opened:
        people = opened.people()
        if json:
            write_json([subject_json(one) for one in people])
            return
        if not people:
            console().print(f"{shown(opened.store.path)}: nobody is enrolled; twinface enroll --name Ada a.jpg")
            return
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "name", "pictures", "photos kept", "since", "until", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for one in people:
        until = "" if one.expires is None else _day(one.expires)
        table.add_row(Text(printable(one.name)), f"{one.samples:,}", f"{one.photos:,}", _day(one.created), until)
    console().print(table)


@app.command("show")
def show_person(
    name: Name, gallery: options.Gallery = None, key_file: options.KeyFile = None, json: options.Json = False
) -> None:
    """Show all that is kept of a person."""
    with open_gallery(gallery, key_file) as opened:
        person = opened.store.find(name)
        samples = opened.store.samples(person.uid)
    if json:
        write_json({**subject_json(person), "samples": [sample_json(one) for one in samples]})
        return
    from rich.table import Column, Table
    from rich.text import Text

    out = console()
    until = "" if person.expires is None else f", until {_day(person.expires)}"
    out.print(Text(printable(person.name), style="bold"), Text(f"since {_day(person.created)}{until}", style="dim"))
    columns = ("number", Column("picture", overflow="fold"), "added", "eyes apart", "sharpness", "turned", "photo", "")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for one in samples:
        quality = one.quality
        told = ["", "", ""]
        if quality is not None:
            told = [f"{quality.eye_distance:.0f} px", f"{quality.sharpness:.2f}", f"{abs(quality.yaw):.0f}\u00b0"]
        reasons = ", ".join(quality.reasons) if quality is not None else ""
        kept = "kept" if one.has_photo else "not kept"
        table.add_row(
            str(one.number), Text(printable(shown(one.source)) or "imported"), _day(one.added), *told, kept,
            Text(reasons, style="yellow"),
        )  # fmt: skip
    out.print(table)


@app.command("rename")
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(help="The new name.", metavar="NEW")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Give a person another name; the old one is erased."""
    with open_gallery(gallery, key_file) as opened:
        opened.rename(name, new)
        typer.echo(f"{printable(name)} is {printable(opened.store.find(new).name)} now")


@app.command("merge")
def merge(
    into: Annotated[str, typer.Argument(help="Who stays.", metavar="INTO")],
    others: Annotated[list[str], typer.Argument(help="Who become her.", metavar="OTHER...")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Make several people one: all pictures become INTO's, the other names are erased."""
    with open_gallery(gallery, key_file) as opened:
        opened.merge(into, *others)
        person = opened.store.find(into)
        typer.echo(f"{printable(person.name)} has {counted(person.samples, 'picture')} now")


@app.command("remove")
def remove(
    names: Annotated[list[str] | None, typer.Argument(help="People.", metavar="NAME...")] = None,
    sample: Annotated[
        list[int] | None, typer.Option("--sample", help="Remove a single picture, by its number (people show).")
    ] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    json: options.Json = False,
) -> None:
    """Remove people, or single pictures, and erase every byte kept of them. Prints a receipt.

    The file is written anew without them, so removing many at once takes no longer than removing one.
    """
    if not names and not sample:
        raise TwinFaceError("nobody to remove; name people, or pictures with --sample")
    if names and sample:
        raise TwinFaceError("remove people or pictures, not both at once")
    with open_gallery(gallery, key_file) as opened:
        receipt = opened.store.remove_samples(sample) if sample else opened.remove(*(names or []))
        if json:
            write_json({**receipt_json(receipt), "names": names or []})
        else:
            print_receipt(receipt, opened, names or [])


@app.command("expire")
def expire(
    name: Name,
    when: Annotated[str, typer.Argument(help="30d, 12h, 8w, 2027-01-31, or never.", metavar="WHEN")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Say when a person is to be forgotten."""
    with open_gallery(gallery, key_file) as opened:
        until = None if when == "never" else expiry(when)
        opened.store.set_expiry(name, until)
        words = "is kept until somebody removes her" if until is None else f"is forgotten on {_day(until)}"
        typer.echo(f"{printable(opened.store.find(name).name)} {words}")


@app.command("export")
def export_people(
    out: Annotated[Path, options.path("--out", "The file to write, .npz.")],
    names: Annotated[list[str] | None, typer.Argument(help="People; default: everybody.", metavar="NAME...")] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Write people to a file that another gallery takes: names, templates, kept photos. It is not encrypted."""
    from twinface.app.moving import export

    with open_gallery(gallery, key_file) as opened:
        people = [opened.store.find(name) for name in names] if names else opened.people()
        written = export(opened.store, people, out)
    typer.echo(
        f"{shown(out)}: {counted(len(people), 'person', 'people')}, {counted(written, 'template')}; keep it safe"
    )


@app.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(help="What people export wrote, or encodings.", metavar="FILE")],
    face_recognition: Annotated[
        bool,
        typer.Option("--face-recognition", help="FILE holds encodings of face_recognition (.json, .csv, .npz, .npy)."),
    ] = False,
    names: Annotated[Path | None, options.path("--names", "Names for a .npy of encodings, one a line.")] = None,
    gallery: options.Gallery = None,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Encrypt the gallery that is made.")] = False,
    key_file: options.KeyFile = None,
) -> None:
    """Take people from a file. Templates of another model than the gallery's are refused. May run again.

    Encodings of face_recognition are templates of resnet29 without mirror (--model resnet29 --no-flip): a gallery that
    is made for them is of that model, and they never meet templates of another.
    """
    from twinface.app.moving import entries_of_encodings, entries_of_people, space_of_people, take

    if face_recognition:
        entries, space = entries_of_encodings(file, names)
    elif names is not None:
        raise TwinFaceError("--names goes with --face-recognition")
    else:
        entries, space = entries_of_people(file), space_of_people(file)
    with open_gallery(
        gallery, key_file, create=True, encrypt=encrypt, model=space.model, mirror=space.mirror
    ) as opened:
        outcomes = take(opened.store, entries)
        conflicts = sorted({one.name for one in outcomes if one.kind == "conflict"})
        added = sum(one.kind == "enrolled" for one in outcomes)
        doubles = sum(one.kind == "duplicate" for one in outcomes)
        words = f"{counted(added, 'template')} taken" + (f"; {doubles:,} were there already" if doubles else "")
        typer.echo(f"{shown(opened.store.path)}: {words}")
    if conflicts:
        complain(
            f"{counted(len(outcomes) - added - doubles, 'picture')} left out: enrolled for somebody else here "
            f"({', '.join(map(printable, conflicts[:3]))})"
        )
        raise typer.Exit(1)


def subject_json(one: Subject) -> dict[str, Any]:
    """A person for machines."""
    return {
        "name": one.name,
        "uid": one.uid,
        "pictures": one.samples,
        "photos": one.photos,
        "created": one.created.isoformat(),
        "expires": None if one.expires is None else one.expires.isoformat(),
    }


def sample_json(one: Sample) -> dict[str, Any]:
    """A picture for machines."""
    from twinface.app.cli.output import quality_json

    return {
        "number": one.number,
        "source": one.source,
        "sha256": one.digest,
        "added": one.added.isoformat(),
        "quality": None if one.quality is None else quality_json(one.quality),
        "photo": one.has_photo,
    }


def receipt_json(receipt: ErasureReceipt) -> dict[str, Any]:
    """The proof of a removal for machines."""
    return {
        "gallery": receipt.gallery,
        "when": receipt.when.isoformat(timespec="seconds"),
        "subjects": list(receipt.subjects),
        "pictures": receipt.samples,
        "photos": receipt.photos,
        "keys": receipt.keys,
        "rebuilt_bytes": receipt.rebuilt,
    }


def print_receipt(receipt: ErasureReceipt, gallery: Gallery, names: list[str]) -> None:
    """The proof of a removal for people."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    what = [counted(receipt.samples, "picture") + " and what was made of them"]
    if receipt.photos:
        what.append(counted(receipt.photos, "kept photo"))
    if receipt.keys:
        what.append(f"{counted(receipt.keys, 'key')} destroyed")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    table.add_row("", Text("ERASURE RECEIPT", style="bold"))
    if names:
        table.add_row("people", Text(", ".join(map(printable, names))))
    for uid in receipt.subjects:
        table.add_row("subject", uid)
    table.add_row("removed", "; ".join(what))
    table.add_row("gallery", Text(f"{shown(gallery.store.path)} ({receipt.gallery})"))
    table.add_row("when", receipt.when.strftime("%Y-%m-%d %H:%M:%S UTC"))
    table.add_row("how", f"the file was written anew, {receipt.rebuilt:,} bytes, and its log emptied")
    table.add_row("not", Text("backups and exports made before: delete them; restoring one here forgets again"))
    console().print(Padding(table, (1, 1), expand=False))


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d")
