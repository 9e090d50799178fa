"""Small pictures of enrolled faces, where their photos were kept."""

from __future__ import annotations

import io

from PIL import Image as Pictures

from twinface.app.server.problems import Problem
from twinface.app.server.state import ServerState
from twinface.core.subjects import Sample
from twinface.vision.images import decode

SIDE = 192
"""Pixels."""

MARGIN = 0.3
"""Of the face's larger side, around it."""


def thumbnail(state: ServerState, sample: Sample) -> bytes:
    """The face of a sample, a square JPEG.

    Raises:
        Problem: 404, its photo was not kept.
        ImageError: the photo cannot be read any more.
    """
    photo = state.gallery.store.photo(sample.number)
    if photo is None:
        raise Problem(404, "no photo of this picture was kept", "no-photo")
    picture = Pictures.fromarray(decode(photo, limits=state.limits).pixels)
    if sample.box is not None:
        box = sample.box
        half = (0.5 + MARGIN) * max(box.width, box.height)
        x, y = box.x + box.width / 2, box.y + box.height / 2
        picture = picture.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
