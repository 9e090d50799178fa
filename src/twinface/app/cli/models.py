"""`twinface models list|show|verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, complain, console, write_json
from twinface.core.contract import EncoderContract
from twinface.core.files import shown
from twinface.core.provenance import TrainingSet
from twinface.core.rates import scientific
from twinface.errors import ModelError
from twinface.models.registry import ModelEntry, find, shipped

app = typer.Typer(help="The models inside the package.")


@app.command("list")
def list_models(json: options.Json = False) -> None:
    """List the shipped models."""
    entries = shipped()
    if json:
        write_json([_facts(entry) for entry in entries])
        return
    from rich.table import Table

    table = Table("name", "kind", "size", "licence", "SHA-256", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for entry in entries:
        facts = _facts(entry)
        size = f"{facts['bytes'] / 1e6:.1f} MB" if facts["bytes"] >= 1e6 else f"{facts['bytes'] / 1e3:.0f} kB"
        table.add_row(entry.name, facts["kind"], size, facts["licence"], facts["sha256"][:16])
    console().print(table)


@app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="Name or contract path.")], json: options.Json = False) -> None:
    """Show a model's contract, operating points and card."""
    entry = find(name)
    rules = entry.rules() if isinstance(entry.contract, EncoderContract) else ()
    training = entry.training()
    if json:
        write_json(
            {
                **_facts(entry),
                "contract": asdict(entry.contract),
                "rules": [asdict(rule) for rule in rules],
                "training": None if training is None else [_trained_on(one) for one in training],
            }
        )
        return
    from rich.markdown import Markdown
    from rich.table import Table

    out = console()
    if card := entry.card():
        out.print(Markdown(card))
    if isinstance(entry.contract, EncoderContract):
        table = Table(
            "mirror", "target FMR", "threshold", "95% interval", "non-mated", "FNMR", "mated", title="operating points",
            title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim",
        )  # fmt: skip
        identities = {entry.contract.identity(mirror): mirror for mirror in (True, False)}
        for rule in rules:
            mirror = {True: "on", False: "off", None: "?"}[identities.get(rule.model)]
            for point in rule.points:
                table.add_row(
                    mirror, scientific(point.fmr), f"{point.threshold:.4f}", f"{point.low:.4f} - {point.high:.4f}",
                    f"{point.non_mated:,}", f"{point.fnmr:.2%}", f"{point.mated:,}",
                )  # fmt: skip
        out.print()
        out.print(table)
    words = (
        "nobody has recorded it"
        if training is None
        else ", ".join(
            f"{one.dataset} ({'persons not listed' if one.subjects is None else f'{len(one.subjects):,} persons'})"
            for one in training
        )
    )
    out.print(f"\ntraining {words}", soft_wrap=True, markup=False)
    out.print(f"file     {shown(entry.path)}\nSHA-256  {entry.contract.sha256}", soft_wrap=True, markup=False)


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(help="Names or contract paths; default: all shipped.")] = None,
) -> None:
    """Compare every weight file with its digest. Exit status: 0 all as they should be, 2 one is not."""
    entries = [find(name) for name in names] if names else shipped()
    bad = 0
    for entry in entries:
        try:
            entry.verify()
            typer.echo(f"{entry.name}: as released")
        except ModelError as error:
            bad += 1
            complain(str(error))
    if bad:
        raise typer.Exit(TROUBLE)


def _facts(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": "encoder" if isinstance(entry.contract, EncoderContract) else "detector",
        "bytes": sum(path.stat().st_size for path, _ in entry.files if path.is_file()),
        "licence": entry.contract.licence,
        "sha256": entry.contract.sha256,
        "path": str(entry.path),
    }


def _trained_on(one: TrainingSet) -> dict[str, Any]:
    return {"dataset": one.dataset, "subjects": None if one.subjects is None else sorted(one.subjects)}
