"""`twinface search VIDEO... --for photo.jpg` and `twinface index VIDEO...`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import TROUBLE, complain, console, counted, printable, write_json
from twinface.app.cli.progress import video_progress
from twinface.core.files import shown
from twinface.core.identification import DEFAULT_FPIR, identification_point
from twinface.core.rates import scientific
from twinface.core.wording import percent
from twinface.errors import DataError, OutputError, SourceError, TwinFaceError
from twinface.services.video_search import SEARCH_FPIR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinface.app.video.indexing import Indexed, Sampling
    from twinface.app.video.report import Section
    from twinface.core.video import Track
    from twinface.services.recognition import Recognizer
    from twinface.services.video_search import Hit

NOT_FOUND = 1
"""Exit status when the person is in none of the videos."""

Videos = Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.", metavar="VIDEO...")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Frames a second that are searched, at most.")]
Longest = Annotated[int, typer.Option("--longest", min=160, help="Pixels of the longer side of the frames searched.")]
Beside = Annotated[bool, typer.Option("--beside", help="Keep the index beside the video, not in your cache folder.")]
Anew = Annotated[bool, typer.Option("--anew", help="Search the video anew, whatever is known of it.")]


def search(
    videos: Annotated[
        list[Path] | None, typer.Argument(help="Videos, or folders of videos.", metavar="VIDEO...")
    ] = None,
    photos: Annotated[
        list[Path] | None, typer.Option("--for", help="A photo of whom to find; repeat for more, they help.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Whom to find: somebody of the gallery.")] = None,
    unknown_clusters: Annotated[
        bool, typer.Option("--unknown-clusters", help="Group everybody in the videos instead: who else is here?")
    ] = False,
    live: Annotated[
        str | None,
        typer.Option("--live", help="A camera or stream to wait at instead; ends at the first sure sight of --for."),
    ] = None,
    command: Annotated[
        str | None, typer.Option("--exec", help="With --live: run this at each sight, and go on; see watch --help.")
    ] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    fpir: Annotated[
        float | None,
        typer.Option("--fpir", help="How often a video without her may show her all the same; 0.05, with --live 0.01."),
    ] = None,
    out: Annotated[Path | None, options.path("--out", "Folder for report.html, hits.json and hits.csv.")] = None,
    clips: Annotated[
        bool, typer.Option("--clips", help="With --out: cut each hit out of its video, as it is.")
    ] = False,
    json: options.Json = False,
    rate: Rate = 5.0,
    longest: Longest = 1280,
    beside: Beside = False,
    anew: Anew = False,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Find a person in videos. Exit status: 0 found, 1 not, 2 trouble, 130 interrupted (what was found is told).

    The first question about a video searches it; the faces are kept in an index, so that the next one takes seconds.
    Ctrl-C keeps what was done: the same command goes on from there.
    """
    from twinface.app.cli.watch import watch
    from twinface.app.video.answers import make_folder
    from twinface.app.video.indexing import Sampling
    from twinface.app.video.seeking import photo_templates, photo_words, subject_templates

    if live is not None:
        if videos or not photos or subject is not None or unknown_clusters or out is not None:
            raise TwinFaceError("--live takes --for PHOTO and no videos; twinface watch --gallery names everybody")
        watch(
            live, photos=photos, command=command, fpir=DEFAULT_FPIR if fpir is None else fpir, longest=longest,
            json=json, model=model, detector=detector, provider=provider, threads=threads,
        )  # fmt: skip
        return
    if not videos or command is not None:
        raise TwinFaceError("which videos? name some, or a camera with --live (to which --exec belongs)")
    if sum((bool(photos), subject is not None, unknown_clusters)) != 1:
        raise TwinFaceError("whom to find? say one of --for PHOTO, --subject NAME, --unknown-clusters")
    if clips and out is None:
        raise TwinFaceError("--clips need a folder to lie in: say --out DIR")
    if model is not None and subject is not None:
        raise TwinFaceError("--model does not go with --subject: a gallery is searched with its own model")
    if out is not None:
        make_folder(out)
    output = _Output(out, clips, json)
    sampling = Sampling(rate, longest, beside)
    asked = _Asked(sampling, anew, SEARCH_FPIR if fpir is None else fpir)
    if subject is not None:
        with open_gallery(gallery, key_file, detector=detector, providers=provider, threads=threads) as opened:
            who, query = subject_templates(opened.store, subject)
            _answer(videos, opened.recognizer, query, who, asked, output)
        return
    from twinface.app.wiring import load

    recognizer = load(model, detector=detector, providers=provider, threads=threads)
    if photos:
        query, who = photo_templates(recognizer, photos), f"the person in {photo_words(photos)}"
        _answer(videos, recognizer, query, who, asked, output)
    else:
        _who_else(videos, recognizer, asked, output)


