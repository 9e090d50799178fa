"""`twinface evaluate lfw|folder|identify|fairness`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import complain, console, printable, write_json
from twinface.app.cli.progress import progress
from twinface.app.settings import data_folder
from twinface.core.files import shown
from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from twinface.app.measuring.system import System
    from twinface.evaluation.report import Table

app = typer.Typer(help="Measure how good a model is: on LFW, on your own people, within groups of people.")

Root = Annotated[
    Path | None,
    options.path("--root", "LFW: its folder or archive; default: where twinface data fetch leaves it."),
]
Out = Annotated[
    Path | None,
    options.path("--out", "Folder for report.html, its plots (PNG, SVG) and figures.json."),
]
Calibration = Annotated[
    Path | None,
    options.path("--calibration", "Your own decision rules, as twinface calibrate --out wrote them."),
]
RefusePoor = Annotated[
    bool, typer.Option("--refuse-poor", help="Count faces that compare refuses for quality as failures to acquire.")
]
AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Test on persons the model was trained on; the report says so loudly.")
]
Unseen = Annotated[bool, typer.Option("--unseen", help="Leave out persons the model was trained on.")]


@app.command("lfw")
def evaluate_lfw(
    root: Root = None,
    protocol: Annotated[str, typer.Option("--protocol", help="view2, to report; view1, to develop.")] = "view2",
    split: Annotated[str, typer.Option("--split", help="Of View 1: train or test.")] = "test",
    json: options.Json = False,
    out: Out = None,
    calibration: Calibration = None,
    refuse_poor: RefusePoor = False,
    allow_leak: AllowLeak = False,
    no_cache: options.NoCache = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Labeled Faces in the Wild: accuracy, EER, AUC, TAR, failures to acquire, error rates with their intervals."""
    from twinface.app.measuring import as_json, lfw, rows
    from twinface.datasets.lfw import open_lfw

    asked = lfw.Options(
        _one_of(protocol, ("view1", "view2"), "--protocol"), _one_of(split, ("train", "test"), "--split"),
        refuse_poor, allow_leak,
    )  # fmt: skip
    if asked.split != "test" and asked.protocol != "view1":
        raise TwinFaceError("--split belongs to --protocol view1; View 2 has folds")
    _check_out(out)
    data = open_lfw(root or data_folder())
    system = _system(model, detector, provider, threads, flip, calibration, no_cache)
    result = lfw.evaluate_lfw(system, data, asked)
    figures = as_json.lfw_json(result, system)
    _answer(figures, rows.lfw_tables(result), system, result.notes, json)
    if out is not None:
        from twinface.app.measuring.reporting import report_lfw

        _written(report_lfw(out, result, system, data, figures))


@app.command("folder")
def evaluate_folder(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=options.given_path, help="One folder a person, or an archive of that; or a CSV.", metavar="DIR"
        ),
    ],
    fmr: Annotated[float | None, typer.Option("--fmr", help="Suggest a threshold for this false match rate.")] = None,
    json: options.Json = False,
    out: Out = None,
    calibration: Calibration = None,
    refuse_poor: RefusePoor = False,
    allow_leak: AllowLeak = False,
    unseen: Unseen = False,
    no_cache: options.NoCache = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Your own people: all pairs, the same figures, a threshold for a wanted FMR, and what the data cannot tell."""
    from twinface.app.measuring import as_json, rows
    from twinface.app.measuring import folder as own
    from twinface.datasets.photos import open_photos

    asked = own.Options(fmr, refuse_poor, allow_leak, unseen)
    if out is not None and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        raise TwinFaceError(f"{shown(out)}: lies in the folder that is measured; put the report elsewhere")
    _check_out(out)
    photos = open_photos(folder)
    system = _system(model, detector, provider, threads, flip, calibration, no_cache)
    result = own.evaluate_folder(system, photos, asked)
    figures = as_json.folder_json(result, system)
    _answer(figures, rows.folder_tables(result), system, (*result.warnings, *result.notes), json)
    if not json:
        for path, reasons in result.failed[:10]:
            complain(f"no usable face: {shown(path)} ({reasons})")
        if len(result.failed) > 10:
            complain(f"no usable face: {len(result.failed) - 10} pictures more; --json lists them all")
    if out is not None:
        from twinface.app.measuring.reporting import report_folder

        _written(report_folder(out, result, system, photos, figures))


@app.command("identify")
def evaluate_identify(
    root: Root = None,
    on: Annotated[
        Path | None,
        options.path("--on", "Your own people instead: one folder a person."),
    ] = None,
    gallery: Annotated[
        list[int] | None,
        typer.Option("--gallery", min=1, help="Persons enrolled; repeat for more. Default: 100, 1,000 and 5,000."),
    ] = None,
    fpir: Annotated[float, typer.Option("--fpir", help="Target false positive identification rate.")] = 0.01,
    draws: Annotated[
        int | None, typer.Option("--draws", min=1, help="Random galleries of each size; default: 10, more if small.")
    ] = None,
    json: options.Json = False,
    out: Out = None,
    refuse_poor: RefusePoor = False,
    allow_leak: AllowLeak = False,
    unseen: Unseen = False,
    no_cache: options.NoCache = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Open-set identification: how often the right person is missed when strangers are turned away."""
    from twinface.app.measuring import as_json, identify, rows
    from twinface.datasets.lfw import open_lfw
    from twinface.datasets.photos import open_photos

    asked = identify.Options(tuple(gallery) if gallery else None, fpir, draws, refuse_poor, allow_leak, unseen)
    if root is not None and on is not None:
        raise TwinFaceError("evaluate identify takes either --root LFW or --on FOLDER")
    _check_out(out)
    photos = open_photos(on) if on is not None else open_lfw(root or data_folder()).photos()
    system = _system(model, detector, provider, threads, flip, None, no_cache)
    result = identify.evaluate_identify(system, photos, "largest" if on is not None else "central", asked)
    figures = as_json.identify_json(result, system)
    _answer(figures, rows.identify_tables(result), system, result.notes, json)
    if out is not None:
        from twinface.app.measuring.reporting import report_identify

        _written(report_identify(out, result, system, figures))


