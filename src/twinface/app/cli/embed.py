"""`twinface embed IMG... --out templates.npz`."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, complain, console, parse_choice, refuse_overwriting
from twinface.core.files import shown, write_atomically
from twinface.core.types import Box, Face
from twinface.errors import FaceError, ImageError, OutputError


def embed(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", metavar="IMG...")],
    out: Annotated[Path, typer.Option("--out", help="The .npz file to write.")],
    face: Annotated[
        str, typer.Option("--face", help="Faces that count: largest, all, only (refuse several) or a number N.")
    ] = "largest",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Faces encoded at once.")] = 32,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Write the templates of many pictures. Exit status: 0, or 2 when a picture gave none (the others are written).

    The file holds `templates` (N, D) float32 of unit length, `paths`, `faces` (number in the picture, 1 = largest),
    `boxes` (x, y, width, height), `scores`, `usable`, and `model`, the identity that tells which templates may meet.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from twinface.app.wiring import load
    from twinface.services.recognition import choose

    choice = parse_choice(face)
    if out.suffix != ".npz":
        raise OutputError(f"{shown(out)}: templates are written as .npz; name the file so")
    _check_writable(out)
    paths = gather(images)
    refuse_overwriting(out, paths)
    recognizer = load(model, detector=detector, providers=provider, threads=threads, mirror=flip)
    failures: list[str] = []
    waiting: list[Face] = []
    rows: list[_Row] = []
    vectors: list[np.ndarray] = []

    def encode() -> None:
        for one in recognizer.encode(waiting):
            assert one.template is not None
            vectors.append(one.template.vector)
        waiting.clear()

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown_on = console(stderr=True)  # where it is no terminal, Rich would leave an empty line
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as progress:
        for path in progress.track(paths, description="embedding"):
            try:
                analysis = recognizer.locate(path)
                places = choose(analysis, choice)
            except (ImageError, FaceError) as error:
                failures.append(str(error))
                continue
            for place in places:
                chosen = analysis.faces[place]
                rows.append(_Row(str(path), place + 1, chosen.box, chosen.score, chosen.quality.usable))
                waiting.append(chosen)
            if len(waiting) >= batch:
                encode()
        if waiting:
            encode()
    for failure in failures:
        complain(failure)
    if not rows:
        if len(paths) > 1:
            complain(f"none of {len(paths)} pictures gave a template; {shown(out)} was not written")
        raise typer.Exit(TROUBLE)
    arrays: dict[str, Any] = {
        "templates": np.stack(vectors),
        "paths": np.array([row.path for row in rows], dtype=np.str_),
        "faces": np.array([row.number for row in rows], dtype=np.int32),
        "boxes": np.array([astuple(row.box) for row in rows], dtype=np.float32),
        "scores": np.array([row.score for row in rows], dtype=np.float32),
        "usable": np.array([row.usable for row in rows]),
        "model": np.array(recognizer.rule.model),
    }
    write_atomically(out, lambda file: np.savez_compressed(file, **arrays))
    typer.echo(
        f"{shown(out)}: {len(rows)} templates of {len(paths) - len(failures)} pictures, model {recognizer.encoder_name}"
    )
    if failures:
        complain(f"{len(failures)} of {len(paths)} pictures gave no template")
        raise typer.Exit(TROUBLE)


@dataclass(frozen=True)
class _Row:
    """What is kept of a face until the end; its crop is not, there may be very many."""

    path: str
    number: int
    box: Box
    score: float
    usable: bool


def gather(images: list[Path]) -> list[Path]:
    """The pictures named, and those in the folders named, at any depth, in order of path."""
    from twinface.datasets.photos import PICTURES

    paths: list[Path] = []
    for image in images:
        if image.is_dir():
            inside = sorted(path for path in image.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
            if not inside:
                raise ImageError(f"{image}: the folder holds no pictures")
            paths += inside
        else:
            paths.append(image)
    return paths


def _check_writable(out: Path) -> None:
    """Refuses before the work is done, not after."""
    folder = out.parent
    if not folder.is_dir():
        raise OutputError(f"{shown(out)}: the folder {shown(folder)} does not exist; make it first")
    if out.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"{shown(out)}: cannot be written; choose another place")
