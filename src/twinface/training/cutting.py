"""Makes the crop of one picture, as a recipe says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.contract import EncoderContract, Points
from twinface.core.types import Analysis, Detection, Image
from twinface.errors import ImageError
from twinface.models.registry import DEFAULT_DETECTOR, DEFAULT_ENCODER, find_detector, find_encoder
from twinface.training.recipe import DataRecipe
from twinface.training.sources import Choice
from twinface.vision.detector import OnnxDetector
from twinface.vision.landmarks import LandmarkRefiner
from twinface.vision.pipeline import FaceAnalyzer
from twinface.vision.session import Session, SessionOptions


def template_points(contract: EncoderContract, size: int, margin: int = 0) -> Points:
    """Where the five landmarks lie in crops of another size, with the same field of view, and a margin around.

    Args:
        contract: of the encoder whose view it is.
        size: width and height of the crops without the margin, pixels.
        margin: added on each side, pixels.
    """
    scale = size / contract.size
    return tuple((scale * x + margin, scale * y + margin) for x, y in contract.points)


class _Unused:
    """Stands in for the encoder, and for whole pictures for the detector, that the analyzer would have."""

    name = identity = "unused"
    dimension = 0

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - the port has it
        return []

    def encode(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        return np.empty((len(crops), 0), np.float32)


class Cutter:
    """Makes crops as a recipe says, by the same decoding, detection and alignment that serve `compare`.

    Args:
        recipe: "aligned" crops have `template_points` and the margin; "whole" pictures are resized to the size without
            regard to their proportions.

    Attributes:
        side: of its crops, pixels.
        identity: names all that shapes them; equal identities, equal crops.

    Raises:
        ModelError: the detector is missing or unfit.
    """

    def __init__(self, recipe: DataRecipe) -> None:
        self._whole = recipe.crop == "whole"
        self.side = recipe.size if self._whole else recipe.size + 2 * recipe.margin
        shipped = find_encoder(DEFAULT_ENCODER)[1]
        points = template_points(shipped, recipe.size, recipe.margin)
        contract = replace(shipped, size=self.side, points=points)
        self._analyzer = FaceAnalyzer(_Unused() if self._whole else _detector(), _Unused(), contract)
        self.identity = repr((self._analyzer.identity, recipe.crop, self.side, None if self._whole else points))

    def cut(self, content: bytes, choice: Choice) -> Image | str:
        """The crop of one picture, which threads may ask for at once.

        Args:
            content: of the picture's file.
            choice: which face counts where there are several: the one nearest the picture's middle, or the largest.

        Returns:
            RGB uint8, shape (side, side, 3), or the reason why there is none.
        """
        try:
            analysis = self._analyzer.locate(content)
        except ImageError as error:
            return str(error).removeprefix("<bytes>: ").partition(";")[0]
        if self._whole:
            return _resized(analysis.image, self.side)
        return _chosen(analysis, choice) if analysis.faces else "no face found"


def _detector() -> OnnxDetector:
    """The shipped one; a single thread each, so that its answers do not depend on the number of cores."""
    options = SessionOptions(threads=1)
    entry, contract = find_detector(DEFAULT_DETECTOR)
    refiner = None
    if contract.refiner is not None:
        session = Session(entry.folder / contract.refiner.file, contract.refiner.sha256, options)
        refiner = LandmarkRefiner(contract.refiner, session)
    return OnnxDetector(contract, Session(entry.path, contract.sha256, options), refiner)


def _chosen(analysis: Analysis, choice: Choice) -> Image:
    """The crop of the face that counts: the largest comes first."""
    if choice == "largest":
        return analysis.faces[0].crop
    height, width = analysis.image.shape[:2]

    def away(place: int) -> float:
        left, top, right, bottom = analysis.faces[place].box.corners
        return math.hypot((left + right - width) / 2, (top + bottom - height) / 2)

    return analysis.faces[min(range(len(analysis.faces)), key=away)].crop


def _resized(image: Image, size: int) -> Image:
    """Square; sides that shrink do so by the mean of the pixels they replace."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
