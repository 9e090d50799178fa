"""A stage for tests of tracks: actors move as told, every frame is numbered, and who is where is known.

A frame's picture holds its number in its first pixel and the shot's scenery in the others; the analyzer looks up what
happens then. An actor is a letter, and every letter looks its own way, a little otherwise in every frame.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from gallery_album import DIMENSION, POINTS, Encoder, Finder, point

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule
from twinface.core.similarity import normalise
from twinface.core.types import Analysis, Box, Face, Landmarks, Quality, Seconds, Template
from twinface.core.video import Track, TrackFace, VideoFrame
from twinface.services.best_frames import CLOSE, SHARP

FIT = Quality(eye_distance=CLOSE, sharpness=SHARP, brightness=120, contrast=50, yaw=0, roll=0)
SIZE = 100.0
Moment = float


@dataclass(frozen=True)
class Actor:
    """Somebody on the stage.

    Attributes:
        letter: who.
        at: middle of her face at a time, pixels; None where she is not seen.
        sharp: how good her face is at a time, (0, 1]; negative: blurred, so not fit.
        looks: as whom she appears at a time; None for herself always.
        size: of her face at a time, pixels.
    """

    letter: str
    at: Callable[[Moment], tuple[float, float] | None]
    sharp: Callable[[Moment], float] = lambda time: 1.0
    looks: Callable[[Moment], str] | None = None
    size: Callable[[Moment], float] = lambda time: SIZE


class Stage:
    """An analyzer that knows the play, and the frames of it.

    Args:
        actors: who plays.
        times: of the frames, seconds.
        cuts: times from which on the scenery is another.
        noise: how much a face differs from frame to frame; distances of one actor's are about 1.4 times that.
        jitter: how far boxes are off, in pixels.
    """

    detector = Finder()

    def __init__(
        self,
        actors: Sequence[Actor],
        times: Sequence[float],
        *,
        cuts: Sequence[float] = (),
        noise: float = 0.2,
        jitter: float = 1.0,
    ) -> None:
        self.encoder = Encoder()
        self.identity = "stage"
        self.times = list(times)
        self.batches: list[int] = []
        self.located = 0
        self.most_faces = 0
        self._actors = actors
        self._cuts = cuts
        self._noise = noise
        self._jitter = jitter
        self._faces: weakref.WeakSet[Face] = weakref.WeakSet()

    def frames(self, start: float = -1.0) -> Iterator[VideoFrame]:
        for number, time in enumerate(self.times):
            if time > start:
                yield VideoFrame(self._picture(number, time), time, number, time)

    def _picture(self, number: int, time: float) -> np.ndarray:
        shot = sum(time >= cut for cut in self._cuts)
        scenery = np.random.default_rng(shot).integers(0, 256, (9, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
        picture = np.ascontiguousarray(scenery)
        picture[0, 0] = number // 65536, number // 256 % 256, number % 256
        return picture

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, np.ndarray)
        high, middle, low = source[0, 0].tolist()
        number = high * 65536 + middle * 256 + low
        self.located += 1
        faces = [face for actor in self._actors if (face := self._face(actor, number)) is not None]
        analysis = Analysis("<array>", source, tuple(faces), (), Seconds(0, 0, 0, 0))
        self._faces.update(faces)
        self.most_faces = max(self.most_faces, len(self._faces))
        return analysis

    def _face(self, actor: Actor, number: int) -> Face | None:
        time = self.times[number]
        middle = actor.at(time)
        if middle is None:
            return None
        random = np.random.default_rng([ord(actor.letter), number])
        x, y, size = *(np.array(middle) + random.normal(0, self._jitter, 2)), actor.size(time)
        sharp = actor.sharp(time)
        quality = replace(FIT, sharpness=SHARP * abs(sharp), reasons=("blurred",) if sharp < 0 else ())
        crop = np.zeros((2, 2, 3), np.uint8)
        crop[0, 0] = ord(actor.looks(time) if actor.looks else actor.letter), number // 256, number % 256
        box = Box(float(x - size / 2), float(y - size / 2), size, size)
        return Face(box, Landmarks(POINTS), 0.9, quality, crop)

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        self.batches.append(len(faces))
        return tuple(replace(face, template=self._template(face)) for face in faces)

    def _template(self, face: Face) -> Template:
        letter, *number = face.crop[0, 0].tolist()
        return Template(look(chr(letter), [letter, *number], self._noise), self.encoder.identity)


def look(letter: str, seed: Sequence[int] = (), noise: float = 0.0) -> np.ndarray:
    """The template of a letter, float32 (DIMENSION,); with noise for a seed."""
    own = normalise(Encoder().direction(letter))
    return normalise(own + noise * normalise(np.random.default_rng(list(seed)).normal(size=DIMENSION)))


def stage_rule() -> DecisionRule:
    model = Encoder().identity
    points = (point(1e-1, 0.9, model), point(1e-2, 0.8, model), point(1e-4, 0.6, model))
    return DecisionRule(model, LogisticCurve(-20.0, 15.0, 1e-4), points, 1e-2)


def steps(end: float, rate: float = 5.0, start: float = 0.0) -> list[float]:
    """Times of frames."""
    return [start + number / rate for number in range(round((end - start) * rate))]


def still(x: float, y: float = 300.0) -> Callable[[Moment], tuple[float, float] | None]:
    return lambda time: (x, y)


def during(
    at: Callable[[Moment], tuple[float, float] | None], *spans: tuple[float, float]
) -> Callable[[Moment], tuple[float, float] | None]:
    """Seen from the start of a span until before its end."""
    return lambda time: at(time) if any(start <= time < end for start, end in spans) else None


def who(face: TrackFace) -> str:
    """The letter that a face is nearest to."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    return min(letters, key=lambda letter: float(np.linalg.norm(look(letter) - face.vector)))


def told(tracks: Sequence[Track]) -> list[tuple[str, float, float]]:
    """Who is seen from when to when, by start; letters of all that a track's faces show."""
    rows = [("".join(sorted({who(face) for face in track.faces})), track.start, track.end) for track in tracks]
    return sorted((letters, round(start, 6), round(end, 6)) for letters, start, end in rows)
