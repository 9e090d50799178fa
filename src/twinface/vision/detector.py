"""Faces in pictures: letterbox, network, decoder, suppression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.contract import DetectorContract
from twinface.core.geometry import iou, non_maximum_suppression
from twinface.core.types import Box, Detection, Image, Landmarks
from twinface.errors import ContractMismatch, UnsupportedFormat
from twinface.vision.landmarks import LandmarkRefiner
from twinface.vision.layouts import Candidates, Floats, layout
from twinface.vision.session import Session

COARSEST = 32
"""Input sides are multiples of this, the stride of the coarsest head."""

MOST_CANDIDATES = 5000
"""Only so many candidates, the best ones, enter suppression; it bounds the time a hostile picture can take."""


@dataclass(frozen=True)
class Letterbox:
    """How a picture lies in a network's input: resized, at the top left, padded at the right and the bottom.

    Attributes:
        picture: width and height of the picture, pixels.
        inner: width and height it is resized to.
        outer: width and height of the input.
    """

    picture: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]

    @classmethod
    def free(cls, width: int, height: int, longest: int) -> Letterbox:
        """For networks of any input size: shrinks sides above `longest`, pads to multiples of 32."""
        inner = _resized(width, height, min(1.0, longest / max(width, height)))
        return cls((width, height), inner, (_round_up(inner[0]), _round_up(inner[1])))

    @classmethod
    def fixed(cls, width: int, height: int, outer: tuple[int, int]) -> Letterbox:
        """For networks of one input size: shrinks or enlarges the picture to fit."""
        return cls((width, height), _resized(width, height, min(outer[0] / width, outer[1] / height)), outer)

    def paint(self, image: Image, padding: int) -> Image:
        """The input's pixels, uint8, with a border of that grey."""
        if self.inner != self.picture:
            smaller = self.inner[0] < self.picture[0]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, self.inner, interpolation=method), np.uint8)
        right, bottom = self.outer[0] - self.inner[0], self.outer[1] - self.inner[1]
        if not right and not bottom:
            return image
        grey = (padding,) * 3
        return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=grey), np.uint8)

    def to_input(self, points: Floats) -> Floats:
        """Picture pixels to input pixels, shape (..., 2)."""
        return points * self._scale()

    def to_picture(self, points: Floats) -> Floats:
        """Input pixels to picture pixels, shape (..., 2)."""
        return points / self._scale()

    def _scale(self) -> Floats:
        return np.array([self.inner[0] / self.picture[0], self.inner[1] / self.picture[1]], np.float32)


