"""`twinface enroll faces/`, `twinface enroll --name Ada a.jpg b.jpg`, `twinface enroll --name Ada --camera 0`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import console, counted, parse_choice, printable, write_json
from twinface.app.cli.progress import progress
from twinface.core.files import shown
from twinface.core.naming import clean_name
from twinface.core.subjects import expiry
from twinface.errors import GalleryError, TwinFaceError
from twinface.services.recognition import FaceChoice

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery, Named
    from twinface.services.enrolment import Enrolment, EnrolmentOptions

REFUSED = 1
"""Exit status when some pictures were not enrolled."""

LISTED = 40
"""Of more pictures than this only those that were not enrolled are listed."""

MARKS = {"enrolled": ("\u2713", "green"), "duplicate": ("=", "dim"), "conflict": ("\u2717", "red")}


def enroll(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders (or .tar.gz) of a folder for each person; with --name, pictures.", metavar="PATH..."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Whose pictures these are.")] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="Take the best frames of a camera (0, 1, ...) or a video; needs --name."),
    ] = None,
    gallery: options.Gallery = None,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Encrypt the gallery that is made.")] = False,
    key_file: options.KeyFile = None,
    keep_photos: Annotated[
        bool, typer.Option("--keep-photos", help="Keep the pictures too, so that another model can be taken later.")
    ] = False,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Forget these people after 30d, 12h, 8w, or on 2027-01-31.")
    ] = None,
    face: Annotated[
        str,
        typer.Option("--face", help="Face that counts: clear (far larger than the others), only, largest, a number."),
    ] = "clear",
    any_quality: Annotated[
        bool, typer.Option("--any-quality", help="Enrol blurred, profile or tiny faces too.")
    ] = False,
    json: options.Json = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Enrol people. Exit status: 0 all pictures are enrolled, 1 some were refused, 2 trouble.

    A picture that is enrolled already is passed over: the same command may run again. With --json, a line is printed
    once its picture is safely on the disk.
    """
    from twinface.services.enrolment import EnrolmentOptions

    choice: FaceChoice | Literal["clear"] = "clear" if face == "clear" else parse_choice(face)
    chosen = EnrolmentOptions(
        choice, not any_quality, keep_photos, None if expires is None else expiry(expires), workers=2
    )
    pictures, total = _pictures(sources or [], name, camera)
    watched = None
    if camera is not None:
        from twinface.app.filming import film, watch

        watched = watch(camera)  # a camera that is not there is told before a gallery is made
    with open_gallery(
        gallery, key_file, create=True, encrypt=encrypt, model=model, mirror=flip, detector=detector,
        providers=provider, threads=threads,
    ) as opened:  # fmt: skip
        if camera is not None and watched is not None:
            person, taken = clean_name(name or ""), film(opened.recognizer.analyzer, camera, watched)
            pictures, total = ((person, label, pixels) for label, pixels in taken), len(taken)
        told = _enroll(opened, pictures, total, chosen, json)
        if not json:
            _print(told, opened)
    if not all(one.there for one in told):
        raise typer.Exit(REFUSED)


def _pictures(sources: Sequence[Path], name: str | None, camera: str | None) -> tuple[Iterator[Named], int]:
    """What is to be enrolled, and how many pictures that are."""
    from twinface.app.cli.embed import gather

    if camera is not None:
        if name is None or sources:
            raise TwinFaceError("--camera takes one person, before the camera, and no pictures; give her --name")
        return iter(()), 0
    if not sources:
        raise TwinFaceError("nothing to enrol; give a folder with a folder for each person, or --name and pictures")
    if name is not None:
        person = clean_name(name)
        paths = gather(list(sources))
        return ((person, str(path), path) for path in paths), len(paths)
    return _of_folders(sources)


def _of_folders(sources: Sequence[Path]) -> tuple[Iterator[Named], int]:
    from twinface.datasets.photos import is_picture, open_folder

    for source in sources:
        if source.is_file() and is_picture(source.name):
            raise GalleryError(f"{shown(source)}: whose picture is this? say --name, or give a folder for each person")
    sets = [open_folder(source) for source in sources]

    def all_of_them() -> Iterator[Named]:
        for source, photos in zip(sources, sets, strict=True):
            subjects = {photo.path: photo.subject for photo in photos.photos}
            for path, content in photos.files.read(subjects):
                yield subjects[path], str(source / path), content

    return all_of_them(), sum(len(photos.photos) for photos in sets)


def _enroll(
    gallery: Gallery, pictures: Iterator[Named], total: int, chosen: EnrolmentOptions, json: bool
) -> list[Enrolment]:
    told = []
    with progress("enrolling", total) as advance:
        for one in gallery.enroll_all(pictures, chosen):
            told.append(one)
            advance()
            if json:
                write_json(enrolment_json(one))
    return told


def enrolment_json(one: Enrolment) -> dict[str, Any]:
    """What became of a picture."""
    return {"person": one.name, "path": one.source, "result": one.fate, "why": one.why}


def _print(told: Sequence[Enrolment], gallery: Gallery) -> None:
    from rich.table import Table
    from rich.text import Text

    listed = told if len(told) <= LISTED else [one for one in told if one.fate != "enrolled"]
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    for one in listed:
        mark, style = MARKS.get(one.fate, ("\u2717", "yellow"))
        words = "" if one.fate == "enrolled" else f"{one.fate}: {one.why}"
        table.add_row(
            Text(mark, style=style),
            Text(printable(one.name)),
            Text(printable(shown(PurePath(one.source).name))),
            Text(words, style=style),
        )
    out = console()
    if listed:
        out.print(table)
    fates = Counter(one.fate for one in told)
    people = {one.name for one in told if one.fate == "enrolled"}
    words = f"{counted(fates['enrolled'], 'picture')} of {counted(len(people), 'person', 'people')} enrolled"
    others = [f"{count:,} {fate}" for fate, count in fates.most_common() if fate != "enrolled"]
    info = gallery.info()
    out.print(Text(f"{words}{''.join('; ' + other for other in others)}"))
    out.print(
        Text(
            f"{shown(gallery.store.path)}: {counted(info.subjects, 'person', 'people')}, "
            f"{counted(info.templates, 'template')}",
            style="dim",
        )
    )
