"""Follows faces through a video: tracks with their best faces and templates, and those that run, for who watches live.

A face is encoded only where it counts: the best few of a track when it ends (or, live, as soon as there are some), and
where geometry alone does not tell which face is which. So the cost of a frame is that of its detection, and pixels are
kept of running tracks only, a few crops each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.ports import Analyzer
from twinface.core.scenes import SceneWatch
from twinface.core.tracking import Tracker, TrackingOptions
from twinface.core.types import Box, Image
from twinface.core.video import Sighting, Track, TrackFace, VideoFrame
from twinface.errors import ContractMismatch
from twinface.services.track_faces import BestFaces, Thumbnail, encode, seam, sever
from twinface.services.track_matching import Matcher


class Follower(Protocol):
    """Finds faces again between two detections."""

    def remember(self, image: Image, boxes: Mapping[int, Box], running: Collection[int]) -> None:
        """Looks at the faces detected in a picture, by number of their track; tracks that do not run are forgotten."""
        ...

    def follow(self, image: Image) -> dict[int, Box]:
        """Where the faces are in a later picture, by number; those not found again are left out."""
        ...


@dataclass(frozen=True)
class TrackOptions:
    """How faces are followed and which of them are kept.

    Attributes:
        count: best faces of a track, at most.
        spacing: seconds between two of them, at least: neighbours in time say the same.
        confirm: as soon as so many are there, those of a running track are encoded, if `live`.
        live: whether running tracks are encoded, for who cannot wait until they end.
        renewal: seconds between two times that a running track is encoded anew, if `live`.
        longest: seconds after which a track is ended and another one goes on in its place, so that what is kept of it
            is bounded, and what is done is done when a long video is interrupted.
        tracking: when a face is the one of before.
    """

    count: int = 5
    spacing: float = 0.3
    confirm: int = 2
    live: bool = False
    renewal: float = 1.0
    longest: float = 600.0
    tracking: TrackingOptions = field(default_factory=TrackingOptions)

    def __post_init__(self) -> None:
        if self.count < 1 or self.confirm < 1 or self.spacing < 0 or self.renewal < 0 or not self.longest > 0:
            raise ValueError(f"tracks: counts and `longest` must be positive, times not negative, got {self}")


@dataclass(frozen=True, eq=False)
class RunningTrack:
    """A track that has not ended.

    Attributes:
        number: counted from 1.
        start: when it was first seen, seconds.
        seen: when it was last detected, seconds.
        last: its last sighting, detected or followed.
        faces: those encoded, best first; the same tuple as long as nothing is new. Empty unless `live`.
    """

    number: int
    start: float
    seen: float
    last: Sighting
    faces: tuple[TrackFace, ...]


@dataclass(frozen=True, eq=False)
class Progress:
    """All that a TrackBuilder knows after a frame beside the tracks that ended: another one can go on from here.

    Attributes:
        time: of that frame, seconds; -inf before the first.
        running: tracks that run, with the faces kept of them up to now.
        following: the number that the next track gets.
        sample: pixels of the frame, uint8 (h, w, 3), see `SceneWatch`; None before the first.
        usual: how much frames differ usually, see `SceneWatch`.
    """

    time: float
    running: tuple[Track, ...]
    following: int
    sample: NDArray[np.uint8] | None
    usual: float

    def __post_init__(self) -> None:
        numbers = [track.number for track in self.running]
        if len(set(numbers)) < len(numbers) or max(numbers, default=0) >= self.following or self.following < 1:
            raise ValueError(f"progress: tracks {numbers} before {self.following} cannot be")
        if math.isnan(self.time) or any(track.sightings[-1].time > self.time for track in self.running):
            raise ValueError("progress: a track runs that was seen later")


class TrackBuilder:
    """Makes tracks of the frames it is fed; all frames fed are searched for faces.

    With a rule templates help: where two faces cross or one leaps, where the scene seems to change, and where a track
    turns out to hold two persons. Without one a change of scene ends all tracks, and the rest is geometry.

    Args:
        analyzer: finds, judges and encodes faces.
        options: how faces are followed and kept.
        rule: the encoder's.
        thumbnail: makes a JPEG of each face that is kept; None for none.
        follower: finds faces again between detections, for `follow`.
        begun: to go on from.

    Raises:
        ContractMismatch: the rule belongs to another encoder.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        options: TrackOptions | None = None,
        *,
        rule: DecisionRule | None = None,
        thumbnail: Thumbnail | None = None,
        follower: Follower | None = None,
        begun: Progress | None = None,
    ) -> None:
        if rule is not None and rule.model != analyzer.encoder.identity:
            raise ContractMismatch(
                f"decision rule of {rule.model[:12]} cannot judge templates of {analyzer.encoder.identity[:12]}"
            )
        self.options = options or TrackOptions()
        self._analyzer = analyzer
        self._matcher = Matcher(analyzer, rule, self.options.tracking, thumbnail)
        self._far = None if rule is None else max(point.threshold for point in rule.points)
        self._thumbnail = thumbnail
        self._follower = follower
        begun = begun or Progress(-math.inf, (), 1, None, 0.0)
        paths = {track.number: track.sightings for track in begun.running}
        self._tracker = Tracker(self.options.tracking, paths, begun.following)
        self._scenes = SceneWatch(begun.sample, begun.usual)
        self._best = {track.number: self._keeper(track.faces) for track in begun.running}
        self._renewed: dict[int, float] = {}
        self._time = begun.time

    @property
    def time(self) -> float:
        """Of the last frame, seconds; -inf before the first."""
        return self._time

    @property
    def running(self) -> tuple[RunningTrack, ...]:
        """The tracks that have not ended, by number; a face just out of sight is among them, see `seen`."""
        return tuple(
            RunningTrack(number, path[0].time, self._tracker.seen(number), path[-1], self._best[number].encoded)
            for number, path in sorted(self._tracker.paths.items())
        )

    @property
    def progress(self) -> Progress:
        """What another builder needs to go on; faces kept of running tracks are encoded for it."""
        encode(self._analyzer, [one for best in self._best.values() for one in best.waiting], self._thumbnail)
        running = [
            Track(number, tuple(path), self._best[number].encoded)
            for number, path in sorted(self._tracker.paths.items())
        ]
        return Progress(self._time, tuple(running), self._tracker.following, self._scenes.sample, self._scenes.usual)

    def feed(self, frame: VideoFrame) -> list[Track]:
        """Searches a frame for faces and takes them; the tracks that ended with that.

        Raises:
            ValueError: the frame is not later than the one before.
            ImageError: it is of a kind or size that is not read.
        """
        self._step(frame.time)
        faces = list(self._analyzer.locate(frame.image).faces)
        boxes = [face.box for face in faces]
        ended = self._tracker.expire(frame.time)
        look = self._tracker.look(frame.time, boxes)
        cut = self._scenes.cut(frame.image)
        pairs = self._matcher.match(look, faces, [self._best[number] for number in look.numbers], cut)
        owners = {column: look.numbers[row] for row, column in pairs}
        if cut:
            ended |= self._tracker.end(set(look.numbers) - set(owners.values()))
        numbers = self._tracker.settle(frame.time, boxes, [face.score for face in faces], owners)
        for number, face in zip(numbers, faces, strict=True):
            self._best.setdefault(number, self._keeper()).offer(frame.time, face, self._thumbnail)
        done = [(number, path, self._best.pop(number)) for number, path in sorted(ended.items())]
        done += self._outgrown(frame.time)
        if self.options.live:
            self._encode_running(frame.time)
        if self._follower is not None:
            self._follower.remember(frame.image, dict(zip(numbers, boxes, strict=True)), self._tracker.paths)
        return self._finished(done)

    def follow(self, frame: VideoFrame) -> None:
        """Moves the running tracks to where their faces are in a frame that is not searched, if there is a follower.

        Raises:
            ValueError: the frame is not later than the one before.
        """
        self._step(frame.time)
        if self._follower is None:
            return
        for number, box in self._follower.follow(frame.image).items():
            if number in self._tracker.paths:
                self._tracker.move(number, frame.time, box)

    def finish(self) -> list[Track]:
        """Ends all tracks that run, and gives them."""
        ended = self._tracker.end(list(self._tracker.paths))
        return self._finished([(number, path, self._best.pop(number)) for number, path in sorted(ended.items())])

    def _step(self, time: float) -> None:
        if not time > self._time:
            raise ValueError(f"frames must come in order of their times, got {time} after {self._time}")
        self._time = time

    def _keeper(self, faces: Sequence[TrackFace] = ()) -> BestFaces:
        return BestFaces(self.options.count, self.options.spacing, faces)

    def _outgrown(self, time: float) -> list[tuple[int, tuple[Sighting, ...], BestFaces]]:
        """Tracks that have run for so long that others go on in their place."""
        done = []
        for number, path in list(self._tracker.paths.items()):
            if self._tracker.seen(number) == time and time - path[0].time > self.options.longest:
                new, ended = self._tracker.renew(number)
                self._best[new] = self._keeper()
                done.append((number, ended, self._best.pop(number)))
        return done

    def _encode_running(self, time: float) -> None:
        """Encodes the faces of running tracks that have enough of them, each track every now and then."""
        self._renewed = {number: last for number, last in self._renewed.items() if number in self._best}
        waiting = []
        for number, best in self._best.items():
            due = time - self._renewed.get(number, -math.inf) >= self.options.renewal
            if due and best.waiting and len(best.candidates) >= min(self.options.confirm, self.options.count):
                self._renewed[number] = time
                waiting += best.waiting
        encode(self._analyzer, waiting, self._thumbnail)

    def _finished(self, ended: Iterable[tuple[int, tuple[Sighting, ...], BestFaces]]) -> list[Track]:
        """Tracks with templates, all encoded together; one that goes over to another person becomes two."""
        ended = list(ended)
        encode(self._analyzer, [one for _, _, best in ended for one in best.waiting], self._thumbnail)
        tracks = []
        for number, path, best in ended:
            border = None if self._far is None else seam(best.encoded, self._far)
            if border is None:
                tracks.append(Track(number, path, best.encoded))
                continue
            place = sever(path, *border)
            first, second = (
                tuple(face for face in best.encoded if (face.time <= border[0]) is early) for early in (True, False)
            )
            tracks += [Track(number, path[:place], first), Track(self._tracker.take_number(), path[place:], second)]
        return tracks