class OnnxDetector:
    """A face detector in an ONNX file; implements `core.ports.Detector`.

    Args:
        contract: how to prepare the picture and read the outputs.
        session: the network. It is run once on a blank picture, to see that its outputs fit the contract.
        refiner: places the landmarks anew, if given and if the detector yields any.

    Raises:
        ContractMismatch: unknown layout, or a network whose input or outputs do not fit.
    """

    def __init__(self, contract: DetectorContract, session: Session, refiner: LandmarkRefiner | None = None) -> None:
        self._contract = contract
        self._layout = layout(contract.layout, contract.confidence)
        self._session = session
        self._refiner = refiner
        self._fixed = self._fixed_size(session.input_shape)
        self._candidates(np.zeros((160, 160, 3), np.uint8))

    @property
    def name(self) -> str:
        """The contract's name."""
        return self._contract.name

    @property
    def identity(self) -> str:
        """Identity of weights and settings; see `DetectorContract.identity`."""
        return self._contract.identity

    def detect(self, image: Image) -> list[Detection]:
        """Faces of a picture, best score first.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            Boxes and landmarks in pixels of the picture; a box may reach beyond it, but not lie outside.

        Raises:
            UnsupportedFormat: another shape or type of array.
            ContractMismatch: the network yields other shapes, or values that are not finite.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UnsupportedFormat(
                f"{self.name}: expected RGB pixels, uint8 (H, W, 3), got {image.dtype} {image.shape}; convert it"
            )
        boxes, scores, points = self._candidates(image)
        detections = []
        for place in non_maximum_suppression(boxes, scores, self._contract.overlap):
            left, top, right, bottom = boxes[place].tolist()
            if min(right - left, bottom - top) < self._contract.smallest:
                continue
            landmarks = None if points is None else Landmarks(self._blended(boxes, scores, points, place))
            detections.append(Detection(Box(left, top, right - left, bottom - top), float(scores[place]), landmarks))
        return self._refined(image, detections) if self._refiner else detections

    def _blended(self, boxes: Floats, scores: Floats, points: Floats, place: int) -> Floats:
        """A face's landmarks, averaged over the cells that report the same face; neighbours err independently."""
        best: Floats = points[place]
        if self._contract.blend is None:
            return best
        overlap = iou(boxes[place : place + 1], boxes)[0]
        weight = np.where(overlap >= self._contract.blend, scores * overlap, 0.0)
        mean: Floats = np.einsum("n,npc->pc", weight / weight.sum(), points).astype(np.float32)
        return mean

    def _refined(self, image: Image, detections: list[Detection]) -> list[Detection]:
        guesses = [found.landmarks for found in detections if found.landmarks is not None]
        if self._refiner is None or not guesses:
            return detections
        placed = self._refiner.refine_all(image, guesses)
        return [replace(found, landmarks=points) for found, points in zip(detections, placed, strict=True)]

    def _candidates(self, image: Image) -> Candidates:
        """What the network reports, in pixels of the picture, checked, before suppression."""
        height, width = image.shape[:2]
        if self._fixed:
            letterbox = Letterbox.fixed(width, height, self._fixed)
        else:
            letterbox = Letterbox.free(width, height, self._contract.longest)
        outputs = self._session.run(self._batch(letterbox.paint(image, self._layout.padding)))
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                boxes, scores, points = self._layout.decode(outputs, (letterbox.outer[1], letterbox.outer[0]))
                boxes = letterbox.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
                points = None if points is None else letterbox.to_picture(points)
        except ContractMismatch as error:
            raise ContractMismatch(f"{self.name}: {error}") from error
        if not np.isfinite(boxes).all() or (points is not None and not np.isfinite(points).all()):
            raise ContractMismatch(
                f"{self.name}: the network yields boxes or landmarks that are not finite; "
                "the file is damaged or ill-converted"
            )
        sound = (boxes[:, 2:] > np.maximum(boxes[:, :2], 0)).all(axis=1) & (boxes[:, :2] < (width, height)).all(axis=1)
        chosen = np.flatnonzero(sound)
        if chosen.size > MOST_CANDIDATES:
            chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:MOST_CANDIDATES]]
        return Candidates(boxes[chosen], scores[chosen], None if points is None else points[chosen])

    def _batch(self, canvas: Image) -> NDArray[np.float32]:
        """The network's input, float32 (1, 3, H, W)."""
        contract = self._contract
        batch = np.empty((1, 3, *canvas.shape[:2]), np.float32)
        planes = cv2.split(canvas)
        for place, plane in enumerate(planes if contract.channels == "RGB" else reversed(planes)):
            batch[0, place] = plane
        if contract.mean:
            batch -= contract.mean
        if contract.scale != 1:
            batch *= contract.scale
        return batch

    def _fixed_size(self, shape: tuple[Any, ...]) -> tuple[int, int] | None:
        """Width and height of the input where the network fixes them."""
        channels_first = len(shape) == 4 and all(
            size == wanted or not isinstance(size, int) for size, wanted in zip(shape, (1, 3), strict=False)
        )
        height, width = shape[2:] if channels_first else (1, 1)
        if any(isinstance(side, int) and side % COARSEST for side in (height, width)):
            raise ContractMismatch(
                f"{self.name}: expected input (1, 3, H, W) with sides free or multiples of {COARSEST}, got {shape}; "
                "export the network for one colour picture"
            )
        return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _resized(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _round_up(side: int) -> int:
    return -(-side // COARSEST) * COARSEST
