"""Gathers what the camera shows after somebody asked for a place: who is there, how surely, and whether alive.

Only frames count that came after the request and were fresh when they were looked at, so that nobody is let in on a
picture from before. Nothing here decides: see `core.access.ruling`.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from twinface.core.access.evidence import Evidence, Reason, SeenPerson
from twinface.core.access.policy import Place
from twinface.core.liveness.challenge import ChallengeWatch
from twinface.core.types import DOUBTFUL, Face, Image
from twinface.core.video import TrackFace, VideoFrame
from twinface.services.access_aliveness import Aliveness, Liveness
from twinface.services.access_naming import name_faces
from twinface.services.access_seeing import Seeing
from twinface.services.glance import Glance
from twinface.services.tracks import RunningTrack, TrackBuilder, TrackOptions

SPACING = 0.1
"""Seconds between two faces that count as two frames of a person."""

REPEATED = 3
"""One frame in so many, at least, has to differ from all others, pixel by pixel: a sensor has noise."""

SPREAD, KEPT = 0.25, 32
"""Where liveness is asked for: a face in so many seconds is looked at, and so many at most, so that whoever is named is
whoever is alive, from beginning to end."""

LINGER = 0.35
"""Seconds that somebody counts as there whom the detector has missed."""


@dataclass(eq=False)
class _Tally:
    """What is counted over the frames of an attempt."""

    frames: int = 0
    late: int = 0
    most: int = 0
    pictures: set[bytes] = field(default_factory=set)
    shortcomings: Counter[str] = field(default_factory=Counter)


class Attempt:
    """Looks at the frames that follow a request.

    Args:
        place: what is asked of whom.
        seeing: what to look with.
        started: when it began, on the clock by which frames say when they arrived.
    """

    def __init__(self, place: Place, seeing: Seeing, started: float) -> None:
        self.place = place
        self.started = started
        self._seeing = seeing
        self._glance = Glance(seeing.analyzer)
        watched = place.liveness != "none"
        count, spacing = (max(KEPT, place.agree[1]), SPREAD) if watched else (place.agree[1], SPACING)
        self._builder = TrackBuilder(
            self._glance,
            TrackOptions(count=count, spacing=spacing, confirm=place.agree[0], live=True, renewal=2 * SPACING),
            rule=seeing.rule,
            thumbnail=seeing.thumbnail,
        )
        self._challenge = seeing.challenge() if place.liveness == "challenge" else None
        self._challenged: int | None = None
        self._begun: float | None = None
        self._here: dict[int, float] = {}
        self._living: dict[int, Aliveness] = {}
        self._tally = _Tally()
        self._newest = -math.inf
        self._taken: datetime | None = None

    @property
    def deadline(self) -> float:
        """When it has to be decided at the latest: the place's patience, and what a check of liveness takes."""
        if self._begun is None or self.place.liveness == "none":
            return self.started + self.place.patience
        takes = self._seeing.passive_seconds if self._challenge is None else self._challenge.seconds
        return self._begun + takes + self.place.patience

    @property
    def prompt(self) -> str:
        """What the person is asked to do; "" for nothing."""
        if self._challenge is None:
            return ""
        return "look into the camera" if self._challenged is None else self._living[self._challenged].prompt

    def feed(self, frame: VideoFrame, now: float, taken: datetime) -> None:
        """Takes a frame, if it is one that counts.

        Args:
            frame: a frame; those from before the request, too old ones and those not later than the one before do not
                count.
            now: the time, on the clock of `started`.
            taken: the same as a time of day.

        Raises:
            TwinFaceError: a model or the gallery failed.
        """
        if frame.arrived < self.started or not frame.time > self._builder.time:
            return
        if not now - frame.arrived <= self.place.freshness:
            self._tally.late += 1
            return
        self._builder.feed(frame)
        self._newest, self._taken = frame.arrived, taken
        self._tally.frames += 1
        self._tally.pictures.add(hashlib.blake2b(frame.image[::2, ::2].tobytes(), digest_size=16).digest())
        faces = self._inside(frame.image)
        self._tally.most = max(self._tally.most, len(faces))
        for face in faces:
            self._tally.shortcomings.update(face.quality.reasons)
        owners = {track.last.box: track.number for track in self._builder.running if track.seen == frame.time}
        shown = {owners[face.box]: face for face in faces if face.box in owners}
        self._here |= dict.fromkeys(shown, frame.time)
        if self.place.liveness != "none":
            self._watch(frame, shown)

    def ready(self) -> bool:
        """Whether more frames would tell no more of whom one sees."""
        tracks = self._tracks()
        return bool(tracks) and all(self._told(track) for track in tracks)

    def evidence(self, now: float) -> Evidence:
        """What is known now.

        Raises:
            TwinFaceError: the gallery cannot be asked.
        """
        tracks = self._tracks()
        age = now - self._newest
        liveness, against = _joined([self._liveness(track) for track in tracks])
        named, strangers, doubt = self._named(tracks)
        frozen = self._tally.frames >= REPEATED * max(1, len(self._tally.pictures))
        faults = []
        if self._tally.frames == 0:
            faults.append(Reason.picture_stale if self._tally.late else Reason.camera_lost)
        elif not age <= self.place.freshness:
            faults.append(Reason.picture_stale)
        if frozen:
            faults.append(Reason.picture_frozen)
        return Evidence(
            taken=self._taken,
            age=age,
            faces=self._tally.most,
            people=tuple(named),
            strangers=strangers,
            shortcoming=doubt or self._shortcoming(tracks),
            fmr=self.place.fmr,
            liveness=liveness,
            liveness_reason=against,
            faults=tuple(faults),
        )

    def thumbnail(self) -> bytes:
        """A JPEG of the best face seen; empty where there is none."""
        faces = [face for track in self._tracks() for face in track.faces]
        return faces[0].thumbnail if faces else b""

    @property
    def measures(self) -> dict[str, float]:
        """What liveness rests on, of all faces, for the log."""
        found: dict[str, float] = {}
        for one in self._living.values():
            found |= one.measures
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _inside(self, image: Image) -> list[Face]:
        """The faces in the zone, without doubtful ones."""
        best = max((face.score for face in self._glance.faces), default=0.0)
        height, width = image.shape[:2]
        left, top, right, bottom = np.array(self._seeing.zone) * (width, height, width, height)
        return [
            face
            for face in self._glance.faces
            if face.score >= DOUBTFUL * best
            and left <= face.box.x + face.box.width / 2 <= right
            and top <= face.box.y + face.box.height / 2 <= bottom
        ]

    def _watch(self, frame: VideoFrame, shown: Mapping[int, Face]) -> None:
        """Gives faces, by number of their track, to those who tell whether they live."""
        fit = {number for number, face in shown.items() if face.quality.usable}
        if self._begun is None and fit:
            self._begun = frame.arrived
        if self._challenge is not None and self._challenged is None and fit:
            self._challenged = max(fit, key=lambda number: shown[number].box.area)
            watch = ChallengeWatch(self._challenge, frame.time)
            self._living[self._challenged] = Aliveness(self._seeing.passive, watch, frame.time)
        for number, face in shown.items():
            if number not in self._living and number in fit:
                self._living[number] = Aliveness(self._seeing.passive, None, frame.time)
            if (one := self._living.get(number)) is not None:
                one.feed(frame, face)
        if self._challenged is not None and self._challenged not in shown:
            self._living[self._challenged].miss(frame.time)

    def _tracks(self) -> list[RunningTrack]:
        """The people in the zone as of the last frame."""
        since = self._builder.time - LINGER
        return [track for track in self._builder.running if self._here.get(track.number, -math.inf) >= since]

    def _told(self, track: RunningTrack) -> bool:
        """Whether more frames of a track would tell no more."""
        one = self._living.get(track.number)
        enough = (one is not None and one.over) or len(track.faces) >= self.place.agree[1]
        return enough and self._liveness(track)[0] != "unknown"

    def _faces(self, track: RunningTrack) -> list[TrackFace]:
        """The faces that tell who it is: those up to the end of a challenge, as the head that turned was theirs."""
        one = self._living.get(track.number)
        return [face for face in track.faces if one is None or one.since <= face.time <= one.until]

    def _liveness(self, track: RunningTrack) -> tuple[Liveness, Reason | None]:
        """Whether a face is alive, as far as the place asks, and what speaks against it."""
        if self.place.liveness == "none":
            return "none", None
        one = self._living.get(track.number)
        if one is None:
            return "unknown", None
        return one.told()

    def _named(self, tracks: Sequence[RunningTrack]) -> tuple[list[SeenPerson], int, str]:
        """Whom the gallery knows of them, how many it does not, and why somebody is in doubt."""
        named: list[SeenPerson] = []
        strangers, doubts = 0, []
        for track in tracks:
            faces = self._faces(track)
            if not faces:
                continue
            naming = name_faces(faces, self._seeing.store, self._seeing.rule, self.place.fmr, self.place.agree[1])
            if naming.person is None:
                strangers += 1
            else:
                named.append(naming.person)
            doubts.append(naming.doubt)
        return named, strangers, next(filter(None, doubts), "")

    def _shortcoming(self, tracks: Sequence[RunningTrack]) -> str:
        """Why there are too few faces to tell; "" where there are enough."""
        if all(len(self._faces(track)) >= self.place.agree[0] for track in tracks):
            return ""
        common = self._tally.shortcomings.most_common(1)
        return common[0][0] if common else "too few frames"


def _joined(found: Sequence[tuple[Liveness, Reason | None]]) -> tuple[Liveness, Reason | None]:
    """That of several people: the worst."""
    worst: Sequence[Liveness] = ("failed", "unknown", "none", "passive", "challenge")
    return min(found, key=lambda one: worst.index(one[0]), default=("unknown", None))
