"""`twinface benchmark --root LFW`."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import console, write_json
from twinface.core.files import shown, write_atomically
from twinface.errors import OutputError

if TYPE_CHECKING:
    from twinface.app.benchmarking.benchmark import Benchmark


def benchmark(
    root: Annotated[
        Path,
        options.path("--root", "LFW: its folder or archive, with pairs.txt in it or beside it."),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the pairs; wide intervals.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="A further encoder: arcface:FILE.onnx or a contract path; repeat for more."),
    ] = None,
    detector: options.Detector = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of each system when it is timed.")] = 1,
    json: options.Json = False,
    out: Annotated[
        Path | None,
        options.path("--out", "Write the table: .md or .json."),
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Take templates made before; speed is always measured anew.")
    ] = True,
) -> None:
    """Measure TwinFace and other libraries on the same pictures: accuracy, speed, memory, size."""
    from dataclasses import replace

    from twinface.app.benchmarking.benchmark import QUICK, Plan
    from twinface.app.benchmarking.benchmark import benchmark as run
    from twinface.app.benchmarking.contenders import entrants
    from twinface.app.benchmarking.report import machine, to_json, to_markdown
    from twinface.app.cli.progress import progress
    from twinface.datasets.lfw import open_lfw

    if out is not None:
        _check(out)
    plan = replace(QUICK if quick else Plan(), threads=threads, cached=cache)
    found = run(open_lfw(root), entrants(model or [], detector), plan, progress)
    facts = machine()
    report = to_json(found, facts)
    if out is not None:
        text = to_markdown(found, facts) if out.suffix == ".md" else json_text.dumps(report, indent=1) + "\n"
        write_atomically(out, lambda file: file.write(text.encode()))
    if json:
        write_json(report)
    else:
        _print(found, facts, out)


def _check(out: Path) -> None:
    """Refuses before the work is done, not after."""
    if out.suffix not in (".md", ".json"):
        raise OutputError(f"{shown(out)}: the table is written as .md or .json; name the file so")
    if not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise OutputError(f"{shown(out)}: cannot be written; choose another place")


def _print(found: Benchmark, facts: dict[str, Any], out: Path | None) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from twinface.app.benchmarking.report import HEADER, SPEED, absent, machine_words, remarks, rows

    def build(columns: Sequence[int]) -> Table:
        table = Table(box=None, padding=(0, 1, 1, 0), header_style="dim")
        for place in columns:
            table.add_column("\n".join(HEADER[place]), justify="right" if place else "left", no_wrap=place > 0)
        for row in rows(found):
            table.add_row(*(Text.assemble(row[place][0], ("\n" + row[place][1], "dim")) for place in columns))
        return table

    screen = console()
    everything = range(len(HEADER))
    tables = [build(everything)]
    roomy = screen.options.update(max_width=10 * screen.width)
    if screen.measure(tables[0], options=roomy).maximum > screen.width:
        tables = [build(everything[:SPEED]), build([0, *everything[SPEED:]])]
    for table in tables:
        screen.print(Padding(table, (1, 0, 0, 0)))
    screen.print()
    for one in remarks(found):
        screen.print(Text(one, "dim"))
    others = Table.grid(padding=(0, 2, 0, 0))
    for name, why in absent(found).items():
        others.add_row(Text(name), Text(why, "dim"))
    screen.print(Padding(Text("not measured"), (1, 0, 0, 0)))
    screen.print(others)
    screen.print(Padding(Text(machine_words(facts), "dim"), (1, 0, 0, 0)))
    if out is not None:
        screen.print(Text(f"written to {shown(out)}"))
