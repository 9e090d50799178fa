"""The way from a picture to faces with templates."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import onnxruntime
import PIL

from twinface.core.contract import EncoderContract
from twinface.core.ports import Detector, Encoder
from twinface.core.types import DOUBTFUL, Analysis, Detection, Face, Image, Seconds, Template
from twinface.errors import PoorQuality
from twinface.vision.alignment import align
from twinface.vision.images import DEFAULT_LIMITS, DecodeLimits, ImageSource, decode
from twinface.vision.landmarks import landmarks_from_box
from twinface.vision.quality import QualityLimits, assess

SHAPING = ("contract", "geometry", "similarity", "types")
"""Modules of the core that shape templates, as all of this room do."""


class FaceAnalyzer:
    """Decodes, detects, aligns, judges and encodes.

    Args:
        detector: finds faces.
        encoder: makes templates.
        contract: the encoder's; says how crops are aligned.
        decoding: what pictures are accepted.
        quality: what faces are fit.
    """

    def __init__(
        self,
        detector: Detector,
        encoder: Encoder,
        contract: EncoderContract,
        *,
        decoding: DecodeLimits = DEFAULT_LIMITS,
        quality: QualityLimits | None = None,
    ) -> None:
        self.detector = detector
        self.encoder = encoder
        self._contract = contract
        self._points = np.array(contract.points, np.float64)
        self._decoding = decoding
        self._quality = quality or QualityLimits()

    @property
    def identity(self) -> str:
        """Digest of models, preprocessing, code and the libraries it calls: equal ones, equal templates.

        Only rounding may differ, between processors and numbers of threads.
        """
        parts = [self.encoder.identity, self.detector.identity, repr(self._decoding), repr(self._quality)]
        return hashlib.sha256("\n".join([*parts, _revision()]).encode()).hexdigest()

    def locate(self, source: object) -> Analysis:
        """The faces of a picture, largest first (doubtful ones last), aligned and judged, without templates.

        Args:
            source: a path, bytes, a binary file object, an RGB uint8 array (H, W, 3) or a Pillow image.

        Raises:
            ImageError: the picture cannot be read.
        """
        began = time.perf_counter()
        picture = decode(cast(ImageSource, source), limits=self._decoding)
        decoded = time.perf_counter()
        detections = _ranked(self.detector.detect(picture.pixels))
        faces = [face for one in detections if (face := self._face(picture.pixels, one)) is not None]
        found = time.perf_counter()
        seconds = Seconds(decoded - began, found - decoded, 0.0, found - began)
        return Analysis(picture.name, picture.pixels, tuple(faces), picture.notes, seconds)

    def _face(self, image: Image, detection: Detection) -> Face | None:
        landmarks = detection.landmarks or landmarks_from_box(detection.box)
        try:
            crop = align(image, landmarks, self._points, self._contract.size)
        except PoorQuality:  # landmarks that span no crop mark no face
            return None
        quality = assess(landmarks, crop, (image.shape[0], image.shape[1]), detection.box, self._quality)
        return Face(detection.box, landmarks, detection.score, quality, crop)

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The same faces with templates, encoded in batches."""
        vectors = self.encoder.encode([face.crop for face in faces])
        identity = self.encoder.identity
        return tuple(
            replace(face, template=Template(vector, identity)) for face, vector in zip(faces, vectors, strict=True)
        )


def _ranked(detections: Sequence[Detection]) -> list[Detection]:
    """Largest first, those of doubtful score after the others."""
    best = max((one.score for one in detections), default=0.0)
    return sorted(detections, key=lambda one: (one.score < DOUBTFUL * best, -one.box.area))


@cache
def _revision() -> str:
    """Versions of the libraries, and a digest of the code that shapes templates: no one need remember a number."""
    room = Path(__file__).parent
    code = hashlib.sha256()
    for path in [*sorted(room.glob("*.py")), *(room.parent / "core" / f"{name}.py" for name in SHAPING)]:
        code.update(path.read_bytes())
    return f"{onnxruntime.__version__} {cv2.__version__} {PIL.__version__} {np.__version__} {code.hexdigest()}"
