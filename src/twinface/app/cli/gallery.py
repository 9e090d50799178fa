"""`twinface gallery info|doctor|verify|backup|restore|migrate|renew|keygen`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import key_of, open_gallery
from twinface.app.cli.output import TROUBLE, complain, console, counted, printable, write_json
from twinface.app.cli.progress import progress
from twinface.app.settings import gallery_path
from twinface.core.files import shown
from twinface.core.identification import DEFAULT_FPIR

if TYPE_CHECKING:
    from twinface.services.gallery_health import Finding
    from twinface.services.migration import Plan

app = typer.Typer(help="The gallery as a whole: its health, its copies, its model, its secret.")

FOUND = 1
"""Exit status of doctor and verify when something is to be mended."""

LISTED = 20
"""Lines of one kind that are printed."""


@app.command("info")
def info(gallery: options.Gallery = None, key_file: options.KeyFile = None, json: options.Json = False) -> None:
    """Say what the gallery is and how much it holds."""
    with open_gallery(gallery, key_file) as opened:
        told = opened.info()
        path = opened.store.path
    if json:
        write_json({"path": str(path), **asdict(told), "created": told.created.isoformat()})
        return
    from rich.table import Table
    from rich.text import Text

    space = told.space
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    table.add_row("gallery", Text(shown(path)))
    table.add_row("people", counted(told.subjects, "person", "people"))
    table.add_row("pictures", f"{told.samples:,}, of which {told.photos:,} are kept")
    table.add_row("templates", f"{told.templates:,} of {space.model}{'' if space.mirror else ' without mirror'}")
    if told.expiring:
        table.add_row("until", f"{counted(told.expiring, 'person', 'people')} will be forgotten some day")
    if told.records:
        table.add_row("log", counted(told.records, "record"))
    table.add_row("encrypted", f"with a {told.encrypted}" if told.encrypted else "no")
    table.add_row("size", f"{told.size / 1e6:.1f} MB")
    table.add_row("since", f"{told.created:%Y-%m-%d}, layout {told.schema}, id {told.id}")
    console().print(table)


@app.command("doctor")
def doctor(
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    fpir: options.Fpir = DEFAULT_FPIR,
    few: Annotated[int, typer.Option("--few", min=1, help="So many pictures of a person are enough.")] = 2,
    json: options.Json = False,
) -> None:
    """Find what should be mended: doubles, wrong pictures, look-alikes, poor or few pictures. Status 1 if anything."""
    from twinface.app.wiring import rule_of
    from twinface.services.gallery_health import examine

    with open_gallery(gallery, key_file) as opened:
        enrolled, people = opened.store.templates(), opened.people()
        with progress("looking", len(enrolled.samples)) as advance:
            found = examine(
                enrolled, people, opened.store.samples, rule_of(enrolled.space), fpir=fpir, few=few, advance=advance
            )
        path = opened.store.path
    if json:
        write_json([asdict(one) for one in found])
    elif not found:
        typer.echo(f"{shown(path)}: {counted(len(people), 'person', 'people')}, nothing to mend")
    else:
        _print_findings(found)
    if found:
        raise typer.Exit(FOUND)


def _print_findings(found: Sequence[Finding]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from twinface.services.gallery_health import KINDS

    out = console()
    for kind in KINDS:
        some = [one for one in found if one.kind == kind]
        if not some:
            continue
        out.print(Text(f"{kind}  ({len(some):,})", style="bold"))
        if kind == "few pictures" and len(some) > LISTED:
            some = some[:3]
        for one in some[:LISTED]:
            out.print(Padding(Text(printable(one.words)), (0, 0, 0, 2)))
            out.print(Padding(Text(f"\u2192 {printable(one.advice)}", style="dim"), (0, 0, 0, 4)))
        rest = sum(one.kind == kind for one in found) - len(some[:LISTED])
        if rest:
            out.print(Padding(Text(f"and {rest:,} more; --json lists all", style="dim"), (0, 0, 0, 2)))


@app.command("verify")
def verify(gallery: options.Gallery = None, key_file: options.KeyFile = None) -> None:
    """Check the whole file: structure, and that every name, template and photo opens. Status 1 if damaged."""
    with open_gallery(gallery, key_file) as opened:
        problems = opened.store.problems()
        told = opened.info()
        path = opened.store.path
    for problem in problems[:LISTED]:
        typer.echo(f"{shown(path)}: {printable(problem)}")
    if problems:
        complain(
            f"{shown(path)}: {counted(len(problems), 'thing')} damaged; restore a backup (twinface gallery restore) or "
            "remove the pictures named (twinface people remove --sample NUMBER); for the log: access audit verify"
        )
        raise typer.Exit(FOUND)
    people, templates = counted(told.subjects, "person", "people"), counted(told.templates, "template")
    log = f", {counted(told.records, 'record')} of the log" if told.records else ""
    typer.echo(f"{shown(path)}: sound; {people}, {templates}, {counted(told.photos, 'photo')}{log}")


@app.command("backup")
def backup(
    out: Annotated[Path, typer.Argument(help="The file to write.", parser=options.given_path, metavar="FILE")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
) -> None:
    """Write a copy of the gallery while others go on using it. It opens with the same key."""
    from twinface.gallery.copies import back_up

    with open_gallery(gallery, key_file) as opened:
        size = back_up(opened.store, out)
        people = opened.info().subjects
    typer.echo(f"{shown(out)}: {counted(people, 'person', 'people')}, {size / 1e6:.1f} MB")


@app.command("restore")
def restore_gallery(
    backup: Annotated[Path, typer.Argument(help="A backup.", parser=options.given_path, metavar="FILE")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the gallery that is there: who was enrolled since is lost.")
    ] = False,
) -> None:
    """Make a gallery of a backup. Who was removed from the present gallery since is removed from it again."""
    from twinface.gallery.copies import restore

    path = gallery_path() if gallery is None else gallery
    told = restore(backup, path, key_of(key_file), replace=replace)
    words = f"; {counted(told.again, 'person', 'people')} removed since, removed again" if told.again else ""
    typer.echo(f"{shown(path)}: {counted(told.info.subjects, 'person', 'people')}{words}")
    if told.aside is not None:
        complain(f"the damaged gallery is kept as {shown(told.aside)}, with everybody in it: delete it when you can")


@app.command("migrate")
def migrate(
    model: Annotated[str, typer.Option("--model", help="The new encoder: a name, a contract path, or arcface:FILE.")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change, and stop.")] = False,
    leave_behind: Annotated[
        bool,
        typer.Option("--leave-behind", help="Go on though some people have no kept photo: they are found no more."),
    ] = False,
    fpir: options.Fpir = DEFAULT_FPIR,
    flip: options.Flip = None,
    calibration: Annotated[Path | None, options.path("--calibration", "Your own calibration of the new model.")] = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Move to another model: templates anew from the kept photos, what would change is told, then all switch at once.

    Until then the gallery goes on with the old model. Who has no kept photo must be enrolled again.
    """
    from twinface.app.wiring import load_for, rule_of, template_space
    from twinface.services.migration import commit, prepare

    space = template_space(model, flip)
    with open_gallery(gallery, key_file) as opened:
        before = opened.info()
        fresh = load_for(space, detector=detector, providers=provider, threads=threads, calibration=calibration)
        rules = (rule_of(before.space), fresh.rule)
        with progress("encoding", before.samples) as advance:
            plan = prepare(opened.store, fresh.analyzer, space, rules, fpir=fpir, advance=advance)
        stays = bool(plan.left_behind) and not leave_behind
        if json:
            write_json({**_plan_json(plan), "switched": not (dry_run or stays)})
        else:
            _print_plan(plan, before.space.model)
        if dry_run:
            if not json:
                typer.echo("nothing was switched; the new templates are kept beside the old ones for when it is")
            return
        if stays:
            complain(
                f"not switched: {counted(len(plan.left_behind), 'person', 'people')} would be found no more; enrol "
                "them again with --keep-photos, or say --leave-behind"
            )
            raise typer.Exit(TROUBLE)
        commit(opened.store, plan)
        if not json:
            typer.echo(f"{shown(opened.store.path)}: {counted(plan.ready, 'template')} of {model} now")


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.space.model,
        "templates": plan.ready,
        "left_behind": [one.name for one in plan.left_behind],
        "lost_pictures": plan.lost,
        "compared": plan.compared,
        "changes": [asdict(one) for one in plan.changes],
    }


