"""A challenge: turn your head as asked, in an order nobody can foresee; verified from five landmarks.

Directions are the person's own: her left is the picture's right. The camera's picture must not be mirrored.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twinface.core.liveness.limits import LIMITS, ChallengeLimits
from twinface.core.liveness.parallax import AVERAGE, PLANE, Points, as_points, depth, face_width, move, together
from twinface.core.types import Box

Turn = Literal["left", "right"]
State = Literal["running", "passed", "failed"]
_Step = Literal["settle", "wait", "turn", "return"]

SIGN: Mapping[Turn, float] = {"left": 1.0, "right": -1.0}
"""Where the nose goes in the picture, by the person's own direction."""

PAUSES = (0.3, 0.9)
"""Seconds of looking straight ahead before a turn is asked for: between these, drawn anew for each."""


@dataclass(frozen=True)
class Challenge:
    """What somebody is asked to do.

    Attributes:
        turns: in this order, each begun and ended looking straight ahead; as the person sees it.
        seconds: she has in all.
        pauses: seconds she looks straight ahead before each turn is asked for; the shortest ones when left out.
    """

    turns: tuple[Turn, ...]
    seconds: float
    pauses: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.turns or any(turn not in SIGN for turn in self.turns):
            raise ValueError(f'challenge: turns must be "left" or "right", at least one, got {self.turns}')
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"challenge: seconds must be positive and finite, got {self.seconds}")
        if not self.pauses:
            object.__setattr__(self, "pauses", (PAUSES[0],) * len(self.turns))
        if len(self.pauses) != len(self.turns) or not all(math.isfinite(one) and one >= 0 for one in self.pauses):
            raise ValueError(f"challenge: expected {len(self.turns)} pauses, none negative, got {self.pauses}")

    @classmethod
    def random(cls, choice: random.Random, turns: int = 2, seconds: float = 8.0) -> Challenge:
        """One of 2 ** turns orders, all as likely, and pauses of random length.

        Args:
            choice: the source of chance; `random.SystemRandom()` where it must not be foreseen.
            turns: how many.
            seconds: for all of it.
        """
        sides: tuple[Turn, ...] = ("left", "right")
        order = tuple(choice.choice(sides) for _ in range(turns))
        return cls(order, seconds, tuple(choice.uniform(*PAUSES) for _ in order))

    @property
    def orders(self) -> int:
        """How many distinct orders of turns there are: a recording meets one of them by chance."""
        return 1 << len(self.turns)


