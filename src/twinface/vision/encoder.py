"""Aligned crops to unit templates, by any ONNX network that has a contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.contract import EncoderContract
from twinface.core.similarity import normalise
from twinface.core.types import Image
from twinface.errors import ContractMismatch, UnsupportedFormat
from twinface.vision.session import Session

Floats = NDArray[np.float32]


class OnnxEncoder:
    """Runs an encoder network as its contract says.

    With `mirror`, a face's template is the sum of the unit templates of its crop and of the crop's mirror image,
    scaled to unit length: twice the work for about 0.2 points of accuracy on LFW.

    Args:
        contract: what the network expects and yields.
        session: the network, opened from the contract's file.
        mirror: whether mirror images count too; the contract decides if None.
        batch: so many pictures, mirror images included, go through the network at once.

    Raises:
        ContractMismatch: the network's input or output does not have the contract's shape.
        ValueError: `batch` is not positive.
    """

    def __init__(
        self, contract: EncoderContract, session: Session, *, mirror: bool | None = None, batch: int = 32
    ) -> None:
        if batch < 1:
            raise ValueError(f"encoder: batch must be positive, got {batch}")
        _check_shapes(contract, session)
        self._contract = contract
        self._session = session
        self._mirror = contract.mirror if mirror is None else mirror
        self._batch = 1 if session.input_shape[0] == 1 else batch
        self._mean = np.array(contract.mean, np.float32)[:, None, None]

    @property
    def name(self) -> str:
        """Short name for reports."""
        return self._contract.name

    @property
    def identity(self) -> str:
        """Identity of weights, preprocessing and use of the mirror; see `EncoderContract.identity`."""
        return self._contract.identity(self._mirror)

    @property
    def dimension(self) -> int:
        """Length of a template."""
        return self._contract.dimension

    def encode(self, crops: Sequence[Image]) -> Floats:
        """Encodes aligned crops.

        Args:
            crops: N pictures, RGB uint8, shape (S, S, 3) with the contract's S.

        Returns:
            float32, shape (N, D), unit length; row i does not depend on the other crops but for rounding.

        Raises:
            UnsupportedFormat: a crop has another shape or type.
            ContractMismatch: the network yields another shape, zeros, or values that are not finite.
        """
        size = self._contract.size
        for place, crop in enumerate(crops):
            if crop.shape != (size, size, 3) or crop.dtype != np.uint8:
                raise UnsupportedFormat(
                    f"crop {place}: {self.name} takes uint8 of shape ({size}, {size}, 3), "
                    f"got {crop.dtype} of shape {crop.shape}; align the face first"
                )
        copies = 2 if self._mirror else 1
        step = max(1, self._batch // copies)
        templates = np.empty((len(crops), self.dimension), np.float32)
        for start in range(0, len(crops), step):
            pixels = self._prepare(crops[start : start + step])
            if self._mirror:
                plain, mirrored = np.split(self._run(np.concatenate([pixels, pixels[..., ::-1]])), 2)
                templates[start : start + step] = self._unit(plain + mirrored)
            else:
                templates[start : start + step] = self._run(pixels)
        return templates

    def _prepare(self, crops: Sequence[Image]) -> Floats:
        """Normalised pixels, shape (N, 3, S, S), channels in the contract's order."""
        stacked = np.stack(crops).transpose(0, 3, 1, 2)
        if self._contract.channels == "BGR":
            stacked = stacked[:, ::-1]
        pixels: Floats = np.subtract(stacked, self._mean, dtype=np.float32, order="C")
        pixels *= np.float32(self._contract.scale)
        return pixels

    def _run(self, pixels: Floats) -> Floats:
        """Unit templates of normalised pixels (N, 3, S, S), shape (N, D)."""
        pieces = [pixels[start : start + self._batch] for start in range(0, len(pixels), self._batch)]
        output = np.concatenate([next(iter(self._session.run(piece).values())) for piece in pieces])
        if output.shape != (len(pixels), self.dimension):
            raise ContractMismatch(
                f"{self.name}: yields shape {output.shape}, the contract says {(len(pixels), self.dimension)}"
            )
        return self._unit(output)

    def _unit(self, vectors: Floats) -> Floats:
        try:
            return normalise(vectors)
        except ValueError as error:
            raise ContractMismatch(
                f"{self.name}: yields a template that is zero or not finite; the model file is unfit"
            ) from error


def _check_shapes(contract: EncoderContract, session: Session) -> None:
    """Compares shapes where the network states them; an axis without a number is free."""
    wanted = (1, 3, contract.size, contract.size)  # a network may be fixed to one picture at a time
    if not _fits(session.input_shape, wanted):
        raise ContractMismatch(
            f"{contract.name}: the network takes {session.input_shape}, the contract says {('N', *wanted[1:])}"
        )
    if len(session.output_shapes) != 1 or not _fits(session.output_shapes[0], (1, contract.dimension)):
        raise ContractMismatch(
            f"{contract.name}: the network yields {', '.join(map(str, session.output_shapes))}, "
            f"the contract says {('N', contract.dimension)}"
        )


def _fits(shape: Sequence[Any], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(size, int) or size == expected for size, expected in zip(shape, wanted, strict=True)
    )
