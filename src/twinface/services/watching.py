"""Watches frames as they come and tells of events: somebody known appeared or left, a stranger is there.

Nobody is announced for one bad frame: a track needs several faces before anybody is asked who it is, and is asked anew
whenever it has others, and every second, so that a gallery that changes takes effect. Two tracks of a person are one
presence. What is too old says nothing of now, so a late frame of a live source is passed over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from twinface.core.identification import Candidate
from twinface.core.types import Box
from twinface.core.video import Track, TrackFace, VideoFrame
from twinface.errors import GalleryLocked
from twinface.services.tracks import RunningTrack, TrackBuilder

Kind = Literal["appeared", "left", "unknown"]

Namer = Callable[[Track | RunningTrack], Candidate | None]
"""Who a track shows; None for a stranger, and where too little is known."""

STALE = 1.0
"""Seconds from which on a frame of a live source is too old."""

MISSED = 2
"""Searches that may miss a face which is followed all the same, before it counts as out of sight."""

NAMING = 1.0
"""Seconds that pass until somebody who is back is named: so much longer than the cooldown she is remembered."""

MOMENT = 1e-6
"""Seconds by which a frame's time may be off for its rounding."""


@dataclass(frozen=True)
class WatchOptions:
    """When something is worth telling.

    Attributes:
        confirm: faces of a track before anybody is asked who it is.
        stranger: faces of a track that stays unnamed before it is told as unknown; never fewer than `confirm`.
        absence: seconds unseen after which somebody has left.
        cooldown: seconds somebody must have been away to be announced again; who is back earlier comes and goes untold.
        renewal: seconds after which a track is asked again, though it has no other faces.
        rate: frames a second that are searched, at most.
        stale: seconds from which on a frame is too old; None where all count, as those of a file.
    """

    confirm: int = 2
    stranger: int = 3
    absence: float = 2.0
    cooldown: float = 10.0
    renewal: float = 1.0
    rate: float = 10.0
    stale: float | None = STALE

    def __post_init__(self) -> None:
        if self.confirm < 1 or self.stranger < 1:
            raise ValueError(f"watching: confirm and stranger must be positive, got {self.confirm}, {self.stranger}")
        times = (self.absence, self.cooldown, self.renewal, 0.0 if self.stale is None else self.stale)
        if not all(math.isfinite(one) and one >= 0 for one in times):
            raise ValueError(f"watching: times must be finite and not negative, got {times}")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"watching: rate must be positive and finite, got {self.rate}")


@dataclass(frozen=True, eq=False)
class WatchEvent:
    """Something worth telling.

    Attributes:
        kind: what.
        time: of the frame by which it was known, seconds.
        clock: when it was known, with a time zone.
        track: number of the track that showed it.
        candidate: who, as last known; None for a stranger. Who was removed from the gallery meanwhile has left with an
            empty name.
        box: where, pixels; of who left, where she was last seen.
        first: when this presence, or the stranger's track, was first seen, seconds.
        last: when it was last seen, seconds.
        thumbnail: a JPEG of the face; empty where none was wanted.
    """

    kind: Kind
    time: float
    clock: datetime
    track: int
    candidate: Candidate | None
    box: Box
    first: float
    last: float
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Seen:
    """A face that is to be seen now.

    Attributes:
        track: its number.
        box: pixels.
        candidate: who; None where nobody was named.
        stranger: whether it was told as unknown.
    """

    track: int
    box: Box
    candidate: Candidate | None
    stranger: bool


@dataclass
class _Asked:
    """What is known of a running track."""

    faces: tuple[TrackFace, ...] = ()
    time: float = -math.inf
    candidate: Candidate | None = None
    stranger: bool = False
    doubted: bool = False
    """Whether it was somebody's a while ago whom the gallery still knows."""


@dataclass
class _Presence:
    """Somebody who is here, or was a moment ago."""

    candidate: Candidate
    track: int
    box: Box
    first: float
    last: float
    told: bool
    here: bool = True


@dataclass(frozen=True, eq=False)
class _Sight:
    """A track, running or ended, as of one frame."""

    track: Track | RunningTrack
    start: float
    seen: float
    box: Box

    @classmethod
    def of(cls, track: Track | RunningTrack) -> _Sight:
        if isinstance(track, RunningTrack):
            return cls(track, track.start, track.seen, track.last.box)
        return cls(track, track.start, track.end, track.sightings[-1].box)


