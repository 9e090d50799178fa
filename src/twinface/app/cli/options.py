"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def given_path(text: str) -> Path:
    """A path somebody has really given: an empty one, as from an unset variable, would mean the current folder."""
    if not text:
        raise typer.BadParameter("the path is empty")
    return Path(text)


def path(name: str, help: str) -> Any:
    """An option that takes a path."""
    return typer.Option(name, parser=given_path, metavar="PATH", help=help)


Model = Annotated[
    str | None,
    typer.Option("--model", help="Encoder: a name (twinface models list), a contract path, or arcface:FILE."),
]
Detector = Annotated[
    str | None,
    typer.Option("--detector", help="Detector: a name, a contract path, or yunet:FILE, scrfd:FILE, yolo:FILE."),
]
Provider = Annotated[
    list[str] | None,
    typer.Option("--provider", help="ONNX Runtime execution provider; repeat for more. Honoured or refused."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=0, help="Threads within a network; 0: let it choose.")]
Flip = Annotated[
    bool | None,
    typer.Option("--flip/--no-flip", help="Add the mirror image's template: more accurate, half as fast."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Compute every template anew and keep none.")]
Gallery = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        "-g",
        parser=given_path,
        metavar="PATH",
        help="The gallery's file; default: TWINFACE_GALLERY, or yours.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", parser=given_path, metavar="PATH", help="Opens an encrypted gallery (gallery keygen)."),
]
Fpir = Annotated[
    float,
    typer.Option("--fpir", help="Share of strangers that may be taken for somebody, whatever the gallery's size."),
]
