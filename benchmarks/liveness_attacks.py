"""Persons and attacks before a simulated camera, each made of one photo: printed, bent, swapped, replayed.

Heads and check share one assumption, that a nose stands before the plane of eyes and mouth: what is measured with these
is no certificate of anything (docs/liveness.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from liveness_faces import DISTANCE, FACE, HEIGHT, WIDTH, Floats, Image, Portrait, Pose, Shape, head, paper
from numpy.typing import NDArray

RATE = 10.0
"""Frames a second."""


def wander(random: np.random.Generator, size: float, seconds: float) -> Callable[[], float]:
    """A value that wanders about 0 (Ornstein-Uhlenbeck), a step a frame: its spread and the time it is remembered."""
    keep = math.exp(-1 / (RATE * seconds))
    value = random.normal(0, size)

    def step() -> float:
        nonlocal value
        value = keep * value + random.normal(0, size * math.sqrt(1 - keep**2))
        return float(value)

    return step


class Unrest:
    """Small movements: of a head that is held as still as people can, or of a hand.

    A standing person's head sways by millimetres within seconds; how much is an assumption here.
    """

    def __init__(self, random: np.random.Generator, shift: float = 0.03, angle: float = 1.0) -> None:
        self._steps = [wander(random, angle, 0.5) for _ in range(3)] + [wander(random, shift, 0.8) for _ in range(2)]
        self._near = wander(random, shift / 3, 1.0)

    def __call__(self) -> Pose:
        """Of the next frame."""
        yaw, pitch, roll, x, y = (step() for step in self._steps)
        return Pose(yaw, pitch, roll, x, y, math.exp(self._near()))


@dataclass
class Turning:
    """Turns on demand: a smooth way (least jerk) to the angle asked for, after a moment of reaction.

    Attributes:
        random: source of chance.
        reach: degrees of a turn, drawn between these.
        speed: mean degrees a second, drawn between these.
        reaction: seconds, drawn between these.
    """

    random: np.random.Generator
    reach: tuple[float, float] = (28.0, 45.0)
    speed: tuple[float, float] = (50.0, 90.0)
    reaction: tuple[float, float] = (0.3, 0.6)
    angle: float = 0.0
    _goal: float = 0.0
    _from: float = 0.0
    _start: float = -math.inf
    _lasts: float = 1.0
    _asked: float = 0.0
    _since: float = 0.0
    _pending: float | None = None

    def __call__(self, time: float, side: float) -> float:
        """The angle now, when asked for a side: 1 the picture's right, -1 its left, 0 straight ahead."""
        if side != self._asked:
            self._asked, self._since = side, time
            self._pending = side * self.random.uniform(*self.reach)
            self._start = time + self.random.uniform(*self.reaction)
        elif side and time - self._since > 1.6 and self._pending is None:  # still asked: a little further
            self._since, self._pending, self._start = time, 1.25 * self._goal, time
        if self._pending is not None and time >= self._start:
            self._from, self._goal, self._pending = self.angle, self._pending, None
            self._lasts = max(0.25, abs(self._goal - self._from) / self.random.uniform(*self.speed))
        if self._pending is None and self._start > -math.inf:
            share = min(1.0, (time - self._start) / self._lasts)
            self.angle = self._from + (self._goal - self._from) * (10 * share**3 - 15 * share**4 + 6 * share**5)
        return self.angle


