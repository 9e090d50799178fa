"""Videos that were uploaded: each in a folder of its own with what is known of it, and its index."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twinface.app.server.containers import HEAD, TAKEN, container_of
from twinface.app.server.job import ID
from twinface.app.server.storage import make_private, overwrite_folder
from twinface.core.facts import object_of
from twinface.core.files import reason, shown, write_atomically
from twinface.errors import OutputError, TwinFaceError, UnsupportedFormat

LONGEST_NAME = 100
"""Letters of a video's name that are kept."""

FACTS = "video.json"

_LOG = logging.getLogger("twinface.server")


@dataclass(frozen=True)
class StoredVideo:
    """A video on the shelf.

    Attributes:
        id: 32 hexadecimal digits, random.
        name: as whoever uploaded it called it; fit for a line, and no path.
        file: what it is called in its folder.
        media_type: as browsers know it.
        size: bytes.
        sha256: of its content, hexadecimal.
        width: pixels, upright.
        height: pixels, upright.
        duration: seconds; None where nobody knows.
        rate: frames a second; None where nobody knows.
        uploaded: when, with a time zone.
    """

    id: str
    name: str
    file: str
    media_type: str
    size: int
    sha256: str
    width: int
    height: int
    duration: float | None
    rate: float | None
    uploaded: datetime

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id) or Path(self.file).name != self.file:
            raise ValueError("a stored video has an id, and a file of its own folder")

    def as_json(self) -> dict[str, Any]:
        """What clients are told."""
        facts = {key: value for key, value in asdict(self).items() if key != "file"}
        return {**facts, "uploaded": self.uploaded.isoformat(timespec="seconds")}


class Shelf:
    """The videos of a folder. Threads may share it.

    Args:
        folder: made if it is missing; its owner alone may look into it. What an interrupted upload or removal left is
            removed.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._folder = folder
        self._lock = threading.Lock()
        self._videos: dict[str, StoredVideo] = {}
        for place in sorted(folder.iterdir()):
            video = _read(place)
            if video is not None:
                self._videos[video.id] = video
            elif place.name.startswith((".upload-", ".removed-")):
                with contextlib.suppress(OutputError):
                    overwrite_folder(place)

    @property
    def free(self) -> int:
        """Bytes left on the disk for this user."""
        return shutil.disk_usage(self._folder).free

    def all(self) -> list[StoredVideo]:
        """The videos, newest first."""
        with self._lock:
            return sorted(self._videos.values(), key=lambda one: (one.uploaded, one.id), reverse=True)

    def find(self, identity: str) -> StoredVideo | None:
        """A video; None where there is none of that id."""
        with self._lock:
            return self._videos.get(identity)

    def path(self, video: StoredVideo) -> Path:
        """Where its content lies."""
        return self._folder / video.id / video.file

    def begin(self) -> Upload:
        """A place for a video that is to come.

        Raises:
            OutputError: there is none.
        """
        return Upload(self._folder)

    def take(self, upload: Upload, name: str, sha256: str) -> StoredVideo:
        """Takes a video that has come, if it is one.

        Args:
            upload: holds all of it; it is used up.
            name: as it was called.
            sha256: of its content.

        Raises:
            UnsupportedFormat: it is none of the kinds that are taken.
            SourceError: it is damaged, or shows nothing.
            OutputError: it cannot be written.
        """
        from twinface.vision.video.source import VideoOptions, open_video

        identity = upload.folder.name.removeprefix(".upload-")
        with upload.content.open("rb") as file:
            container = container_of(file.read(HEAD))
        if container is None:
            raise UnsupportedFormat(f"the video is of no kind that is taken here; send one of {TAKEN}")
        place = upload.content.rename(upload.folder / f"content{container.ending}")
        try:
            with open_video(place, VideoOptions(longest=1280)) as source:
                info = source.info
        except TwinFaceError as error:
            words = str(error).replace(str(place), "the video").replace(shown(place), "the video")
            raise type(error)(words) from error
        video = StoredVideo(
            identity,
            fit_name(name, container.ending),
            place.name,
            container.media_type,
            place.stat().st_size,
            sha256,
            info.width,
            info.height,
            info.duration,
            info.rate,
            datetime.now(UTC),
        )
        content = json.dumps({**asdict(video), "uploaded": video.uploaded.isoformat()}, allow_nan=False).encode()
        write_atomically(upload.folder / FACTS, lambda file: file.write(content), private=True)
        with self._lock:
            upload.folder.rename(self._folder / identity)
            self._videos[identity] = video
        return video

    def remove(self, identity: str) -> None:
        """Removes a video and its index, overwritten; one that is not there is no error.

        Raises:
            OutputError: it cannot be removed.
        """
        with self._lock:
            if self._videos.pop(identity, None) is None:
                return
            gone = self._folder / f".removed-{identity}"
            try:
                (self._folder / identity).rename(gone)
            except OSError as error:
                raise OutputError(f"the video cannot be removed ({reason(error)}); remove its folder") from error
        overwrite_folder(gone)


class Upload:
    """A folder in which a video arrives; discard it in the end, whether it was taken or not.

    Args:
        shelf: the folder of all videos.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, shelf: Path) -> None:
        self.folder = shelf / f".upload-{secrets.token_hex(16)}"
        self.content = self.folder / "content"
        """The file that it is written to."""
        make_private(self.folder)

    def discard(self) -> None:
        """Overwrites and removes what was not taken.

        Raises:
            OutputError: it cannot be removed.
        """
        overwrite_folder(self.folder)


def fit_name(name: str, ending: str) -> str:
    """A name as it is shown: the last part of a path, without what moves a cursor, at most LONGEST_NAME letters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in last if letter.isprintable()).strip().lstrip(".")
    return kept[-LONGEST_NAME:] or f"video{ending}"


def _read(place: Path) -> StoredVideo | None:
    """The video of a folder; None where it is none."""
    if not ID.fullmatch(place.name):
        return None
    try:
        facts: Mapping[str, Any] = object_of(json.loads((place / FACTS).read_bytes()), "a video")
        if set(facts) != {field.name for field in fields(StoredVideo)} or facts["id"] != place.name:
            raise ValueError("it is not written as a video is")
        video = StoredVideo(**{**facts, "uploaded": datetime.fromisoformat(facts["uploaded"])})
    except (OSError, ValueError, TypeError, RecursionError) as error:
        _LOG.warning("%s: no video that was uploaded (%s)", place.name, reason(error))
        return None
    return video
