"""`twinface blur VIDEO --out copy.mp4`: a copy of a video with faces made unrecognisable."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import complain, counted
from twinface.app.cli.progress import video_progress
from twinface.core.files import shown
from twinface.errors import TwinFaceError


class Style(StrEnum):
    """What is left of a face."""

    BLUR = "blur"
    PIXELATE = "pixelate"
    BOX = "box"


def blur(
    video: Annotated[Path, typer.Argument(help="The video.", metavar="VIDEO")],
    out: Annotated[Path, options.path("--out", "The copy: .mp4, .m4v, .mov or .mkv. Nothing is ever overwritten.")],
    everybody: Annotated[bool, typer.Option("--all", help="Hide every face.")] = False,
    others: Annotated[
        bool, typer.Option("--others", help="Hide every face but those that are clearly of the person named.")
    ] = False,
    photos: Annotated[
        list[Path] | None,
        typer.Option("--for", help="A photo of who stays visible; repeat for more of her, they help."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Who stays visible: somebody of the gallery.")
    ] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    style: Annotated[
        Style, typer.Option("--style", help="What is left: a few blurred colours, a few squares, or a black box.")
    ] = Style.BLUR,
    sound: Annotated[
        bool, typer.Option("--keep-sound/--no-sound", help="Whether the sound, voices too, is copied as it is.")
    ] = True,
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, max=1000, help="Frames a second that are searched, at most.")
    ] = 15.0,
    longest: Annotated[
        int, typer.Option("--longest", min=160, help="Pixels of the longer side of the frames searched.")
    ] = 1920,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Copy a video with faces made unrecognisable, followed so that none flickers through. Exit status: 0, or 2.

    In doubt a face is hidden. But one that the detector does not find stays visible, and voices, clothes and places
    tell too: look through the copy before you publish it. By --style box nothing at all is left of a face; what the
    others leave, some 5 x 7 colours, shows nobody, but does not rule out a guess among few.
    """
    if everybody == others:
        raise TwinFaceError("whom to hide? say one of --all, --others")
    if everybody and (photos or subject is not None):
        raise TwinFaceError("--all hides everybody; to keep somebody visible, say --others")
    if others and bool(photos) == (subject is not None):
        raise TwinFaceError("who stays visible? with --others say one of --for PHOTO, --subject NAME")
    if model is not None and subject is not None:
        raise TwinFaceError("--model does not go with --subject: a gallery is searched with its own model")
    from twinface.app.video.blurring import Blurring, blur_video
    from twinface.app.video.indexing import Sampling
    from twinface.app.video.seeking import photo_templates, subject_templates
    from twinface.vision.video.blurring import check_copy

    check_copy(video, out)
    how = Blurring(style.value, sound, Sampling(rate, longest))
    keep = None
    if subject is not None:
        with open_gallery(gallery, key_file, detector=detector, providers=provider, threads=threads) as opened:
            recognizer = opened.recognizer
            keep = subject_templates(opened.store, subject)[1]
    else:
        from twinface.app.wiring import load

        recognizer = load(model, detector=detector, providers=provider, threads=threads)
        if photos:
            keep = photo_templates(recognizer, photos)
    with video_progress(video) as bar:
        done = blur_video(video, out, recognizer, how, keep=keep, searching=bar("searching"), blurring=bar("blurring"))
    for note in done.notes:
        complain(f"{shown(video)}: {note}")
    if others and not done.kept:
        complain(f"{shown(video)}: nobody in it is clearly the person to keep; everybody found was hidden")
    typer.echo(
        f"{shown(out)}: {counted(done.followed, 'face')} followed, {done.hidden:,} hidden, {done.kept:,} kept; look "
        "through it before you publish it, for a face that was not found stays visible"
    )
