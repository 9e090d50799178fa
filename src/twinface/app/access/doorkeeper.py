"""Asks for a place when somebody comes: for doors without buttons."""

from __future__ import annotations

import math
from collections.abc import Callable

from twinface.app.access.requests import make_request
from twinface.core.access.evidence import Request
from twinface.core.video import VideoFrame
from twinface.services.access_control import Outcome


class Doorkeeper:
    """Asks for one place whenever somebody comes: for a door without buttons.

    Who was answered has to step away before there is another request, or wait for some seconds after a refusal.

    Args:
        place: which.
        sees: whether anybody stands before the camera.
    """

    EVERY = 0.4
    AWAY = 1.5
    AGAIN = 5.0

    def __init__(self, place: str, sees: Callable[[VideoFrame], bool]) -> None:
        self._place = place
        self._sees = sees
        self._due = -math.inf
        self._seen = -math.inf
        self._answered: Outcome | None = None
        self._when = -math.inf
        self._asked = False

    def look(self, frame: VideoFrame, now: float) -> Request | None:
        """See `Asker`."""
        if self._asked or now < self._due:
            return None
        self._due = now + self.EVERY
        somebody = self._sees(frame)
        if self._answered is not None:
            gone = not somebody and now - self._seen >= self.AWAY
            again = not self._answered.ruling.granted and now - self._when >= self.AGAIN
            if somebody:
                self._seen = now
            if not (gone or again):
                return None
            self._answered = None
        if not somebody:
            return None
        self._seen = now
        self._asked = True
        return make_request(self._place)

    def told(self, outcome: Outcome, now: float) -> None:
        """See `Asker`."""
        self._asked, self._answered, self._when, self._seen = False, outcome, now, now