@dataclass
class Camera:
    """Adds what a sensor and a stream add: wandering exposure, noise, for some JPEG.

    Attributes:
        random: source of chance.
        noise: grey levels.
        jpeg: quality; None for a stream without loss.
    """

    random: np.random.Generator
    noise: float = 2.0
    jpeg: int | None = None
    _bank: list[NDArray[np.int16]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._exposure = wander(self.random, 0.01, 1.0)
        shape = (HEIGHT + 64, WIDTH + 64, 3)
        self._bank = [np.rint(self.random.normal(0, self.noise, shape)).astype(np.int16) for _ in range(3)]

    def __call__(self, frame: Image, gain: float | Floats = 1.0) -> Image:
        """The frame as it comes from the stream; `gain` is a factor for all of it, or one a row, shape (HEIGHT, 1)."""
        down, right = self.random.integers(0, 64, 2)
        noise = self._bank[self.random.integers(len(self._bank))][down : down + HEIGHT, right : right + WIDTH]
        light = np.asarray(gain, np.float32) * np.float32(math.exp(self._exposure()))
        seen = frame * (light[..., None] if light.ndim else light) + noise
        out = np.asarray(np.clip(np.rint(seen), 0, 255), np.uint8)
        if self.jpeg is None:
            return out
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


Prompted = float
"""What is asked for now: 1 to turn to the picture's right, -1 to its left, 0 to look straight ahead."""

Presentation = Callable[[float, Prompted], Image]
"""The frame at a time, to whoever is asked something."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What one presentation needs.

    Attributes:
        portrait: of the person who is there, or is shown.
        scene: what is behind, RGB (HEIGHT, WIDTH, 3).
        random: source of chance.
    """

    portrait: Portrait
    scene: Image
    random: np.random.Generator

    def camera(self) -> Camera:
        """One of several kinds."""
        return Camera(self.random, self.random.uniform(1.2, 3.0), 85 if self.random.random() < 0.5 else None)


def _performance(stage: Stage, unrest: Unrest | None = None) -> Presentation:
    """A head that turns as it is asked, before any camera."""
    random = stage.random
    relief = head(stage.portrait, Shape.random(random))
    still = unrest or Unrest(random)
    turning = Turning(random)
    base = Pose(random.uniform(-4, 4), random.uniform(-8, 8), random.uniform(-4, 4), near=random.uniform(0.8, 1.2))
    nod, lean = random.uniform(-0.25, 0.25), random.uniform(-0.15, 0.15)

    def frame(time: float, asked: Prompted) -> Image:
        yaw = turning(time, asked)
        return relief.render(base + still() + Pose(yaw, nod * abs(yaw), lean * yaw), stage.scene)

    return frame


def person(stage: Stage) -> Presentation:
    """Bona fide: does as she is asked."""
    camera, show = stage.camera(), _performance(stage)
    return lambda time, asked: camera(show(time, asked))


def person_under_lamps(stage: Stage) -> Presentation:
    """Bona fide under lamps that flicker with the mains, before a camera that does nothing about it."""
    camera, show = stage.camera(), _performance(stage)
    gain = _flickering(stage.random)
    return lambda time, asked: camera(show(time, asked), gain(time))


def _print(stage: Stage, radius: float, move: Callable[[float, Prompted], Pose], unrest: Unrest | None) -> Presentation:
    camera, relief = stage.camera(), paper(stage.portrait, radius)
    base = Pose(near=stage.random.uniform(0.8, 1.2))

    def frame(time: float, asked: Prompted) -> Image:
        pose = base + move(time, asked) + (unrest() if unrest else Pose())
        return camera(relief.render(pose, stage.scene))

    return frame


def print_on_stand(stage: Stage) -> Presentation:
    """A print that nobody touches."""
    return _print(stage, math.inf, lambda _time, _asked: Pose(), None)


def print_in_hand(stage: Stage) -> Presentation:
    """A print held in the hand, moved a little in all ways."""
    loose = Unrest(stage.random, 0.15, 6.0)
    return _print(stage, math.inf, lambda _time, _asked: loose(), None)


def print_tilted(stage: Stage) -> Presentation:
    """A print turned about the upright axis as is asked, by up to 60 degrees."""
    turning = Turning(stage.random, (30, 60))
    return _print(stage, math.inf, lambda time, asked: Pose(turning(time, asked)), Unrest(stage.random))


def print_nodding(stage: Stage) -> Presentation:
    """A print tilted about the level axis when a turn is asked for."""
    turning = Turning(stage.random, (20, 50))
    return _print(stage, math.inf, lambda time, asked: Pose(0, turning(time, asked)), Unrest(stage.random))


def print_rotated(stage: Stage) -> Presentation:
    """A print turned in its plane when a turn is asked for."""
    turning = Turning(stage.random, (20, 50))
    return _print(stage, math.inf, lambda time, asked: Pose(roll=turning(time, asked)), Unrest(stage.random))


def print_nearer(stage: Stage) -> Presentation:
    """A print tilted, moved to the side and brought nearer as is asked: perspective at its most."""
    turning = Turning(stage.random, (30, 50))

    def moved(time: float, asked: Prompted) -> Pose:
        angle = turning(time, asked)
        return Pose(yaw=angle, x=angle / 60, near=1 + abs(angle) / 80)

    return _print(stage, math.inf, moved, Unrest(stage.random))


def print_bent(stage: Stage) -> Presentation:
    """A print bent about an upright axis and moved in the hand."""
    loose = Unrest(stage.random, 0.1, 5.0)
    return _print(stage, stage.random.uniform(0.65, 1.5), lambda _time, _asked: loose(), None)


def print_bent_turned(stage: Stage) -> Presentation:
    """A print bent about an upright axis and turned as is asked, as far as need be."""
    turning = Turning(stage.random, (35, 60))
    radius = stage.random.uniform(0.65, 1.5)
    return _print(stage, radius, lambda time, asked: Pose(turning(time, asked)), Unrest(stage.random))


def prints_swapped(stage: Stage) -> Presentation:
    """Prints of the person straight ahead and turned to either side, held up as is asked, one after the other.

    In half of the presentations the lens is covered meanwhile.
    """
    relief = head(stage.portrait, Shape.random(stage.random))
    angle = stage.random.uniform(26, 36)
    shown = {side: relief.render(Pose(yaw=side * angle), stage.scene) for side in (-1.0, 0.0, 1.0)}
    return _pictures(stage, shown, Unrest(stage.random), 0.4, stage.random.choice([0.0, 0.3]))


def _pictures(stage: Stage, shown: Mapping[float, Image], unrest: Unrest, delay: float, cover: float) -> Presentation:
    camera = stage.camera()
    now, since, waiting = 0.0, 0.0, 0.0

    def frame(time: float, asked: Prompted) -> Image:
        nonlocal now, since, waiting
        if asked != waiting:
            waiting, since = asked, time
        if time - since >= delay:
            if time - since < delay + cover:
                return camera(stage.scene)
            now = waiting
        return camera(_shown(shown[now], unrest(), stage.scene))

    return frame


def _shown(picture: Image, pose: Pose, scene: Image) -> Image:
    """A picture as large as a frame, on a screen or a sheet in this pose."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([WIDTH, HEIGHT]) / 2 / FACE * 0.95
    points = np.column_stack([corners, np.zeros(4)]) @ pose.rotation.T
    zoom = FACE * DISTANCE / (DISTANCE / pose.near - points[:, 2])
    target = np.column_stack([WIDTH / 2 + zoom * (points[:, 0] + pose.x), HEIGHT / 2 + zoom * (points[:, 1] + pose.y)])
    source = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    frame = scene.copy()
    cv2.warpPerspective(picture, matrix, (WIDTH, HEIGHT), frame, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return frame


def _blind(random: np.random.Generator) -> Callable[[float], Prompted]:
    """Somebody's own order of turns, as a recording has it: straight ahead between them."""
    times, sides, time = [], [], 0.0
    while time < 60:
        time += random.uniform(0.8, 1.6)
        times.append(time)
        sides.append(float(random.choice([-1, 1])))
        time += random.uniform(0.8, 1.2)
        times.append(time)
        sides.append(0.0)

    def asked(time: float) -> Prompted:
        at = int(np.searchsorted(times, time, side="right"))
        return sides[at - 1] if at else 0.0

    return asked


def _replay(
    stage: Stage,
    choose: Callable[[float, Prompted], Prompted],
    gain: Callable[[float], float | Floats] = lambda _time: 1.0,
    grid: Callable[[Image], Image] = lambda picture: picture,
) -> Presentation:
    """A recording on a screen held before the camera."""
    filmed, camera, hand = _performance(stage), stage.camera(), Unrest(stage.random, 0.02, 0.7)

    def frame(time: float, asked: Prompted) -> Image:
        picture = filmed(time, choose(time, asked))
        lit = np.asarray(np.clip(picture * _rows(gain(time)), 0, 255), np.uint8)
        return camera(grid(_shown(lit, hand(), stage.scene)))

    return frame


def _rows(gain: float | Floats) -> Floats:
    return np.asarray(gain, np.float64)[..., None] if np.ndim(gain) else np.asarray(gain, np.float64)


def replay(stage: Stage) -> Presentation:
    """A recording of the person turning, in an order of its own, on a screen without fault."""
    own = _blind(stage.random)
    return _replay(stage, lambda time, _asked: own(time))


def replay_chosen(stage: Stage) -> Presentation:
    """Recordings of both turns, started by somebody who reads what is asked; a screen without fault."""
    return _replay(stage, lambda _time, asked: asked)


def replay_flicker(stage: Stage) -> Presentation:
    """A recording on a screen that is dimmed by pulses, seen through a rolling shutter."""
    own = _blind(stage.random)
    return _replay(stage, lambda time, _asked: own(time), _flickering(stage.random))


def _flickering(random: np.random.Generator) -> Callable[[float], Floats]:
    """Bands of light as a rolling shutter sees a light that pulses, a factor a row, shape (HEIGHT, 1)."""
    depth = random.uniform(0.01, 0.08)
    bands = random.uniform(0.5, 4.0)
    drift = random.uniform(1.5, 5.0) * random.choice([-1, 1])
    rows = np.linspace(0, 1, HEIGHT)[:, None]
    return lambda time: np.asarray(1 + depth * np.sin(2 * math.pi * (bands * rows + drift * time)), np.float64)


def replay_moire(stage: Stage) -> Presentation:
    """A recording on a screen whose pixels beat with the camera's."""
    own, random = _blind(stage.random), stage.random
    pitch = random.uniform(0.7, 1.5)
    angle = math.radians(random.uniform(-8, 8))
    tremble = [wander(random, 0.003, 0.5), wander(random, 0.003, 0.5)]
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))

    def grid(picture: Image) -> Image:
        scale, turn = pitch * math.exp(tremble[0]()), angle + tremble[1]()
        along = (x * math.cos(turn) + y * math.sin(turn)) / scale
        down = (y * math.cos(turn) - x * math.sin(turn)) / scale
        contrast = 0.6 * np.sinc(1 / scale) * math.exp(-2 * (math.pi * 0.4 / scale) ** 2)
        phases = np.array([0, 2 * math.pi / 3, 4 * math.pi / 3], np.float32)
        wave = 1 + contrast * np.cos(2 * math.pi * along[..., None] + phases)
        wave *= (1 + contrast * np.cos(2 * math.pi * down))[..., None]
        return np.asarray(np.clip(picture * wave, 0, 255), np.uint8)

    return _replay(stage, lambda time, _asked: own(time), grid=grid)


