"""`twinface identify IMG...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.detect import targets
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import (
    TROUBLE,
    analysis_json,
    complain,
    console,
    counted,
    face_json,
    printable,
    refuse_overwriting,
    write_json,
)
from twinface.core.files import shown
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.rates import scientific
from twinface.core.wording import percent
from twinface.errors import ImageError

if TYPE_CHECKING:
    from twinface.core.identification import Candidate, IdentificationPoint
    from twinface.services.identification import Identification, IdentifiedFace

UNKNOWN = 1
"""Exit status when some face was not named."""


def identify(
    images: Annotated[list[str], typer.Argument(help="Pictures.", metavar="IMG...")],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="List so many candidates of every face.")] = None,
    fpir: options.Fpir = DEFAULT_FPIR,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write the picture with names here; a folder when there are several pictures."),
    ] = None,
    any_quality: Annotated[
        bool, typer.Option("--any-quality", help="Look up blurred, profile or tiny faces too.")
    ] = False,
    calibration: Annotated[
        Path | None,
        options.path("--calibration", "Your own calibration of the gallery's model: what calibrate --out wrote."),
    ] = None,
    json: options.Json = False,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Name the faces in pictures. Exit status: 0 every face is named, 1 one or more are not, 2 trouble.

    A face is named when the nearest person is so near that hardly any stranger comes as near to anybody of this
    gallery (--fpir); else it is unknown. The larger the gallery, the nearer that is.
    """
    from twinface.services.identification import TOP

    places = targets(save, images, "names") if save is not None else [None] * len(images)
    failed, unnamed = 0, 0
    with open_gallery(
        gallery, key_file, detector=detector, providers=provider, threads=threads, calibration=calibration
    ) as opened:
        for place in places:
            if place is not None:
                refuse_overwriting(place, [opened.store.path])
        for image, place in zip(images, places, strict=True):
            try:
                found = opened.identify(image, top=top or TOP, fpir=fpir, refuse_poor=not any_quality)
            except ImageError as error:
                complain(str(error))
                failed += 1
                continue
            unnamed += sum(face.name is None for face in found.faces) or not found.faces
            if place is not None:
                _save(found, place)
            if json:
                write_json(identification_json(found))
            else:
                _print(found, opened.recognizer.caution, top, place)
    if failed:
        if len(images) > 1:
            complain(f"{failed} of {len(images)} pictures could not be read")
        raise typer.Exit(TROUBLE)
    if unnamed:
        raise typer.Exit(UNKNOWN)


def identification_json(found: Identification) -> dict[str, Any]:
    """The picture, and of every face who it may be."""
    point = found.point
    return {
        **analysis_json(found.analysis),
        "faces": [
            {
                **face_json(one.face),
                "compared": one.compared,
                "subject": one.name,
                "candidates": [_candidate_json(candidate) for candidate in one.candidates],
            }
            for one in found.faces
        ],
        "model": found.model,
        "threshold": round(point.threshold, 6),
        "fpir": point.fpir,
        "fmr": point.fmr,
        "extrapolated": point.extrapolated,
        "templates": point.templates,
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "subject": candidate.name,
        "distance": round(candidate.distance, 6),
        "probability": round(candidate.probability, 6),
    }


def _save(found: Identification, place: Path) -> None:
    from twinface.vision.drawing import FaceLabel, draw_identified, save

    labels = []
    for one in found.faces:
        best = one.best
        if best is not None:
            labels.append(FaceLabel(f"{best.name} {percent(best.probability)}", "", "known"))
        elif one.compared:
            labels.append(FaceLabel("unknown", "", "unknown"))
        else:
            labels.append(FaceLabel("", ", ".join(one.face.quality.reasons), "unfit"))
    save(draw_identified(found.analysis, labels), place)


def _print(found: Identification, caution: str, top: int | None, place: Path | None) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    out = console()
    title = Text(printable(shown(found.analysis.name)), style="bold")
    title.append(f"  {counted(len(found.faces), 'face')}", style="dim")
    out.print(title)
    table = Table("", "", "probability", "distance", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for one in found.faces:
        _add(table, one, top)
    if found.faces:
        out.print(Padding(table, (0, 0, 0, 2), expand=False))
    out.print(Padding(Text(point_words(found.point), style="dim"), (0, 0, 0, 2)))
    for note in [*found.analysis.notes, *([caution] if caution else [])]:
        out.print(Padding(Text(note, style="yellow"), (0, 0, 0, 2)))
    if place is not None:
        out.print(Padding(Text(f"picture with names: {shown(place)}"), (0, 0, 0, 2)))


def _add(table: Any, one: IdentifiedFace, top: int | None) -> None:
    from rich.text import Text

    number = Text(str(one.number), style="dim")
    if not one.compared:
        reasons = ", ".join(one.face.quality.reasons)
        table.add_row(
            number, Text("not compared", style="yellow"), "", "", Text(f"{reasons} (--any-quality)", style="yellow")
        )
        return
    best = one.best
    if best is not None:
        table.add_row(
            number,
            Text(printable(best.name), style="bold green"),
            percent(best.probability),
            f"{best.distance:.3f}",
            "",
        )
    else:
        near = "the gallery is empty"
        if one.candidates:
            nearest = one.candidates[0]
            near = f"nearest: {printable(nearest.name)} {percent(nearest.probability)}"
        table.add_row(number, Text("unknown", style="bold"), "", "", Text(near, style="dim"))
    for rank, candidate in enumerate(one.candidates[:top] if top is not None else (), 1):
        table.add_row(
            "",
            Text(f"  {rank}. {printable(candidate.name)}", style="dim"),
            Text(percent(candidate.probability), style="dim"),
            Text(f"{candidate.distance:.3f}", style="dim"),
            "",
        )


def point_words(point: IdentificationPoint) -> str:
    """The threshold in use, in words."""
    rest = ", extrapolated below what was measured" if point.extrapolated else ""
    return (
        f"named up to distance {point.threshold:.3f}: FPIR {point.fpir:g} in {counted(point.templates, 'template')}, "
        f"FMR {scientific(point.fmr)} on {point.dataset}{rest}"
    )
