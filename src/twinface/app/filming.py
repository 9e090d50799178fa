"""Takes the best frames of a camera for enrolment."""

from __future__ import annotations

from twinface.core.ports import Analyzer
from twinface.core.types import Image
from twinface.services.best_frames import best_frames
from twinface.vision.camera import frames

SECONDS = 6.0
"""How long a camera is watched."""

KEPT = 5
"""Frames that are enrolled, at most."""


def film(analyzer: Analyzer, camera: str) -> list[tuple[str, Image]]:
    """The best frames, with what a report calls each.

    Args:
        analyzer: finds and judges the faces.
        camera: its number, a device or a video file.

    Raises:
        SourceError: it cannot be opened, or gives no frames.
        FaceError: none of them shows one face that is fit; says what they show.
    """
    source = int(camera) if camera.isdecimal() else camera
    chosen = best_frames(analyzer, frames(source, seconds=SECONDS), KEPT, seconds=SECONDS)
    return [(f"{camera} at {one.time:.1f} s", one.image) for one in chosen]