def stream_frozen(stage: Stage) -> Presentation:
    """A stream that stays at one frame of the person."""
    show = person(stage)
    frame = show(0.0, 0.0)
    return lambda _time, _asked: frame


def stream_looped(stage: Stage) -> Presentation:
    """A stream of the person that comes again and again after two seconds."""
    show, own = person(stage), _blind(stage.random)
    frames = [show(number / RATE, own(number / RATE)) for number in range(round(2 * RATE))]
    return lambda time, _asked: frames[round(time * RATE) % len(frames)]


BONA_FIDE: Mapping[str, Callable[[Stage], Presentation]] = {
    "person": person,
    "person, lamps flicker": person_under_lamps,
}

ATTACKS: Mapping[str, Callable[[Stage], Presentation]] = {
    "print on a stand": print_on_stand,
    "print moved in the hand": print_in_hand,
    "print tilted as asked": print_tilted,
    "print nodding": print_nodding,
    "print rotated in plane": print_rotated,
    "print tilted, brought nearer": print_nearer,
    "print bent, moved": print_bent,
    "print bent, turned as asked": print_bent_turned,
    "prints swapped as asked": prints_swapped,
    "replay": replay,
    "replay, right film chosen": replay_chosen,
    "replay, flicker": replay_flicker,
    "replay, moire": replay_moire,
    "stream frozen": stream_frozen,
    "stream looped": stream_looped,
}
"""Kinds of attack (PAI species, ISO/IEC 30107-3) by name."""
