"""Takes the best frames of a camera for enrolment."""

from __future__ import annotations

from collections.abc import Iterator

from twinface.core.ports import Analyzer
from twinface.core.types import Image
from twinface.services.best_frames import best_frames
from twinface.vision.camera import frames
from twinface.vision.capture import Frame

SECONDS = 6.0
"""How long a camera is watched."""

KEPT = 5
"""Frames that are enrolled, at most."""


def watch(camera: str) -> Iterator[Frame]:
    """Frames of a camera, which is opened when the first one is wanted.

    Args:
        camera: its number, a device or a video file.

    Raises:
        SourceUnavailable: there is none.
    """
    return frames(int(camera) if camera.isdecimal() else camera, seconds=SECONDS)


def film(analyzer: Analyzer, camera: str, watched: Iterator[Frame]) -> list[tuple[str, Image]]:
    """The best frames, with what a report calls each.

    Args:
        analyzer: finds and judges the faces.
        camera: what it is called.
        watched: its frames.

    Raises:
        SourceError: it cannot be opened, or gives no frames.
        FaceError: none of them shows one face that is fit; says what they show.
    """
    chosen = best_frames(analyzer, watched, KEPT, seconds=SECONDS)
    return [(f"{camera} at {one.time:.1f} s", one.image) for one in chosen]
