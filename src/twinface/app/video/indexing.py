"""Videos whose faces are known: from their indexes, or by searching them now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinface.app.video.index import IndexWriter, Purpose, index_path, key_of, load_index, search_video, thumbnail
from twinface.app.video.index_file import VideoIndex, VideoLooks
from twinface.core.files import shown
from twinface.errors import SourceUnavailable
from twinface.services.recognition import Recognizer
from twinface.services.tracks import TrackBuilder, TrackOptions
from twinface.vision.video.source import VideoOptions, open_video

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"}
)
"""Endings by which videos are known among other files."""


@dataclass(frozen=True)
class Sampling:
    """How densely a video is searched.

    Attributes:
        rate: frames a second that are searched for faces, at most.
        longest: pixels of the longer side of the frames searched.
        beside: whether the index lies beside the video instead of in the user's cache folder.
    """

    rate: float = 5.0
    longest: int = 1280
    beside: bool = False

    def every(self, rate: float | None) -> int:
        """Each how many-th frame that is, of a video of so many frames a second."""
        return max(1, round((rate or 25.0) / self.rate))


@dataclass(frozen=True, eq=False)
class Indexed:
    """A video whose faces are known.

    Attributes:
        path: the video.
        index: its tracks.
        known: whether it was known already, and not searched now.
        remark: why what was known of it was not used; "" where it was, or nothing was known.
    """

    path: Path
    index: VideoIndex
    known: bool
    remark: str = ""

    @property
    def duration(self) -> float | None:
        """Seconds; None where nobody knows."""
        return self.index.looks.duration

    @property
    def scale(self) -> float:
        """How many times as large the video is as the frames searched, in whose pixels boxes are."""
        return self.index.looks.scale

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know of the video."""
        return self.index.looks.notes


def index_video(
    path: Path,
    recognizer: Recognizer,
    sampling: Sampling,
    *,
    purpose: Purpose = "search",
    anew: bool = False,
    began: Callable[[float | None], Callable[[float], object]] | None = None,
) -> Indexed:
    """The tracks of a video: from its index, or by searching it, which an interruption does not undo.

    A video whose index is there is not opened, only digested.

    Args:
        path: a video file.
        recognizer: finds, encodes and judges the faces.
        sampling: how densely.
        purpose: what for; a video has an index for each.
        anew: whether what is known already is not used.
        began: called with the duration when a search begins; what it returns is called with the time reached.

    Raises:
        SourceError: the video cannot be read.
        OutputError: the index cannot be written.
        DataError: there is too much to keep.
    """
    if path.is_dir():
        raise SourceUnavailable(f"{shown(path)}: is a folder; name a video in it")
    if not path.is_file():
        raise SourceUnavailable(f"{shown(path)}: there is no such video file")
    options = TrackOptions()
    key = key_of(path, recognizer.analyzer, options, rate=sampling.rate, longest=sampling.longest)
    place = index_path(path, key, purpose, beside=sampling.beside)
    index, why = load_index(place, key) if not anew else (None, "")
    if index is not None and index.progress is None:
        return Indexed(path, index, True)
    with open_video(path, VideoOptions()) as whole:
        info = whole.info
    with open_video(path, VideoOptions(every=sampling.every(info.rate), longest=sampling.longest)) as source:
        begun = None if index is None else index.progress
        builder = TrackBuilder(recognizer.analyzer, options, rule=recognizer.rule, thumbnail=thumbnail, begun=begun)
        looks = VideoLooks(info.duration, info.width / max(1, source.info.width))
        writer = IndexWriter(place, key, index, looks=looks)
        search_video(source, builder, writer, began(info.duration) if began is not None else None)
    done, gone = load_index(place, key)
    if done is None:
        raise SourceUnavailable(
            f"{shown(path)}: its index is gone, or was made anew by another ({gone}); search it again"
        )
    return Indexed(path, done, False, why)


def gather_videos(paths: list[Path]) -> list[Path]:
    """The videos named, and those in the folders named, at any depth, in order of path.

    Raises:
        SourceUnavailable: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in VIDEOS and one.is_file())
        if not inside:
            raise SourceUnavailable(f"{shown(path)}: the folder holds no videos")
        found += inside
    return found
