"""What access control looks with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.liveness.challenge import Challenge
from twinface.core.ports import Analyzer, GalleryStore
from twinface.core.types import Box, Image

Span = tuple[float, float, float, float]


class PassiveVerdict(Protocol):
    """What watching a face has told of its being alive."""

    @property
    def live(self) -> bool:
        """Whether nothing speaks against it."""
        ...

    @property
    def reason(self) -> str:
        """What does; "too short" where there were too few frames."""
        ...

    @property
    def measures(self) -> Mapping[str, float]:
        """What it rests on."""
        ...


class PassiveWatch(Protocol):
    """Looks for signs that a face is a picture."""

    def feed(self, time: float, image: Image, box: Box, landmarks: NDArray[np.float32]) -> None:
        """Takes a frame, RGB uint8 (H, W, 3), with where the face is."""
        ...

    def verdict(self) -> PassiveVerdict:
        """What is known so far."""
        ...


@dataclass(frozen=True, eq=False)
class Seeing:
    """What an attempt looks with.

    Attributes:
        analyzer: finds and encodes faces.
        rule: the encoder's.
        store: the gallery.
        passive: makes what looks for pictures of faces.
        passive_seconds: that it has to watch a face, at least.
        challenge: draws a challenge.
        zone: left, top, right, bottom of where people stand, as shares of the picture; faces outside are bystanders.
        thumbnail: makes a JPEG of a face; None for none.
    """

    analyzer: Analyzer
    rule: DecisionRule
    store: GalleryStore
    passive: Callable[[], PassiveWatch]
    challenge: Callable[[], Challenge]
    passive_seconds: float
    zone: Span = (0.0, 0.0, 1.0, 1.0)
    thumbnail: Callable[[Image], bytes] | None = None
