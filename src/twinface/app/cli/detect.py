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

    if save is not None and len(images) > 1:
        if not save.is_dir():
            raise OutputError(f"{save}: several pictures need an existing folder to be saved in")
        names = [f"{Path(image).stem}.faces.png" for image in images]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise OutputError(f"{save}: two pictures would both be saved as {min(twice)}; save them one by one")
    if save is not None:
        for target in [save] if not save.is_dir() else [save / f"{Path(image).stem}.faces.png" for image in images]:
            refuse_overwriting(target, images)
    recognizer = load(detector=detector, providers=provider, threads=threads)
    failed = 0
    for image in images:
        try:
            analysis = recognizer.locate(image)
        except ImageError as error:
            complain(str(error))
            failed += 1
            continue
        if save is not None:
            write(draw_faces(analysis), save / f"{Path(image).stem}.faces.png" if save.is_dir() else save)
        write_json(analysis_json(analysis))
    if failed:
        if len(images) > 1:
            complain(f"{failed} of {len(images)} pictures could not be read")
        raise typer.Exit(TROUBLE)
