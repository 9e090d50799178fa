"""Seams between use cases and the machinery behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Acquired, Analysis, Detection, Face, Image


class Detector(Protocol):
    """Finds faces."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    @property
    def identity(self) -> str:
        """Identity of contract and weights; see `DetectorContract.identity`."""
        ...

    def detect(self, image: Image) -> list[Detection]:
        """Faces of an RGB uint8 picture (H, W, 3), best score first, in its pixels."""
        ...


class Encoder(Protocol):
    """Turns aligned crops into unit templates."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    @property
    def identity(self) -> str:
        """Identity of contract and weights; see `EncoderContract.identity`."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a template."""
        ...

    def encode(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """Templates of N crops (S, S, 3) RGB uint8: float32 (N, D), unit length."""
        ...


class Analyzer(Protocol):
    """Turns a picture of any accepted kind into faces with templates."""

    @property
    def identity(self) -> str:
        """Digest of all that shapes its templates: models, preprocessing, code, libraries."""
        ...

    @property
    def encoder(self) -> Encoder:
        """What makes the templates."""
        ...

    @property
    def detector(self) -> Detector:
        """What finds the faces."""
        ...

    def locate(self, source: object) -> Analysis:
        """Decodes, detects, aligns and judges; the faces have no templates yet.

        Raises:
            ImageError: the picture cannot be read.
        """
        ...

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The same faces with templates, encoded in batches."""
        ...


class TemplateCache(Protocol):
    """Keeps what pictures gave, so that it is computed once."""

    def find(self, space: str, digests: Sequence[str]) -> dict[str, Acquired]:
        """What is known of pictures with these SHA-256 digests.

        Args:
            space: digest of all that shaped the templates; nothing is shared between spaces.
            digests: of the pictures' bytes, hexadecimal.
        """
        ...

    def keep(self, space: str, rows: Mapping[str, Acquired]) -> None:
        """Remembers more."""
        ...