class Watcher:
    """Makes events of frames.

    Args:
        builder: follows the faces; it must be `live`.
        name: who a track shows; where it raises GalleryLocked, what was known holds on.
        options: when something is worth telling.
        known: whether the subject of a uid is still to be named at all, asked when a track loses its name; None:
            always.
        now: the clock by which frames say when they arrived.
        clock: the time of day, with a time zone.
    """

    def __init__(
        self,
        builder: TrackBuilder,
        name: Namer,
        options: WatchOptions | None = None,
        *,
        known: Callable[[str], bool] | None = None,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        if not builder.options.live:
            raise ValueError("watching: the builder must be live, else running tracks have no faces")
        self.options = options or WatchOptions()
        self.searched = 0
        """Frames searched for faces."""
        self.passed_over = 0
        """Frames that were too old."""
        self._builder = builder
        self._name = name
        self._known = known
        self._now = now
        self._clock = clock
        self._asked: dict[int, _Asked] = {}
        self._present: dict[str, _Presence] = {}
        self._due = -math.inf

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The faces that the last frame shows, by number of their track."""
        now, step = self._builder.time, 1 / self.options.rate
        tracks = [
            track
            for track in self._builder.running
            if track.last.time >= now - 1.5 * step and track.seen >= now - (MISSED + 0.5) * step
        ]
        asked = [self._asked.get(track.number) or _Asked() for track in tracks]
        return tuple(
            Seen(track.number, track.last.box, one.candidate, one.stranger)
            for track, one in zip(tracks, asked, strict=True)
        )

    def feed(self, frame: VideoFrame) -> list[WatchEvent]:
        """Takes a frame: it is searched if it is time for that, else faces are followed into it, and nothing is told.

        Frames that are too old, or not later than the one before, are passed over.

        Raises:
            TwinFaceError: as `name` does, but for GalleryLocked.
            ImageError: the frame is of a kind or size that is not read.
        """
        if self.options.stale is not None and self._now() - frame.arrived > self.options.stale:
            self.passed_over += 1
            return []
        if not frame.time > self._builder.time:
            return []
        if frame.time < self._due - MOMENT:
            self._builder.follow(frame)
            return []
        step = 1 / self.options.rate
        self._due = max(self._due, frame.time - step) + step
        ended = self._builder.feed(frame)
        self.searched += 1
        return self._decide(frame.time, [*ended, *self._builder.running])

    def finish(self) -> list[WatchEvent]:
        """Ends the tracks that run, at the end of a file; who is there then has not left."""
        return self._decide(self._builder.time, self._builder.finish())

    def _decide(self, time: float, tracks: Sequence[Track | RunningTrack]) -> list[WatchEvent]:
        events = [event for track in tracks for event in self._judge(time, _Sight.of(track))]
        running = {track.number for track in self._builder.running}
        self._asked = {number: one for number, one in self._asked.items() if number in running}
        for one in self._present.values():
            if one.here and time - one.last >= self.options.absence:
                one.here = False
                if one.told:
                    events.append(self._left(time, one, one.candidate))
        forgotten = max(self.options.absence, self.options.cooldown) + NAMING
        self._present = {uid: one for uid, one in self._present.items() if one.here or time - one.last <= forgotten}
        return events

    def _judge(self, time: float, sight: _Sight) -> list[WatchEvent]:
        """Asks who a track shows, if there is reason to, and tells what follows from it."""
        faces = sight.track.faces
        asked = self._asked.setdefault(sight.track.number, _Asked())
        events: list[WatchEvent] = []
        if len(faces) >= self.options.confirm and self._changed(time, faces, asked):
            before = asked.candidate
            asked.faces, asked.time, asked.candidate = faces, time, self._answer(sight.track, before)
            if before is not None and (asked.candidate is None or asked.candidate.uid != before.uid):
                asked.doubted = self._still_known(before.uid)
                if not asked.doubted:
                    events += self._forget(time, before)
        if asked.candidate is not None:
            return events + self._sighted(time, sight, asked.candidate)
        enough = len(faces) >= max(self.options.confirm, self.options.stranger)
        if enough and not (asked.stranger or asked.doubted):
            asked.stranger = True
            events.append(self._event("unknown", time, sight, None, sight.start))
        return events

    def _changed(self, time: float, faces: tuple[TrackFace, ...], asked: _Asked) -> bool:
        return faces is not asked.faces or time - asked.time >= self.options.renewal - MOMENT

    def _answer(self, track: Track | RunningTrack, before: Candidate | None) -> Candidate | None:
        """Who a track shows; as before, while others hold the gallery for too long."""
        try:
            return self._name(track)
        except GalleryLocked:
            return before

    def _still_known(self, uid: str) -> bool:
        try:
            return self._known is None or self._known(uid)
        except GalleryLocked:
            return True

    def _forget(self, time: float, gone: Candidate) -> list[WatchEvent]:
        """Somebody is not in the gallery any more: her presence ends, and she is not spoken of again."""
        one = self._present.pop(gone.uid, None)
        nameless = Candidate("", gone.uid, gone.distance, gone.probability)
        return [self._left(time, one, nameless)] if one is not None and one.here and one.told else []

    def _sighted(self, time: float, sight: _Sight, candidate: Candidate) -> list[WatchEvent]:
        """Somebody is seen: a new presence, or one that goes on."""
        one = self._present.get(candidate.uid)
        away = math.inf if one is None else max(0.0, sight.start - one.last)
        if one is None or (not one.here and away >= self.options.cooldown):
            self._present[candidate.uid] = _Presence(
                candidate, sight.track.number, sight.box, sight.start, sight.seen, told=True
            )
            return [self._event("appeared", time, sight, candidate, sight.start)]
        if not one.here and sight.seen > one.last:
            one.here, one.told, one.first = True, False, max(sight.start, one.last)
        one.candidate = candidate
        if sight.seen >= one.last:
            one.track, one.box, one.last = sight.track.number, sight.box, sight.seen
        return []

    def _event(self, kind: Kind, time: float, sight: _Sight, candidate: Candidate | None, first: float) -> WatchEvent:
        number, faces = sight.track.number, sight.track.faces
        return WatchEvent(
            kind, time, self._clock(), number, candidate, sight.box, first, sight.seen, faces[0].thumbnail
        )

    def _left(self, time: float, one: _Presence, candidate: Candidate) -> WatchEvent:
        return WatchEvent("left", time, self._clock(), one.track, candidate, one.box, one.first, one.last)