def _print_plan(plan: Plan, old: str) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(f"{counted(plan.ready, 'picture')} encoded by {plan.space.model}")
    if plan.lost:
        lost = counted(plan.lost, "picture")
        out.print(f"{lost} of people who have others will not count: no photo kept, or no face found")
    if plan.left_behind:
        names = ", ".join(printable(one.name) for one in plan.left_behind[:LISTED])
        more = "" if len(plan.left_behind) <= LISTED else f" and {len(plan.left_behind) - LISTED:,} more"
        out.print(Text(f"without any photo kept: {names}{more}", style="yellow"))
    searched = f"of {counted(plan.compared, 'picture')} searched for among the others"
    out.print(f"{searched}, {len(plan.changes):,} are judged otherwise")
    if plan.changes:
        table = Table("of", "picture", f"by {old}", f"by {plan.space.model}", box=None, padding=(0, 2, 0, 0))
        for one in plan.changes[:LISTED]:
            table.add_row(*(Text(printable(word)) for word in (
                one.subject, shown(one.source), one.before or "unknown", one.after or "unknown",
            )))  # fmt: skip
        out.print(table)


@app.command("renew")
def renew(gallery: options.Gallery = None, key_file: options.KeyFile = None) -> None:
    """Turn all templates by a new secret matrix: templates stolen before match nothing here any more."""
    with open_gallery(gallery, key_file) as opened:
        opened.store.renew()
        typer.echo(f"{shown(opened.store.path)}: {counted(opened.info().templates, 'template')} renewed")


@app.command("keygen")
def keygen(
    file: Annotated[Path, typer.Argument(help="The key file to make.", parser=options.given_path, metavar="FILE")],
) -> None:
    """Make a key file for encrypted galleries. Without it they open no more: keep a copy elsewhere."""
    from twinface.gallery.keys import write_key_file

    write_key_file(file)
    typer.echo(f"{shown(file)}: a new key; keep a copy of it where the gallery is not")
