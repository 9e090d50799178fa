"""Copies of videos with faces made unrecognisable: whom to hide, and where each face is at every moment.

What is doubtful is hidden. But a face that the detector finds in no frame stays visible: look through a copy before it
is published. Voices, clothes and places are not touched.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from twinface.app.video.indexing import Indexed, Sampling, index_video
from twinface.core.decision import DecisionRule
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.tracking import expected
from twinface.core.types import Box, Image
from twinface.core.video import Sighting, Track
from twinface.services.likeness import Templates, templates_of
from twinface.services.recognition import Recognizer
from twinface.services.video_search import CONFIRM, find, search_point
from twinface.vision.video.blurring import Area, Style, check_copy, obscure, write_copy
from twinface.vision.video.source import VideoOptions, VideoSource, open_video

AROUND = 0.5
"""Seconds before its first and after its last sighting in which a face is hidden, at least."""

STEPS = 2
"""Or so many times the time between two frames that were searched."""

APART = 0.3
"""Seconds between two sightings above which a face is hidden wherever it may have been meanwhile."""

BRIDGED = 2.0
"""Seconds between two tracks up to which the way from one to the other is hidden, if they may be one face."""

REACH = 2.0
"""Sizes of a face that it may have gone meanwhile."""

TOGETHER = 0.25
"""Seconds that two tracks of one person may overlap."""

DENSE = Sampling(rate=15.0, longest=1920)
"""How videos are searched for faces to hide: each second frame of most."""

Began = Callable[[float | None], Callable[[float], object]]
"""Called with the duration in seconds, if known, when work begins; what it returns is called with the time reached."""

T = TypeVar("T")

_Seconds = dict[int, list[T]]
"""What may be there, by whole seconds: a long video has many faces, but each moment few."""


@dataclass(frozen=True)
class Blurring:
    """How faces are hidden.

    Attributes:
        style: what is left of them.
        sound: whether it is copied.
        sampling: how densely the video is searched for them.
    """

    style: Style = "blur"
    sound: bool = True
    sampling: Sampling = DENSE


@dataclass(frozen=True)
class Blurred:
    """A copy that was made.

    Attributes:
        path: the copy.
        followed: how many tracks of faces the video has; a person may have several.
        hidden: how many of them were made unrecognisable.
        kept: how many stayed visible.
        notes: what the reader must know.
    """

    path: Path
    followed: int
    hidden: int
    kept: int
    notes: tuple[str, ...]


def blur_video(
    video: Path,
    target: Path,
    recognizer: Recognizer,
    options: Blurring | None = None,
    *,
    keep: NDArray[np.float32] | None = None,
    searching: Began | None = None,
    blurring: Began | None = None,
) -> Blurred:
    """Writes a copy of a video with faces made unrecognisable.

    Args:
        video: a video file.
        target: the copy, .mp4, .m4v, .mov or .mkv, which must not exist; it appears when it is complete.
        recognizer: finds and judges the faces.
        options: how.
        keep: templates of the one person who stays visible, shape (K, D), K >= 1, unit length; None: nobody does.
        searching: told of the search, which comes first and is left out where the video's index is there.
        blurring: told of the copying.

    Raises:
        SourceError: the video cannot be read.
        OutputError: the copy or the index cannot be written.
        ContractMismatch: the templates are of another length than the video's.
    """
    options = options or Blurring()
    check_copy(video, target)
    indexed = index_video(video, recognizer, options.sampling, purpose="blur", began=searching)
    tracks = indexed.index.tracks
    kept = set() if keep is None else clear(tracks, keep, recognizer.rule)
    with open_video(video, VideoOptions()) as source:
        info = source.info
        around = max(AROUND, STEPS * options.sampling.every(info.rate) / (info.rate or 25.0))
        plan = Plan(tracks, kept, around)
        advance = blurring(info.duration) if blurring is not None else None
        pictures = _pictures(source, plan, indexed, options.style, advance)
        told = write_copy(video, target, info, pictures, sound=options.sound)
        notes = dict.fromkeys((*indexed.notes, *source.info.notes, *told))
    return Blurred(target, len(tracks), len(tracks) - len(kept), len(kept), tuple(notes))


def clear(tracks: Sequence[Track], query: NDArray[np.float32], rule: DecisionRule) -> set[int]:
    """Numbers of the tracks that show a person beyond doubt.

    Such a track is near enough to her photos by itself, whatever is found beside it, and has several fit faces, none of
    which is another's. Of two at one time, of which she can be but one, the nearer counts.

    Args:
        tracks: all of the video.
        query: templates of her photos, shape (K, D), K >= 1, unit length.
        rule: the encoder's.

    Raises:
        ContractMismatch: the templates are of different lengths.
    """
    person = Templates.of(query)
    loosest, usual = max(point.threshold for point in rule.points), rule.point()
    point = search_point(tracks, len(query), rule, DEFAULT_FPIR)
    chosen: list[Track] = []
    for hit in sorted(find(tracks, query, rule, DEFAULT_FPIR, gap=-math.inf), key=lambda hit: hit.distance):
        (track,) = hit.tracks
        alone = templates_of(track.faces).near(person).alone
        rivals = (min(track.end, other.end) - max(track.start, other.start) > TOGETHER for other in chosen)
        sure = point.accepts(hit.distance) and int((alone <= usual.threshold).sum()) >= CONFIRM
        if sure and float(alone.max()) <= loosest and not any(rivals):
            chosen.append(track)
    return {track.number for track in chosen}


class Plan:
    """Where faces are hidden, and where one is kept, at every moment.

    Args:
        tracks: all of the video.
        kept: numbers of those that stay visible.
        around: seconds for which a face is hidden before its first and after its last sighting.
    """

    def __init__(self, tracks: Sequence[Track], kept: set[int], around: float) -> None:
        self._hidden: _Seconds[_Way] = defaultdict(list)
        self._kept: _Seconds[_Way] = defaultdict(list)
        self._bridges: _Seconds[tuple[Sighting, Sighting]] = defaultdict(list)
        for track in tracks:
            seconds = self._kept if track.number in kept else self._hidden
            _enter(seconds, _Way(track, around), track.start - around, track.end + around)
        coming = sorted(tracks, key=lambda track: track.start)
        starts = [track.start for track in coming]
        for one in tracks:
            for other in coming[bisect_right(starts, one.end) : bisect_right(starts, one.end + BRIDGED)]:
                if not {one.number, other.number} <= kept and _one_face(one, other):
                    _enter(self._bridges, (one.sightings[-1], other.sightings[0]), one.end, other.start)

    def hidden(self, time: float) -> list[Area]:
        """Faces to be hidden, in the pixels of the tracks."""
        areas = [area for way in self._hidden.get(math.floor(time), ()) if (area := way.area(time)) is not None]
        bridges = self._bridges.get(math.floor(time), ())
        return areas + [Area(hull(a.box, b.box), False) for a, b in bridges if a.time < time < b.time]

    def kept(self, time: float) -> list[Box]:
        """Boxes that stay as they are whatever is hidden around them: only where and while it is certain whose."""
        found = []
        for way in self._kept.get(math.floor(time), ()):
            times = [face.time for face in way.track.faces]
            area = way.area(time) if min(times) <= time <= max(times) else None
            if area is not None and area.seen:
                found.append(area.box)
        return found


class _Way:
    """A face's way through a video.

    Args:
        track: of the face.
        around: seconds beyond its ends in which it is supposed to be there.
    """

    def __init__(self, track: Track, around: float) -> None:
        self.track = track
        self._around = around
        self._times = [one.time for one in track.sightings]

    def area(self, time: float) -> Area | None:
        """Where it is; None when it is long gone, or far from coming."""
        path, times = self.track.sightings, self._times
        if time < times[0]:
            if times[0] - time > self._around:
                return None
            mirrored = [Sighting(-one.time, one.box, one.score) for one in reversed(path[:16])]
            return Area(hull(path[0].box, expected(mirrored, -time)), False)
        if time > times[-1]:
            if time - times[-1] > self._around:
                return None
            return Area(hull(path[-1].box, expected(path[-16:], time)), False)
        place = bisect_left(times, time)
        if times[place] == time:
            return Area(path[place].box, True)
        before, after = path[place - 1], path[place]
        if after.time - before.time > APART:
            return Area(hull(before.box, after.box), False)
        box = Track(self.track.number, (before, after), ()).box_at(time)
        assert box is not None  # it is between the two
        return Area(box, True)


def _enter(seconds: _Seconds[T], what: T, start: float, end: float) -> None:
    """Notes something that may be there from one time to another, in seconds."""
    for second in range(math.floor(start), math.floor(end) + 1):
        seconds[second].append(what)


def hull(one: Box, other: Box) -> Box:
    """The smallest box that holds both."""
    a, b = one.corners, other.corners
    left, top = min(a[0], b[0]), min(a[1], b[1])
    return Box(left, top, max(a[2], b[2]) - left, max(a[3], b[3]) - top)


def scaled(box: Box, scale: float) -> Box:
    """The box in a picture that is so many times as large."""
    return Box(scale * box.x, scale * box.y, scale * box.width, scale * box.height)


def _one_face(one: Track, other: Track) -> bool:
    """Whether the second, which begins when the first has ended, may be the same face, seen again near."""
    a, b = one.sightings[-1], other.sightings[0]
    size, later = math.sqrt(a.box.area), math.sqrt(b.box.area)
    across = a.box.x + a.box.width / 2 - b.box.x - b.box.width / 2
    down = a.box.y + a.box.height / 2 - b.box.y - b.box.height / 2
    return math.hypot(across, down) <= REACH * max(size, later) and max(size, later) <= 2 * min(size, later)


def _pictures(
    source: VideoSource, plan: Plan, indexed: Indexed, style: Style, advance: Callable[[float], object] | None
) -> Iterator[tuple[float, Image]]:
    """Time and changed picture of every frame.

    Raises:
        SourceError: a frame cannot be read.
    """
    scale = indexed.scale
    for frame in source.frames():
        hidden = [Area(scaled(area.box, scale), area.seen) for area in plan.hidden(frame.time)]
        kept = [scaled(box, scale) for box in plan.kept(frame.time)]
        yield frame.time, obscure(frame.image, hidden, kept, style)
        if advance is not None:
            advance(frame.time)
