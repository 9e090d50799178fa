"""`twinface models list|show|verify|push|pull`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, complain, console, write_json
from twinface.app.settings import data_folder, hub_endpoint
from twinface.core.contract import EncoderContract
from twinface.core.files import shown
from twinface.core.provenance import TrainingSet
from twinface.core.rates import scientific
from twinface.errors import ModelError
from twinface.models.registry import ModelEntry, find, shipped

app = typer.Typer(help="The models inside the package, and those of the Hugging Face Hub.")

Repo = Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository at the Hugging Face Hub (or HF_ENDPOINT).")]


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


@app.command("push")
def push_model(
    repo: Repo,
    model: Annotated[str, typer.Option("--model", help="Which one: a name (twinface models list) or a contract path.")],
    weights: Annotated[
        Path | None, options.path("--weights", "Weights for training on (.safetensors), to go with it.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Only its owners see it.")] = False,
    message: Annotated[str | None, typer.Option("--message", help="What the commit says.")] = None,
) -> None:
    """Publish a model: ONNX, contract and card, with decision rules and training record where there are.

    Who you are is known from hf auth login or HF_TOKEN.
    """
    from twinface.models.hub import push

    entry = find(model)
    commit = push(repo, entry, weights=weights, private=private, message=message, endpoint=hub_endpoint())
    typer.echo(f"{entry.name}: pushed to {repo}, commit {commit}")
    typer.echo(f"next: twinface models pull {repo} --revision {commit} --sha256 {entry.contract.sha256}")


@app.command("pull")
def pull_model(
    repo: Repo,
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit.")] = "main",
    out: Annotated[
        Path | None, options.path("--out", "Folder to put it in; default: models/ORG--NAME in your data folder.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="DIGEST", help="The digest that the ONNX file must have.")
    ] = None,
) -> None:
    """Fetch a model that push has published, check every file, keep it whole or not at all."""
    from twinface.models.hub import pull

    target = out or data_folder() / "models" / repo.replace("/", "--")
    with _bar(f"pulling {repo}") as move:
        pulled = pull(repo, target, revision=revision, sha256=sha256, endpoint=hub_endpoint(), progress=move)
    name, path = pulled.entry.name, str(pulled.contract_path)
    given = shlex.quote(path if path.isprintable() else shown(path))  # whole, as it is there to be copied
    option = "--model" if isinstance(pulled.entry.contract, EncoderContract) else "--detector"
    typer.echo(f"{name}: in {shown(pulled.entry.folder)}, commit {pulled.commit} of {repo}")
    if not pulled.calibrated:
        typer.echo(
            f"no decision rules for it came along; measure them first: twinface calibrate --model {given} --out FILE, "
            "and give them to compare with --calibration FILE"
        )
    typer.echo(f"next: twinface compare {option} {given} FIRST SECOND")


@contextmanager
def _bar(words: str) -> Iterator[Callable[[int, int], object]]:
    """Bytes, speed and time remaining on stderr, where somebody sees it."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    shown_on = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda here, total: progress.update(task, completed=here, total=total)


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
