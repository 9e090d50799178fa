"""Decoded frames, who gives them, and the clock that times them. Runs in the decoding process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av

from twinface.vision.video.pixels import Turn

RATE = 25.0
"""Frames a second of a video that does not say."""

FASTEST = 1000.0
"""Frames a second above which a video's word is not believed."""

RESET = 1.0
"""Seconds: when times go back by more, the video's clock began anew; by less, its frames are in disorder."""

MARGIN = 5e-4
"""Seconds by which a stamp may be off, for it is a whole number of its clock's ticks."""

DAMAGED = "damaged frames left out"


class Report(Protocol):
    """Where readers say how it goes."""

    def alive(self) -> None:
        """Something was read."""
        ...

    def note(self, text: str, more: int = 0) -> None:
        """Something the reader must know, and how often it came about in addition."""
        ...


@dataclass(frozen=True, eq=False)
class Shot:
    """A decoded frame.

    Attributes:
        frame: its pixels.
        time: seconds from the start; of a live source 0.
        number: counted from 0, also those left out.
        arrived: `time.monotonic()` when it was read.
        square: a pixel's width by its height, as far as known.
    """

    frame: av.VideoFrame
    time: float
    number: int
    arrived: float
    square: Fraction | None


class Reader(Protocol):
    """Gives the frames of a source."""

    @property
    def live(self) -> bool:
        """Whether frames come when they come."""
        ...

    @property
    def duration(self) -> float | None:
        """Seconds, if known."""
        ...

    @property
    def rate(self) -> float | None:
        """Frames a second on average, if known."""
        ...

    @property
    def tagged(self) -> Turn:
        """How frames become upright that say nothing themselves."""
        ...

    def frames(self) -> Iterator[Shot]:
        """Those that are wanted, in order."""
        ...

    def close(self) -> None:
        """Takes leave of whoever sends."""
        ...


class Clock:
    """Makes times that rise of the stamps of a video.

    Args:
        origin: seconds, the stamp of the start; None: the first frame's.
        step: seconds between frames, where stamps are missing.
        report: what to do when stamps had to be mended.
    """

    def __init__(self, origin: float | None, step: float, report: Callable[[], None]) -> None:
        self._origin = origin
        self._step = step
        self._report = report
        self.last: float | None = None

    def time(self, stamp: float | None) -> float:
        """Seconds from the start, of the next frame.

        Args:
            stamp: what the video says, seconds; None where it says nothing.
        """
        if self._origin is None:
            self._origin = stamp if stamp is not None else 0.0
        if self.last is None and stamp is not None:
            self._origin = min(self._origin, stamp)  # no time is negative
        if stamp is None:
            due = 0.0 if self.last is None else self.last + self._step
        else:
            due = stamp - self._origin
            if self.last is not None and due <= self.last:
                self._report()
                if due < self.last - RESET:
                    self._origin = stamp - self.last - self._step
                    due = self.last + self._step
                else:  # half a step, so that the next frame is on time again
                    due = self.last + self._step / 2
        self.last = due
        return due


def believed(rate: Fraction | None) -> float | None:
    """Frames a second, if that can be."""
    return float(rate) if rate is not None and 0 < rate <= FASTEST else None
