"""Five landmarks where the detector gave none or rough ones: from the box, or placed anew by a small network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twinface.core.contract import RefinerContract
from twinface.core.geometry import invert, similarity_transform, transform
from twinface.core.types import MIRRORED, Box, Image, Landmarks
from twinface.errors import ContractMismatch
from twinface.vision.alignment import cut
from twinface.vision.session import Session

AVERAGE_FACE = ((0.271, 0.385), (0.729, 0.385), (0.5, 0.578), (0.3, 0.732), (0.7, 0.732))
"""Where landmarks lie on average in a detector's box, in shares of its width and height."""

SMALLEST_SCALE, LARGEST_SCALE = 1e-4, 1e3
"""Crop pixels per picture pixel beyond which a first guess is no face to refine."""


def landmarks_from_box(box: Box) -> Landmarks:
    """The average face's landmarks in a box, for detectors that yield boxes only.

    Measured with YuNet (boxes as drawn in WIDER FACE) on 400 LFW pictures, averaged with their mirror images.
    Single faces scatter about it by 0.08 of the width (0.14 the nose) and 0.02 to 0.03 of the height, mostly by
    turning the head, so templates aligned this way are worse than those aligned by found landmarks.
    """
    points = np.array([box.x, box.y]) + np.array(AVERAGE_FACE) * [box.width, box.height]
    return Landmarks(points.astype(np.float32))


class LandmarkRefiner:
    """Places landmarks anew with a network that sees an upright crop around the first guess.

    The network takes RGB float32 0..255, shape (N, 3, S, S), and yields (N, 10): five x, y pairs in pixels of the crop.

    Args:
        contract: size of the crop and where the first guess lies in it.
        session: the network.

    Raises:
        ContractMismatch: the network's input has another size than the contract says.
    """

    def __init__(self, contract: RefinerContract, session: Session) -> None:
        wanted = (3, contract.size, contract.size)
        declared = session.input_shape[1:]
        if len(declared) != 3 or any(isinstance(a, int) and a != b for a, b in zip(declared, wanted, strict=True)):
            raise ContractMismatch(
                f"{contract.file}: expected input (N, 3, S, S) with S = {contract.size}, "
                f"got {session.input_shape}; the contract belongs to another network"
            )
        self._contract = contract
        self._session = session
        self._points = np.array(contract.points, np.float64)

    def refine(self, image: Image, landmarks: Landmarks) -> Landmarks:
        """One face's landmarks, placed anew; see `refine_all`."""
        return self.refine_all(image, [landmarks])[0]

    def refine_all(self, image: Image, guesses: Sequence[Landmarks]) -> list[Landmarks]:
        """All faces of a picture in one run of the network.

        Args:
            image: RGB uint8 (H, W, 3).
            guesses: first guesses, pixels of the picture.

        Returns:
            As many, in the same order. A guess stays as it is where its points coincide, or where the network's
            answer is not finite or lies off the crop by more than half its size.

        Raises:
            ContractMismatch: the network yields another shape.
        """
        matrices = {place: matrix for place, guess in enumerate(guesses) if (matrix := self._matrix(guess)) is not None}
        refined = list(guesses)
        if not matrices:
            return refined
        size = self._contract.size
        crops = np.stack([cut(image, matrix, size) for matrix in matrices.values()])
        answer = self._run(crops)
        if self._contract.mirror:
            mirrored = self._run(crops[:, :, ::-1])[:, list(MIRRORED)]
            # points mirror about the picture's middle as x -> width - x, pixels as i -> width - 1 - i
            pixel = np.array([_scale(matrix) for matrix in matrices.values()], np.float32)
            mirrored[..., 0] = size - 1 + pixel[:, None] - mirrored[..., 0]
            answer = ((answer + mirrored) / 2).astype(np.float32)
        for (place, matrix), points in zip(matrices.items(), answer, strict=True):
            # False for NaN too, so such a guess stays
            if (np.abs(points - size / 2) <= size).all():
                refined[place] = Landmarks(transform(points, invert(matrix)).astype(np.float32))
        return refined

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's answer in pixels of the crops, shape (N, 5, 2)."""
        outputs = self._session.run(np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32))
        answer = next(iter(outputs.values()))
        if answer.shape != (len(crops), 10):
            raise ContractMismatch(
                f"{self._contract.file}: expected output ({len(crops)}, 10), got {answer.shape}; "
                "is it a landmark network?"
            )
        return answer.reshape(-1, 5, 2)

    def _matrix(self, guess: Landmarks) -> NDArray[np.float64] | None:
        """Picture to crop, shape (2, 3); None where the guess is degenerate."""
        try:
            matrix = similarity_transform(guess.points, self._points)
        except ValueError:
            return None
        return matrix if SMALLEST_SCALE < _scale(matrix) < LARGEST_SCALE else None


def _scale(matrix: NDArray[np.float64]) -> float:
    """Crop pixels per picture pixel."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))