def index(
    videos: Videos,
    rate: Rate = 5.0,
    longest: Longest = 1280,
    beside: Beside = False,
    anew: Anew = False,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Search videos for faces ahead of any question, and keep them in an index. Exit status: 0, or 2 for trouble."""
    from twinface.app.video.indexing import Sampling
    from twinface.app.wiring import load

    recognizer = load(model, detector=detector, providers=provider, threads=threads)
    done = _Done()
    for indexed in _indexed(videos, recognizer, _Asked(Sampling(rate, longest, beside), anew, SEARCH_FPIR), done):
        tracks = indexed.index.tracks
        words = "known already" if indexed.known else "searched"
        typer.echo(f"{shown(indexed.path)}: {words}, {counted(len(tracks), 'face')} followed")
        for note in indexed.notes:
            complain(f"{shown(indexed.path)}: {note}")
    done.leave(0)


@dataclass(frozen=True)
class _Asked:
    """How videos are searched, and how sure an answer has to be."""

    sampling: Sampling
    anew: bool
    fpir: float


@dataclass
class _Done:
    """How it went."""

    failed: int = 0
    interrupted: bool = False

    def leave(self, status: int) -> None:
        """Ends the command with the status of the worst that happened."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.failed or status:
            raise typer.Exit(TROUBLE if self.failed else status)


@dataclass(frozen=True)
class _Output:
    """Where an answer goes to, beside the terminal."""

    folder: Path | None
    clips: bool
    json: bool

    def write(self, title: str, sections: Sequence[Section], videos: Sequence[dict[str, Any]], done: _Done) -> None:
        """Writes what is wanted of an answer about videos; a page about none is not written over an older one."""
        from twinface.app.video.answers import write_answer

        report = {"videos": videos, "complete": not done.interrupted}
        if self.json:
            write_json(report)
        if self.folder is not None and sections:
            page = write_answer(self.folder, title, sections, report)
            typer.echo(shown(page), err=True)


def _indexed(videos: Sequence[Path], recognizer: Recognizer, asked: _Asked, done: _Done) -> Iterator[Indexed]:
    """The videos one by one; those that cannot be read are told, and an interruption ends it without losing any."""
    from twinface.app.video.indexing import gather_videos, index_video

    for path in gather_videos(list(videos)):
        try:
            with video_progress(path) as bar:
                indexed = index_video(path, recognizer, asked.sampling, anew=asked.anew, began=bar("searching"))
        except (SourceError, OutputError, DataError) as error:
            complain(str(error))
            done.failed += 1
            continue
        except KeyboardInterrupt:
            done.interrupted = True
            complain(f"{shown(path)}: interrupted; the same command goes on from where it was")
            return
        if indexed.remark:
            complain(indexed.remark)
        yield indexed


def _answer(
    videos: Sequence[Path],
    recognizer: Recognizer,
    query: NDArray[np.float32],
    who: str,
    asked: _Asked,
    output: _Output,
) -> None:
    """Finds one person and tells where."""
    from twinface.app.video.answers import clip_names, hits_json, hits_section, write_clips
    from twinface.services.video_search import find, search_point

    identification_point(recognizer.rule, 1, asked.fpir)  # refuses a rate that cannot be before the work is done
    done = _Done()
    found: list[tuple[Indexed, list[Hit]]] = []
    for indexed in _indexed(videos, recognizer, asked, done):
        hits = find(indexed.index.tracks, query, recognizer.rule, asked.fpir)
        found.append((indexed, hits))
        if not output.json:
            point = search_point(indexed.index.tracks, len(query), recognizer.rule, asked.fpir)
            limit = f"threshold: distance up to {point.threshold:.3f} (FMR {scientific(point.fmr)})"
            _print_hits(indexed, hits, limit)
    sections = [hits_section(indexed, hits) for indexed, hits in found]
    output.write(f"Where is {who}?", sections, [hits_json(indexed, hits) for indexed, hits in found], done)
    if output.clips and output.folder is not None:
        names = clip_names([indexed.path for indexed, _ in found])
        for name, (indexed, hits) in zip(names, found, strict=True):
            try:
                write_clips(output.folder, name, indexed, hits)
            except OutputError as error:
                complain(str(error))
                done.failed += 1
    done.leave(0 if any(hits for _, hits in found) else NOT_FOUND)


def _who_else(videos: Sequence[Path], recognizer: Recognizer, asked: _Asked, output: _Output) -> None:
    """Groups the faces of each video by person."""
    from twinface.app.video.answers import people_json, people_section
    from twinface.services.track_people import cluster

    done = _Done()
    found: list[tuple[Indexed, list[list[Track]]]] = []
    for indexed in _indexed(videos, recognizer, asked, done):
        people = cluster(indexed.index.tracks, recognizer.rule)
        found.append((indexed, people))
        if not output.json:
            _print_people(indexed, people)
    sections = [people_section(indexed, people) for indexed, people in found]
    output.write("Who is here?", sections, [people_json(indexed, people) for indexed, people in found], done)
    done.leave(0)


def _print_hits(indexed: Indexed, hits: Sequence[Hit], limit: str) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from twinface.app.video.report import clock

    out = console()
    title = Text(printable(shown(indexed.path)), style="bold")
    title.append(f"  {counted(len(hits), 'hit')} among {counted(len(indexed.index.tracks), 'face')}", style="dim")
    out.print(title)
    table = Table(
        "from", "to", "best at", "probability", "distance", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for hit in hits:
        table.add_row(
            clock(hit.start), clock(hit.end), clock(hit.time), percent(hit.probability), f"{hit.distance:.3f}"
        )
    if hits:
        out.print(Padding(table, (0, 0, 0, 2), expand=False))
    for note in (limit, *indexed.notes):
        out.print(Padding(Text(note, style="dim"), (0, 0, 0, 2)))


def _print_people(indexed: Indexed, people: Sequence[Sequence[Track]]) -> None:
    from twinface.app.video.report import clock

    typer.echo(f"{shown(indexed.path)}: {counted(len(people), 'person', 'people')}")
    for number, tracks in enumerate(people, 1):
        spans = ", ".join(f"{clock(track.start)}-{clock(track.end)}" for track in tracks)
        typer.echo(f"  person {number}: {spans}")
