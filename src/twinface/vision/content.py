"""A picture as bytes that can be kept and told apart: a file's as they are, pixels as a PNG."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image as Pictures

from twinface.vision.images import DEFAULT_LIMITS, DecodeLimits, ImageSource, decode
from twinface.vision.sources import read_bytes


@dataclass(frozen=True, eq=False)
class Content:
    """A picture's bytes.

    Attributes:
        name: the path as given, or a word for where it came from.
        data: a picture file.
        digest: SHA-256 of it, hexadecimal.
    """

    name: str
    data: bytes
    digest: str


def picture_content(source: object, limits: DecodeLimits = DEFAULT_LIMITS) -> Content:
    """The bytes of a picture of any accepted kind.

    Args:
        source: a path, bytes, a binary file object, an RGB uint8 array (H, W, 3) or a Pillow image.
        limits: what is refused.

    Raises:
        ImageError: it cannot be read.
    """
    if isinstance(source, np.ndarray | Pictures.Image):
        picture = decode(cast(ImageSource, source), limits=limits)
        file = io.BytesIO()
        Pictures.fromarray(picture.pixels).save(file, "PNG", compress_level=1)
        name, data = picture.name, file.getvalue()
    else:
        name, data = read_bytes(source, limits)
    return Content(name, data, hashlib.sha256(data).hexdigest())