@app.command("fairness")
def evaluate_fairness(
    root: Annotated[
        Path,
        options.path("--root", "UTKFace (and CelebA) by their names, folder or archive; or a CSV path,subject,..."),
    ],
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="race, gender, age, a CSV's column, or two crossed: race+gender. Repeat for more."),
    ] = None,
    fmr: Annotated[float | None, typer.Option("--fmr", help="Operating point; default: the model's.")] = None,
    json: options.Json = False,
    out: Out = None,
    calibration: Calibration = None,
    refuse_poor: RefusePoor = False,
    allow_leak: AllowLeak = False,
    unseen: Unseen = False,
    no_cache: options.NoCache = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Error rates within groups of people, the worst against the best, and whether chance explains it."""
    from twinface.app.measuring import as_json, fairness, rows
    from twinface.datasets.pool import open_pool

    asked = fairness.Options(tuple(by) if by else None, fmr, refuse_poor, allow_leak, unseen)
    _check_out(out)
    photos = open_pool(root)
    system = _system(model, detector, provider, threads, flip, calibration, no_cache)
    result = fairness.evaluate_fairness(system, photos, asked)
    figures = as_json.fairness_json(result, system)
    _answer(figures, rows.fairness_tables(result), system, result.notes, json)
    if out is not None:
        from twinface.app.measuring.reporting import report_fairness

        _written(report_fairness(out, result, system, figures))


def _system(
    model: str | None,
    detector: str | None,
    provider: list[str] | None,
    threads: int | None,
    flip: bool | None,
    calibration: Path | None,
    no_cache: bool,
) -> System:
    from twinface.app.measuring.system import Asked, open_system

    providers = tuple(provider) if provider else None
    return open_system(Asked(model, detector, providers, threads, flip, calibration, not no_cache), progress)


def _check_out(out: Path | None) -> None:
    """Refuses before the work is done, not after."""
    if out is not None:
        from twinface.app.measuring.reporting import prepare

        prepare(out)


def _answer(
    figures: dict[str, Any], tables: list[Table], system: System, notes: tuple[str, ...], as_json: bool
) -> None:
    if as_json:
        write_json(figures)
        return
    from rich.markup import escape
    from rich.table import Table as Grid
    from rich.text import Text

    out = console()
    for table in tables:
        grid = Grid(
            title=escape(printable(table.title)), title_justify="left", title_style="bold", box=None,
            padding=(0, 2, 0, 0), header_style="dim",
        )  # fmt: skip
        for place, name in enumerate(table.header):
            last = place == len(table.header) - 1
            grid.add_column(name, justify="left" if last or not place else "right", no_wrap=not last)
        for row in table.rows:
            grid.add_row(*(Text(printable(cell)) for cell in row))
        out.print(grid)
        if table.note:
            out.print(Text(printable(table.note), style="bold"))
        out.print()
    out.print(Text(f"{system.encoder.name} with {system.detector.name}", style="dim"))
    for note in notes:
        style = "bold red" if note.startswith("LEAK") else "yellow"
        out.print(Text(f"note: {printable(note)}", style=style), soft_wrap=True)


def _written(path: Path) -> None:
    typer.echo(f"report: {shown(path)}", err=True)


def _one_of(text: str, known: tuple[str, ...], option: str) -> Any:
    if text not in known:
        raise TwinFaceError(f"{option} must be {' or '.join(known)}, got {text!r}")
    return text
