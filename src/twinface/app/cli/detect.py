"""`twinface detect IMG...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, analysis_json, complain, refuse_overwriting, write_json
from twinface.errors import ImageError, OutputError


def detect(
    images: Annotated[list[str], typer.Argument(help="Pictures.", metavar="IMG...")],
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write the picture with boxes here; a folder when there are several pictures."),
    ] = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Find faces: one line of JSON a picture. Exit status: 0, or 2 when a picture could not be read."""
    from twinface.app.wiring import load
    from twinface.vision.drawing import draw_faces
    from twinface.vision.drawing import save as write

    places = targets(save, images, "faces") if save is not None else [None] * len(images)
    recognizer = load(detector=detector, providers=provider, threads=threads)
    failed = 0
    for image, target in zip(images, places, strict=True):
        try:
            analysis = recognizer.locate(image)
        except ImageError as error:
            complain(str(error))
            failed += 1
            continue
        if target is not None:
            write(draw_faces(analysis), target)
        write_json(analysis_json(analysis))
    if failed:
        if len(images) > 1:
            complain(f"{failed} of {len(images)} pictures could not be read")
        raise typer.Exit(TROUBLE)


def targets(save: Path, images: list[str], word: str) -> list[Path]:
    """Where the marked picture of each image goes; in a folder as NAME.`word`.png.

    Raises:
        OutputError: several need a folder, two would be one file, or one is a picture that is read.
    """
    places = [save / f"{Path(image).stem}.{word}.png" for image in images] if save.is_dir() else [save]
    if len(places) != len(images):
        raise OutputError(f"{save}: several pictures need an existing folder to be saved in")
    twice = {place.name for place in places if places.count(place) > 1}
    if twice:
        raise OutputError(f"{save}: two pictures would both be saved as {min(twice)}; save them one by one")
    for place in places:
        refuse_overwriting(place, images)
    return places
