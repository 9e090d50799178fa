"""Answers about videos: for machines, for the page, and as files in a folder."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twinface.app.video.indexing import Indexed
from twinface.app.video.report import Moment, Section, clock, probability_words, write_report
from twinface.core.files import reason, shown, write_atomically
from twinface.core.video import Track
from twinface.errors import OutputError
from twinface.services.video_search import Hit

Hits = Sequence[Hit]
People = Sequence[Sequence[Track]]
"""The tracks of each person."""

WORDS = "A click plays the video at that moment. The page shows faces: keep it as you keep the video."

INTERRUPTED = "The search was interrupted: videos are missing here."


def hits_json(indexed: Indexed, hits: Hits) -> dict[str, Any]:
    """Where in a video a person is: seconds from its start, and pixels of the video."""
    return _video_json(
        indexed,
        intervals=[
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
    )


def hits_section(indexed: Indexed, hits: Hits) -> Section:
    """The same for the page."""
    moments = tuple(
        Moment(hit.start, hit.end, hit.time, probability_words(hit.start, hit.end, hit.probability), hit.thumbnail)
        for hit in hits
    )
    return Section(indexed.path, indexed.duration, (("", moments),), indexed.notes)


def people_json(indexed: Indexed, people: People) -> dict[str, Any]:
    """Who is in a video, by the seconds from its start in which each is seen."""
    return _video_json(
        indexed,
        people=[{"intervals": [[round(t.start, 3), round(t.end, 3)] for t in tracks]} for tracks in people],
    )


def people_section(indexed: Indexed, people: People) -> Section:
    """The same for the page."""
    rows = tuple(
        (f"person {number}", tuple(_moment(track) for track in tracks)) for number, tracks in enumerate(people, 1)
    )
    return Section(indexed.path, indexed.duration, rows, indexed.notes)


def _moment(track: Track) -> Moment:
    best = track.faces[0]
    return Moment(track.start, track.end, best.time, f"{clock(track.start)} to {clock(track.end)}", best.thumbnail)


def _video_json(indexed: Indexed, **found: object) -> dict[str, Any]:
    duration = None if indexed.duration is None else round(indexed.duration, 3)
    return {"path": str(indexed.path), "duration": duration, **found, "notes": list(indexed.notes)}


def make_folder(folder: Path) -> None:
    """Makes the folder for an answer, or refuses it before the work is done.

    Raises:
        OutputError: it cannot be made, or nothing be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise OutputError(
            f"{shown(folder)}: the folder cannot be made ({reason(error)}); choose another place"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{shown(folder)}: nothing may be written in the folder; choose another place")


def write_answer(folder: Path, title: str, sections: Sequence[Section], report: Mapping[str, Any]) -> Path:
    """Writes report.html for people, hits.json and hits.csv for machines; their owner alone may read them.

    Args:
        folder: where to.
        title: the page's heading.
        sections: the page's content, one a video.
        report: the content of hits.json: "videos", and whether the answer is "complete".

    Returns:
        The page.

    Raises:
        OutputError: one cannot be written.
    """
    page = folder / "report.html"
    write_report(page, title, WORDS if report["complete"] else f"{INTERRUPTED} {WORDS}", sections)
    content = json.dumps(report, indent=1).encode()
    write_atomically(folder / "hits.json", lambda file: file.write(content), private=True)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["video", "start", "end", "best", "words"])
    for section in sections:
        for who, moments in section.rows:
            for one in moments:
                times = (f"{value:.3f}" for value in (one.start, one.end, one.best))
                rows.writerow([str(section.path), *times, f"{who} {one.words}".strip()])
    lines = table.getvalue().encode("utf-8", "backslashreplace")
    write_atomically(folder / "hits.csv", lambda file: file.write(lines), private=True)
    return page


def clip_names(videos: Sequence[Path]) -> list[str]:
    """What the clips of each video are called: its own name, with its place where several have the same."""
    stems = Counter(video.stem for video in videos)
    return [video.stem if stems[video.stem] == 1 else f"{video.stem}-{n}" for n, video in enumerate(videos, 1)]


def write_clips(folder: Path, name: str, indexed: Indexed, hits: Hits) -> None:
    """Cuts each hit out of its video, as it is, into a file called by its seconds, as film-30.8-35.8.mp4.

    A clip appears when it is complete, and its owner alone may read it; an older one of that name is replaced.

    Args:
        folder: where to.
        name: what the clips are called.
        indexed: the video.
        hits: in it.

    Raises:
        OutputError: the video cannot be read, or a clip not be written.
    """
    from twinface.vision.video.clips import cut_clip

    for hit in hits:
        target = folder / f"{name}-{hit.start:.1f}-{hit.end:.1f}{indexed.path.suffix}"
        part = folder / f".twinface-{uuid.uuid4().hex}{indexed.path.suffix}"
        try:
            cut_clip(indexed.path, part, hit.start, hit.end)
            part.chmod(0o600)
            part.replace(target)
        except OutputError as error:
            raise OutputError(str(error).replace(shown(part), shown(target))) from error
        except OSError as error:
            raise OutputError(f"{shown(target)}: cannot be written ({reason(error)}); choose another folder") from error
        finally:
            part.unlink(missing_ok=True)
