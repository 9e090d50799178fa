"""Whether one face is alive, from the first frame to the last in which somebody can be named."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from twinface.core.access.evidence import Reason
from twinface.core.liveness.challenge import ChallengeWatch
from twinface.core.types import Face
from twinface.core.video import VideoFrame
from twinface.services.access_seeing import PassiveWatch

UNSEEN = 0.5
"""Seconds without a face fit for naming after which liveness begins anew, or a challenge has failed; while a turn is
asked for, and as long after it, none is expected."""

_AGAINST = {
    "frozen": Reason.picture_frozen,
    "looped": Reason.replayed,
    "flicker": Reason.replayed,
    "moire": Reason.replayed,
}

Told = tuple[Literal["passive", "challenge", "failed", "unknown"], Reason | None]

Liveness = Literal["none", "passive", "challenge", "failed", "unknown"]
"""What is known of somebody's being alive, as `Evidence` has it."""


class Aliveness:
    """Watches one track.

    A face that is unfit for naming could be anybody's, so that signs of life count only as long as faces that are fit
    come in between: at least every `UNSEEN` seconds, before every turn that is asked for, and after the last.

    Args:
        passive: makes what looks for pictures of faces.
        challenge: what the person is asked to do; None for nothing.
        began: time of the frame with which it begins, which has a face fit for naming.
    """

    def __init__(self, passive: Callable[[], PassiveWatch], challenge: ChallengeWatch | None, began: float) -> None:
        self.since = began
        """Time from which on frames count."""
        self.until = math.inf
        """Time of the frame by which a challenge was over: a face seen later may be another's."""
        self._make_passive = passive
        self._passive = passive()
        self._challenge = challenge
        self._named = began
        self._fit = began
        self._turning = -math.inf
        self._lost = False

    @property
    def prompt(self) -> str:
        """What the person is asked to do; "" for nothing."""
        return "" if self._challenge is None else self._challenge.prompt

    @property
    def over(self) -> bool:
        """Whether more frames would tell no more of a challenge."""
        return self._lost or math.isfinite(self.until)

    @property
    def measures(self) -> dict[str, float]:
        """What it rests on."""
        own = {} if self._challenge is None else self._challenge.measures
        return {**self._passive.verdict().measures, **own}

    def feed(self, frame: VideoFrame, face: Face) -> None:
        """Takes the face of a frame.

        Raises:
            ValueError: the face lies outside the frame.
        """
        fit = face.quality.usable
        if self._challenge is not None and self._challenge.asked is not None:
            if min(frame.time - self._turning, frame.time - self._named) > UNSEEN:
                self._lost = True  # nobody could have been named before this turn
            self._turning = frame.time
        if fit:
            self._named = frame.time
        if fit or frame.time - self._turning <= UNSEEN:
            self._fit = frame.time
        elif frame.time - self._fit > UNSEEN:
            self._lost = self._lost or (self._challenge is not None and math.isinf(self.until))
            self._passive, self.since = self._make_passive(), frame.time
        self._passive.feed(frame.time, frame.image, face.box, face.landmarks.points)
        if self._challenge is not None:
            self._challenge.feed(frame.time, face.landmarks.points, face.box)
            if self._challenge.state == "failed" or (self._challenge.state == "passed" and fit):
                self.until = min(self.until, frame.time)

    def miss(self, time: float) -> None:
        """Takes a frame without the face."""
        if self._challenge is not None:
            self._challenge.lost(time)

    def told(self) -> Told:
        """What is known by now, and what speaks against it."""
        verdict = self._passive.verdict()
        if not verdict.live and verdict.reason != "too short":
            return "failed", _AGAINST.get(verdict.reason, Reason.not_live)
        if self._challenge is None:
            return ("passive", None) if verdict.live else ("unknown", None)
        if self._lost or self._challenge.state == "failed":
            return "failed", Reason.challenge_failed
        passed = self._challenge.state == "passed" and math.isfinite(self.until) and verdict.live
        return ("challenge", None) if passed else ("unknown", None)