class ChallengeWatch:
    """Follows one face through a challenge.

    Args:
        challenge: what is asked.
        started: when, seconds on the frames' clock.
        limits: when a head has turned, and when it is one.
    """

    def __init__(self, challenge: Challenge, started: float, limits: ChallengeLimits = LIMITS) -> None:
        self.challenge = challenge
        self.state: State = "running"
        self.reason = ""
        """Why it failed, in words; empty while it runs and when it passed."""
        self._limits = limits
        self._started = started
        self._time = started
        self._seen = started
        self._step: _Step = "settle"
        self._turn = 0
        self._since = math.inf
        """When the head began to look straight ahead; in the step "turn", when it was asked for."""
        self._fronts: list[Points] = []
        self._reference: Points | None = None
        self._last: tuple[float, Points, float] | None = None
        self._views: list[Points] = []
        self._peaks: list[float] = []

    @property
    def prompt(self) -> str:
        """What the person should do now, in words."""
        if self.state != "running":
            return "Thank you." if self.state == "passed" else self.reason
        if self._step == "turn":
            return f"Turn your head slowly to the {self.challenge.turns[self._turn]}."
        return "Look straight at the camera."

    @property
    def asked(self) -> Turn | None:
        """The turn that is asked for now; None while the person is to look straight ahead, and at the end."""
        if self.state == "running" and self._step == "turn":
            return self.challenge.turns[self._turn]
        return None

    @property
    def measures(self) -> Mapping[str, float]:
        """What was measured: seconds, turns done, the smallest turn in degrees, depth of the nose in face widths."""
        k, error = self._depth()
        found = {"seconds": self._time - self._started, "turns": float(self._turn), "frames": float(len(self._views))}
        if self._peaks:
            found["angle"] = min(self._peaks)
        if k > 0 and math.isfinite(error):
            found["depth"] = k**-0.5
            found["depth_error"] = error * k**-1.5 / 2
        return found

    def feed(self, time: float, landmarks: ArrayLike, box: Box) -> None:
        """Takes the face of one frame.

        Args:
            time: of the frame, seconds; frames that are not later than the one before are passed over.
            landmarks: shape (5, 2), pixels of an unmirrored picture.
            box: of the face, pixels; the landmarks tell more than it, so far nothing hangs on it.

        Raises:
            ValueError: landmarks of another shape, or not finite.
        """
        points = as_points(landmarks)
        if not self._goes_on(time):
            return
        del box
        try:
            self._follow(time, points)
        except ValueError:  # landmarks that span no plane are no face
            return
        self._seen = time

    def lost(self, time: float) -> None:
        """Takes a frame without the face."""
        self._goes_on(time)

    def _goes_on(self, time: float) -> bool:
        """Whether the challenge runs at this time; it may have run out, or the face been away for too long."""
        if self.state != "running" or not time > self._time:
            return False
        self._time = time
        if time - self._started > self.challenge.seconds:
            self._fail(f"time ran out: {self._turn} of {len(self.challenge.turns)} turns done")
        elif self._reference is not None and time - self._seen > self._limits.gap:
            self._fail("the face was out of sight")
        return self.state == "running"

    def _fail(self, reason: str) -> None:
        self.state, self.reason = "failed", reason

    def _follow(self, time: float, points: Points) -> None:
        if self._reference is None:
            self._settle(time, points)
            return
        yaw = move(self._reference, points).yaw
        if self._jumped(time, points):
            self._fail("the face jumped from one place or size to another")
            return
        followed = self._followed_from(time, yaw)
        self._last = (time, points, yaw)
        self._views.append(points)
        if abs(yaw) <= self._limits.front / 2:
            self._fronts.append(points)
        if not followed:
            self._again(time)
        elif self._step == "wait":
            self._wait(time, yaw)
        elif self._step == "turn":
            self._turning(time, yaw)
        else:
            self._back(time, yaw)

    def _settle(self, time: float, points: Points) -> None:
        """Gathers the reference: a few frames in a row looking straight ahead, with no jump between them."""
        aside = abs(move(AVERAGE, points).yaw)
        moved = abs(move(self._fronts[0], points).yaw) if self._fronts else 0.0
        if moved > self._limits.front / 2 or self._jumped(time, points):
            self._fronts.clear()
        self._last = (time, points, 0.0)
        if aside > self._limits.aside:
            self._fronts.clear()
            return
        self._fronts.append(points)
        if len(self._fronts) >= self._limits.settle:
            self._reference = together(self._fronts)
            self._step, self._since = "wait", time

    def _again(self, time: float) -> None:
        """A turn that was begun counts for nothing and is asked for anew."""
        if self._step in ("turn", "return"):
            self._peaks.pop()
        self._step, self._since = "wait", time

    def _wait(self, time: float, yaw: float) -> None:
        """Asks for the next turn once the head has looked straight ahead for long enough."""
        if abs(yaw) > self._limits.front:
            self._since = time
        elif time - self._since >= self.challenge.pauses[self._turn]:
            self._step, self._since = "turn", time
            self._peaks.append(0.0)

    def _turning(self, time: float, yaw: float) -> None:
        turned = yaw * SIGN[self.challenge.turns[self._turn]]
        if abs(yaw) > self._limits.front and time - self._since < self._limits.reaction:
            self._again(time)
            return
        if turned <= -self._limits.astray:
            self._fail(f"turned the other way when asked to turn {self.challenge.turns[self._turn]}")
            return
        self._peaks[-1] = max(self._peaks[-1], turned)
        if turned >= self._limits.turn:
            self._step = "return"

    def _back(self, time: float, yaw: float) -> None:
        turned = yaw * SIGN[self.challenge.turns[self._turn]]
        self._peaks[-1] = max(self._peaks[-1], turned)
        if abs(yaw) > self._limits.front:
            return
        self._turn += 1
        self._step, self._since = "wait", time
        if self._turn == len(self.challenge.turns):
            self._judge()

    def _judge(self) -> None:
        """All turns are done: were they those of a head? What cannot be measured was none."""
        self._fail("flat: the nose does not stand out before the face")
        k, _ = self._depth()
        if self._limits.deep**-2 <= k <= self._limits.shallow**-2:
            self.state, self.reason = "passed", ""
        elif k < self._limits.deep**-2:
            self._fail("the face does not narrow as a head does when it turns")

    def _depth(self) -> tuple[float, float]:
        """Of the nose, against all frames in which the head looked straight ahead; see `parallax.depth`."""
        if self._reference is None:
            return 0.0, math.inf
        reference = together(self._fronts)
        return depth([move(reference, points) for points in self._views])

    def _jumped(self, time: float, points: Points) -> bool:
        """Whether the face moved or grew faster than a head does."""
        if self._last is None:
            return False
        before, old, _ = self._last
        step = min(max(time - before, self._limits.brief), self._limits.gap)
        shift = float(np.linalg.norm(points[PLANE].mean(axis=0) - old[PLANE].mean(axis=0))) / face_width(old)
        growth = abs(math.log(_size(points) / _size(old))) / math.log(self._limits.swell)
        return not (shift <= self._limits.leap * step and growth <= step)

    def _followed_from(self, time: float, yaw: float) -> bool:
        """Whether the head was seen on its way here: who shows one picture after the other skips it."""
        if self._last is None:
            return False
        before, _, angle = self._last
        step = min(max(time - before, self._limits.brief), self._limits.blink)
        return abs(yaw - angle) <= self._limits.spin * step


def _size(points: Points) -> float:
    """Spread of eyes and mouth, pixels: a turn makes it less, but not by much."""
    return float(np.linalg.norm(points[PLANE] - points[PLANE].mean(axis=0)))
