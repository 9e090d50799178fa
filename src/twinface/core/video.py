"""Moving pictures: frames, and faces followed through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Box, Image, Quality


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture of a video.

    Attributes:
        image: RGB uint8, shape (H, W, 3), upright.
        time: seconds from the start of the video; of a live source, since it was opened.
        number: counted from 0, of all frames of the video, also of those left out.
        arrived: `time.monotonic()` when it came, by which the age of a live frame is told.
    """

    image: Image
    time: float
    number: int
    arrived: float


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames.

    Attributes:
        name: as given, without any password.
        live: whether frames come when they come, as from a camera, and those too late are left out.
        width: pixels, upright.
        height: pixels, upright.
        duration: seconds; None where nobody knows, as of live sources.
        rate: frames a second on average; None where nobody knows.
        notes: what the reader must know, as "the end of the file is missing".
    """

    name: str
    live: bool
    width: int
    height: int
    duration: float | None
    rate: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """A face at one moment.

    Attributes:
        time: of the frame, seconds.
        box: pixels.
        score: the detector's confidence; of a place that was followed, not detected, that of the last detection.
        detected: whether a detector found it there.
    """

    time: float
    box: Box
    score: float
    detected: bool = True


@dataclass(frozen=True, eq=False)
class TrackFace:
    """One of a track's best faces, encoded.

    Attributes:
        time: of its frame, seconds.
        box: pixels.
        quality: how fit it is.
        vector: its template, float32 (D,), unit length.
        thumbnail: a JPEG of the face; empty where none was wanted.
    """

    time: float
    box: Box
    quality: Quality
    vector: NDArray[np.float32]
    thumbnail: bytes = b""


@dataclass(frozen=True, eq=False)
class Track:
    """One face followed through frames.

    Attributes:
        number: counted from 1.
        sightings: in order of time; at least one.
        faces: its best faces, best first; may be empty where none was fit.
    """

    number: int
    sightings: tuple[Sighting, ...]
    faces: tuple[TrackFace, ...]

    @property
    def start(self) -> float:
        """Seconds."""
        return self.sightings[0].time

    @property
    def end(self) -> float:
        """Seconds."""
        return self.sightings[-1].time

    def box_at(self, time: float) -> Box | None:
        """Where the face is at a moment, between sightings on a straight line; None outside the track's time."""
        return box_at(self.sightings, time)


def box_at(sightings: Sequence[Sighting], time: float) -> Box | None:
    """Where a face is at a moment; see `Track.box_at`."""
    times = np.array([one.time for one in sightings])
    place = int(np.searchsorted(times, time))
    if place < len(times) and times[place] == time:
        return sightings[place].box
    if place in (0, len(times)):
        return None
    before, after = sightings[place - 1], sightings[place]
    share = (time - before.time) / (after.time - before.time)
    old, new = (np.array([one.box.x, one.box.y, one.box.width, one.box.height]) for one in (before, after))
    x, y, width, height = (float(value) for value in old + share * (new - old))
    return Box(x, y, width, height)
