"""The index of a video: its tracks in a file, so that only the first question about a video costs a search.

A large video is not read whole to know it again: see `fingerprint`. What is in an index are templates, which are
biometric data, and small pictures of faces: its owner alone may read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from twinface.app.settings import cache_folder
from twinface.app.video.index_file import IndexKey, TrackRows, VideoIndex, VideoLooks, read_index, write_index
from twinface.core.files import reason, shown
from twinface.core.ports import Analyzer, FrameSource
from twinface.core.types import Image
from twinface.core.video import Track
from twinface.errors import DataError, OutputError, SourceUnavailable
from twinface.services.tracks import Progress, TrackBuilder, TrackOptions

Purpose = Literal["search", "blur"]
"""What a video is searched for."""

ENDING = ".twinface.npz"

WHOLE = 256 * 2**20
"""Bytes up to which all of a video is digested: half a second."""

PART = 16 * 2**20
"""Bytes digested at the start, in the middle and at the end of a larger one."""

PERIOD = 30.0
"""Seconds of work that an interruption may cost."""

THUMBNAIL = 112
"""Pixels along a side of a face's picture."""


def fingerprint(video: Path) -> str:
    """What tells a video file from others: the SHA-256 of its content.

    Of one of more than WHOLE bytes it is that of its start, middle and end, with its size and when it was changed: a
    film of some gigabytes is known again in a tenth of a second, wherever it was moved to. Copied without its time it
    is another one, and so searched anew, which is only slow.

    Raises:
        SourceUnavailable: it cannot be read.
    """
    try:
        with video.open("rb") as file:
            facts = video.stat()
            if facts.st_size <= WHOLE:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            digest = hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode())
            for start in (0, (facts.st_size - PART) // 2, facts.st_size - PART):
                file.seek(start)
                digest.update(file.read(PART))
            return f"parts:{digest.hexdigest()}"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise SourceUnavailable(f"{shown(video)}: cannot be read ({reason(error)}); choose another video") from error


def key_of(video: Path, analyzer: Analyzer, options: TrackOptions, **sampling: float | str | None) -> IndexKey:
    """What an index of this video depends on.

    Args:
        video: the file.
        analyzer: finds and encodes the faces.
        options: how they are followed.
        sampling: how its frames are chosen and decoded, as `rate=5.0, longest=1280`.

    Raises:
        SourceUnavailable: the video cannot be read.
    """
    asked = json.dumps({"tracks": asdict(options), "sampling": sampling}, sort_keys=True, allow_nan=False)
    return IndexKey(fingerprint(video), analyzer.identity, asked)


def index_path(video: Path, key: IndexKey, purpose: Purpose = "search", *, beside: bool = False) -> Path:
    """Where a video's index lies: beside it, as film.mp4.twinface.npz, or in the user's cache folder.

    A video has one index for each purpose: one by another model or with other options takes the place of the old one,
    so that templates nobody asks for any more do not pile up. The folder in the cache is made if it is missing.

    Raises:
        OutputError: the folder cannot be made.
    """
    kind = "" if purpose == "search" else f".{purpose}"
    if beside:
        return video.with_name(video.name + kind + ENDING)
    folder = indexes_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise OutputError(
            f"{shown(folder)}: cannot be made ({reason(error)}); set TWINFACE_CACHE to another folder"
        ) from error
    return folder / f"{hashlib.sha256(key.video.encode()).hexdigest()[:32]}{kind}.npz"


def indexes_folder() -> Path:
    """Where indexes lie that are not beside their videos, whether it exists or not."""
    return cache_folder() / "videos"


def load_index(path: Path, key: IndexKey) -> tuple[VideoIndex | None, str]:
    """The index if it is there and answers this question, complete or begun, and what to say where it does not.

    Returns:
        The index, or None; and why there is none, "" where nothing was there. It never raises over what it finds.
    """
    if not path.exists():
        return None, ""
    try:
        index = read_index(path)
    except DataError as error:
        return None, str(error).replace("remove it, and it is made anew", "it is made anew")
    others = (("video", "another video"), ("analyzer", "another model or version"), ("options", "other options"))
    for name, words in others:
        if getattr(index.key, name) != getattr(key, name):
            return None, f"{shown(path)}: it was made from {words}; it is made anew"
    return index, ""


class IndexWriter:
    """Writes the index of a video while the video is searched.

    Every `period` seconds the whole file is written anew, which takes milliseconds and leaves it sound at every moment.

    Args:
        path: where to.
        key: what it is made from.
        begun: what was there already.
        looks: what is told of the video; its notes come with each write.
        period: seconds between two writes.
        clock: tells the time, in seconds from anywhere.
    """

    def __init__(
        self,
        path: Path,
        key: IndexKey,
        begun: VideoIndex | None = None,
        *,
        looks: VideoLooks | None = None,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._key = key
        self._rows = [TrackRows.of(track) for track in begun.tracks] if begun is not None else []
        self._looks = looks or VideoLooks()
        self._period = period
        self._clock = clock
        self._written: float | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to write; at first it is, so that trouble shows before the work."""
        return self._written is None or self._clock() - self._written >= self._period

    def add(self, tracks: Iterable[Track]) -> None:
        """Takes tracks that ended."""
        self._rows += [TrackRows.of(track) for track in tracks]

    def save(self, progress: Progress, notes: Sequence[str] = ()) -> None:
        """Writes what is known up to now.

        Raises:
            OutputError: it cannot be written.
            DataError: there is too much of it.
        """
        self._write(progress, notes)

    def finish(self, notes: Sequence[str] = ()) -> None:
        """Writes the complete index; raises as `save`."""
        self._write(None, notes)

    def _write(self, progress: Progress | None, notes: Sequence[str]) -> None:
        looks = replace(self._looks, notes=tuple(shown(note) for note in notes))
        write_index(self.path, self._key, self._rows, progress, looks)
        self._written = self._clock()


def search_video(
    source: FrameSource, builder: TrackBuilder, writer: IndexWriter, advance: Callable[[float], object] | None = None
) -> None:
    """Feeds a builder all frames of a video that it has not seen, and writes the index.

    What interrupts it passes through, Ctrl-C too; the index is begun then, and another call goes on from it, with the
    builder made with `begun=index.progress`, to the same end. An interruption while a frame is searched costs what was
    done since the last write, at most `period` seconds of work.

    Args:
        source: gives the frames, the same ones each time.
        builder: fresh, or begun from the index.
        writer: likewise.
        advance: called with the time of each frame, seconds, for instance to move a progress bar.

    Raises:
        SourceError: the video cannot be read on.
        OutputError: the index cannot be written.
    """
    sound = True
    try:
        for frame in source.frames():
            if frame.time > builder.time:
                sound = False
                writer.add(builder.feed(frame))
                sound = True
                if writer.due:
                    writer.save(builder.progress, source.info.notes)
            if advance is not None:
                advance(frame.time)
    except BaseException:
        if sound and builder.time >= 0:
            with contextlib.suppress(OutputError, DataError):  # what interrupted is what is to be told
                writer.save(builder.progress, source.info.notes)
        raise
    writer.add(builder.finish())
    writer.finish(source.info.notes)


def thumbnail(crop: Image) -> bytes:
    """A small JPEG of an aligned crop, RGB uint8 (S, S, 3), some 4 kB."""
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(crop)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def kept_indexes() -> list[Path]:
    """The indexes in the user's cache folder, of whatever purpose."""
    return sorted(indexes_folder().glob("*.npz"))


def remove_indexes() -> int:
    """Removes the indexes in the user's cache folder, overwritten; how many there were. Those beside videos stay.

    What a process that was killed left of one goes too.

    Raises:
        OutputError: one cannot be removed.
    """
    indexes = kept_indexes()
    for file in [*indexes, *indexes_folder().glob(".twinface-*.part")]:
        try:
            with file.open("r+b") as content:
                content.write(bytes(file.stat().st_size))
            file.unlink()
        except OSError as error:
            raise OutputError(f"{shown(file)}: cannot be removed ({reason(error)}); remove it yourself") from error
    return len(indexes)
