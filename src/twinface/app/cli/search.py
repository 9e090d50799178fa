"""`twinface search VIDEO... --for photo.jpg` and `twinface index VIDEO...`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import TROUBLE, complain, console, counted, printable, write_json
from twinface.app.cli.progress import video_progress
from twinface.core.files import shown, write_atomically
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.rates import scientific
from twinface.core.wording import percent
from twinface.errors import OutputError, SourceError, TwinFaceError
from twinface.services.video_search import SEARCH_FPIR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinface.app.video import Indexed, Sampling
    from twinface.app.video_report import Section
    from twinface.core.video import Track
    from twinface.services.recognition import Recognizer
    from twinface.services.video_search import Hit

NOT_FOUND = 1
"""Exit status when the person is in none of the videos."""

Videos = Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.", metavar="VIDEO...")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, help="Frames a second that are searched, at most.")]
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
    from twinface.app.seeking import photo_templates, subject_templates
    from twinface.app.video import Sampling

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
    _check_folder(out)
    sampling = Sampling(rate, longest, beside)
    asked = _Asked(sampling, anew, SEARCH_FPIR if fpir is None else fpir)
    if subject is not None:
        with open_gallery(gallery, key_file, detector=detector, providers=provider, threads=threads) as opened:
            who, query = subject_templates(opened.store, subject)
            _answer(videos, opened.recognizer, query, who, asked, out, clips, json)
        return
    from twinface.app.wiring import load

    recognizer = load(model, detector=detector, providers=provider, threads=threads)
    if photos:
        query, who = photo_templates(recognizer, photos), ", ".join(shown(photo.name) for photo in photos)
        _answer(videos, recognizer, query, who, asked, out, clips, json)
    else:
        _who_else(videos, recognizer, asked, out, json)


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
    from twinface.app.video import Sampling
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


def _indexed(videos: Sequence[Path], recognizer: Recognizer, asked: _Asked, done: _Done) -> Iterator[Indexed]:
    """The videos one by one; those that cannot be read are told, and an interruption ends it without losing any."""
    from twinface.app.video import gather_videos, index_video

    for path in gather_videos(list(videos)):
        try:
            with video_progress(path) as bar:
                indexed = index_video(path, recognizer, asked.sampling, anew=asked.anew, began=bar("searching"))
        except (SourceError, OutputError) as error:
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
    out: Path | None,
    clips: bool,
    json: bool,
) -> None:
    """Finds one person and tells where."""
    from twinface.services.video_search import find, search_point

    done = _Done()
    found: list[tuple[Indexed, list[Hit]]] = []
    for indexed in _indexed(videos, recognizer, asked, done):
        hits = find(indexed.index.tracks, query, recognizer.rule, asked.fpir)
        found.append((indexed, hits))
        if not json:
            point = search_point(indexed.index.tracks, len(query), recognizer.rule, asked.fpir)
            _print(indexed, hits, f"distance up to {point.threshold:.3f}, FMR {scientific(point.fmr)}")
    report = {"videos": [_video_json(indexed, hits) for indexed, hits in found], "complete": not done.interrupted}
    if json:
        write_json(report)
    if out is not None:
        sections = [_section(indexed, hits) for indexed, hits in found]
        _write(out, f"Where is {who}?", sections, report, found if clips else [])
    done.leave(0 if any(hits for _, hits in found) else NOT_FOUND)


def _print(indexed: Indexed, hits: Sequence[Hit], point: str) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from twinface.app.video_report import clock

    out = console()
    title = Text(printable(shown(indexed.path)), style="bold")
    title.append(f"  {counted(len(hits), 'hit')} among {counted(len(indexed.index.tracks), 'face')}", style="dim")
    out.print(title)
    table = Table(
        "from", "to", "best at", "probability", "distance", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for hit in hits:
        table.add_row(
            clock(hit.start), clock(hit.end), f"{hit.time:.1f} s", percent(hit.probability), f"{hit.distance:.3f}"
        )
    if hits:
        out.print(Padding(table, (0, 0, 0, 2), expand=False))
    for note in (point, *indexed.notes):
        out.print(Padding(Text(note, style="dim"), (0, 0, 0, 2)))


def _video_json(indexed: Indexed, hits: Sequence[Hit]) -> dict[str, Any]:
    return {
        "path": str(indexed.path),
        "duration": None if indexed.duration is None else round(indexed.duration, 3),
        "intervals": [
            {
                "start": round(hit.start, 3),
                "end": round(hit.end, 3),
                "best": round(hit.time, 3),
                "probability": round(hit.probability, 6),
                "distance": round(hit.distance, 6),
                "box": [
                    round(indexed.scale * value, 1) for value in (hit.box.x, hit.box.y, hit.box.width, hit.box.height)
                ],
            }
            for hit in hits
        ],
        "notes": list(indexed.notes),
    }


def _section(indexed: Indexed, hits: Sequence[Hit]) -> Section:
    from twinface.app.video_report import Moment, Section, probability_words

    moments = tuple(
        Moment(hit.start, hit.end, hit.time, probability_words(hit.start, hit.end, hit.probability), hit.thumbnail)
        for hit in hits
    )
    return Section(indexed.path, indexed.duration, (("", moments),), indexed.notes)


def _who_else(videos: Sequence[Path], recognizer: Recognizer, asked: _Asked, out: Path | None, json: bool) -> None:
    """Groups the faces of each video by person."""
    from twinface.app.video_report import Moment, Section, clock
    from twinface.services.track_people import cluster

    done = _Done()
    report: list[dict[str, Any]] = []
    sections: list[Section] = []
    for indexed in _indexed(videos, recognizer, asked, done):
        people = cluster(indexed.index.tracks, recognizer.rule)
        report.append(
            {
                "path": str(indexed.path),
                "duration": indexed.duration,
                "people": [{"intervals": [[round(t.start, 3), round(t.end, 3)] for t in tracks]} for tracks in people],
                "notes": list(indexed.notes),
            }
        )
        rows = [
            (
                f"person {number}",
                tuple(
                    Moment(t.start, t.end, t.faces[0].time, f"{clock(t.start)} to {clock(t.end)}", t.faces[0].thumbnail)
                    for t in tracks
                ),
            )
            for number, tracks in enumerate(people, 1)
        ]
        sections.append(Section(indexed.path, indexed.duration, tuple(rows), indexed.notes))
        if not json:
            _print_people(indexed, people)
    if json:
        write_json({"videos": report, "complete": not done.interrupted})
    if out is not None:
        _write(out, "Who is here?", sections, {"videos": report, "complete": not done.interrupted}, [])
    done.leave(0)


def _print_people(indexed: Indexed, people: Sequence[Sequence[Track]]) -> None:
    from twinface.app.video_report import clock

    typer.echo(f"{shown(indexed.path)}: {counted(len(people), 'person', 'people')}")
    for number, tracks in enumerate(people, 1):
        spans = ", ".join(f"{clock(track.start)}-{clock(track.end)}" for track in tracks)
        typer.echo(f"  person {number}: {spans}")


def _check_folder(out: Path | None) -> None:
    """Refuses before the work is done, not after."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown(out)}: the folder cannot be made; choose another place") from error


