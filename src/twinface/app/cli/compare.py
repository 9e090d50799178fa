"""`twinface compare A B`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import (
    STATUSES,
    console,
    face_json,
    parse_choices,
    refuse_overwriting,
    seconds_json,
    write_json,
)
from twinface.core.files import shown
from twinface.core.types import Analysis, Comparison, Face
from twinface.core.wording import VERDICT_COLOURS, VERDICT_MARKS, VERDICT_WORDS, band_label, caution, fmr_label, percent
from twinface.errors import TwinFaceError
from twinface.services.recognition import FaceChoice, Recognizer


def compare(
    a: Annotated[str, typer.Argument(help="A picture.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another picture.", metavar="B")],
    fmr: Annotated[
        float | None,
        typer.Option("--fmr", help="Target false match rate of the verdict: 1e-2, 1e-3, 1e-4, ... as measured."),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            "--band", help="How sure an answer has to be, 0.5 to 1, as 0.9; else it is inconclusive, status 3."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Your own calibration of this model: what calibrate --out wrote."),
    ] = None,
    face: Annotated[
        str,
        typer.Option(
            "--face",
            help="Faces that count: largest, all, only (refuse several), a number; or one for each, as largest,2.",
        ),
    ] = "largest",
    json: options.Json = False,
    save: Annotated[Path | None, typer.Option("--save", help="Write a side-by-side picture (png, jpg, webp).")] = None,
    flip: options.Flip = None,
    any_quality: Annotated[
        bool, typer.Option("--any-quality", help="Compare blurred, profile or tiny faces too.")
    ] = False,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Tell whether two pictures show the same person. Exit status: 0 same, 1 different, 2 trouble, 3 inconclusive."""
    from twinface.app.wiring import load

    choice = parse_choices(face)
    if a == "-" or b == "-":
        raise TwinFaceError("compare reads files, not standard input; save the picture first")
    if save is not None:
        refuse_overwriting(save, [a, b] if calibration is None else [a, b, calibration])
    recognizer = load(
        model, detector=detector, providers=provider, threads=threads, mirror=flip, calibration=calibration
    )
    found = recognizer.compare_all(a, b, fmr=fmr, band=band, face=choice, refuse_poor=not any_quality)
    best = found[0]
    if save is not None:
        from twinface.vision.drawing import draw_comparison
        from twinface.vision.drawing import save as write

        write(draw_comparison(best), save)
    if json:
        write_json(comparison_json(best, found, choice, recognizer.caution))
    else:
        _print(best, found, recognizer, save, choice)
    raise typer.Exit(STATUSES[best.verdict])


def comparison_json(
    best: Comparison, pairs: list[Comparison], choices: tuple[FaceChoice, FaceChoice], caution: str = ""
) -> dict[str, Any]:
    """The nearest pair; `pairs` lists all of them where all faces were to be compared."""
    report: dict[str, Any] = {
        **_scores(best),
        "threshold": round(best.point.threshold, 6),
        "fmr": best.point.fmr,
        "band": None
        if best.band is None
        else {"probability": best.band.probability, "low": round(best.band.low, 6), "high": round(best.band.high, 6)},
        "model": best.model,
        "a": _side(best.first, best.a, best.index_a),
        "b": _side(best.second, best.b, best.index_b),
        "notes": [caution] if caution else [],
        "seconds": seconds_json(best.seconds),
    }
    if "all" in choices:
        report["pairs"] = [{"a": one.index_a, "b": one.index_b, **_scores(one)} for one in pairs]
        for side, analysis, choice in (("a", best.first, choices[0]), ("b", best.second, choices[1])):
            report[side]["left_out"] = [
                {"face": number, "reasons": list(face.quality.reasons)} for number, face in _left_out(analysis, choice)
            ]
    return report


def _left_out(analysis: Analysis, choice: FaceChoice) -> list[tuple[int, Face]]:
    """Numbers and faces that were not fit for comparison, where all of the picture's were to be compared."""
    if choice != "all":
        return []
    return [(number, face) for number, face in enumerate(analysis.faces, 1) if face.template is None]


def _scores(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "probability": round(comparison.probability, 6),
        "distance": round(comparison.distance, 6),
        "similarity": round(comparison.similarity, 6),
    }


def _side(analysis: Analysis, face: Face, index: int) -> dict[str, Any]:
    return {
        "path": analysis.name,
        "face": index,
        "faces": len(analysis.faces),
        **face_json(face),
        "notes": list(analysis.notes),
    }


def _print(
    best: Comparison,
    pairs: list[Comparison],
    recognizer: Recognizer,
    save: Path | None,
    choices: tuple[FaceChoice, FaceChoice],
) -> None:
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    out = console()
    colour = "rgb({},{},{})".format(*VERDICT_COLOURS[best.verdict])
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    table.add_row(
        "", Text(f"{VERDICT_MARKS[best.verdict]} {VERDICT_WORDS[best.verdict].upper()}", style=f"bold {colour}")
    )
    words = caution(best.verdict, best.probability, best.point.fmr)
    if words:
        table.add_row("", Text(words, style="yellow"))
    point = best.point
    sign = "\u2264" if point.accepts(best.distance) else ">"
    table.add_row("probability", f"{percent(best.probability)} one person [dim](calibrated, prior 1 in 2)[/dim]")
    table.add_row("distance", f"{best.distance:.3f} {sign} threshold {point.threshold:.3f}")
    if best.band is not None:
        table.add_row("band", band_label(best.band))
    table.add_row("false matches", f"{fmr_label(point.fmr)} [dim]measured on {escape(point.dataset)}[/dim]")
    if recognizer.caution:
        table.add_row("", Text(recognizer.caution, style="yellow"))
    if len(pairs) > 1:
        table.add_row("", Text(f"for each pair; {len(pairs)} pairs of faces were compared", style="yellow"))
    for label, analysis, face, index, choice in (
        ("A", best.first, best.a, best.index_a, choices[0]),
        ("B", best.second, best.b, best.index_b, choices[1]),
    ):
        table.add_row(label, _describe(analysis, face, index))
        for note in analysis.notes:
            table.add_row("", Text(note, style="dim"))
        for number, poor in _left_out(analysis, choice):
            table.add_row("", Text(f"face {number} left out: {', '.join(poor.quality.reasons)}", style="yellow"))
    table.add_row(
        "model",
        f"{escape(best.model)} [dim]with {escape(recognizer.detector_name)}, {best.seconds.total * 1000:.0f} ms[/dim]",
    )
    if save is not None:
        table.add_row("picture", Text(shown(save)))
    out.print(Padding(table, (1, 1), expand=False))
    if len(pairs) > 1:
        listing = Table("A", "B", "verdict", "probability", "distance", box=None, padding=(0, 2), header_style="dim")
        for one in pairs:
            style = "rgb({},{},{})".format(*VERDICT_COLOURS[one.verdict])
            listing.add_row(
                str(one.index_a),
                str(one.index_b),
                Text(one.verdict, style=style),
                percent(one.probability),
                f"{one.distance:.3f}",
            )
        out.print(Padding(listing, (0, 1, 1, 3), expand=False))


def _describe(analysis: Analysis, face: Face, index: int) -> Any:
    from rich.text import Text

    text = Text(shown(analysis.name))
    count = len(analysis.faces)
    if count > 1:
        which = "largest" if index == 1 else f"number {index}"
        text.append(f"  {which} of {count} faces", style="yellow")
    if face.quality.reasons:
        text.append(f"  {', '.join(face.quality.reasons)}", style="yellow")
    return text