def _write(
    out: Path,
    title: str,
    sections: Sequence[Section],
    report: dict[str, Any],
    clipped: Sequence[tuple[Indexed, list[Hit]]],
) -> None:
    """The page, and the figures for machines."""
    import json as machine

    from twinface.app.video_report import write_report

    words = "A click plays the video at that moment. The page shows faces: keep it as you keep the video."
    write_report(out / "report.html", title, words, sections)
    content = machine.dumps(report, indent=1).encode()
    write_atomically(out / "hits.json", lambda file: file.write(content), private=True)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["video", "start", "end", "best", "words"])
    for section in sections:
        for who, moments in section.rows:
            for one in moments:
                times = (f"{value:.3f}" for value in (one.start, one.end, one.best))
                rows.writerow([str(section.path), *times, f"{who} {one.words}".strip()])
    lines = table.getvalue().encode("utf-8", "backslashreplace")
    write_atomically(out / "hits.csv", lambda file: file.write(lines), private=True)
    for indexed, hits in clipped:
        from twinface.vision.video.clips import cut_clip

        for number, hit in enumerate(hits, 1):
            cut_clip(indexed.path, out / f"{indexed.path.stem}-{number}{indexed.path.suffix}", hit.start, hit.end)
    typer.echo(f"{shown(out / 'report.html')}", err=True)
