"""Networks that turn a face crop into an embedding, by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from twinface.core.files import shown
from twinface.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

NAMES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet29",
    "resnet29-narrow",
    "mobilefacenet",
    "convolutions",
)
"""What `build` can build."""

SMALLEST = {"resnet29": 103, "resnet29-narrow": 103, "convolutions": 64}
"""Side of the smallest crops a network can take, pixels; smaller ones would leave its last layers without input."""


def build(name: str, dimension: int, size: int | None = None) -> nn.Module:
    """Builds a network with random weights; torch is imported only here, so that names can be checked without it.

    Every network takes crops of shape (N, 3, S, S), float32, RGB, normalised as the encoder's contract says, and yields
    embeddings of shape (N, dimension), float32, not of unit length.

    Args:
        name: of `NAMES`.
        dimension: length of the embedding.
        size: S, pixels. MobileFaceNet is built for one size, 112 if None; for the others it is only checked.

    Raises:
        RecipeError: an unknown name, a dimension below 1, a size the network cannot take.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES)
        raise RecipeError(f'backbone.name: there is no "{shown(name)}"; choose {_either(near or NAMES)}')
    if dimension < 1:
        raise RecipeError(f"backbone.dimension: must be above 0, got {dimension}")
    smallest = SMALLEST.get(name, 1)
    if size is not None and size < smallest:
        raise RecipeError(
            f"data.size: {name} takes crops of {smallest} pixels or more, got {size}; choose a larger size"
        )
    return _build(name, dimension, size)


def _build(name: str, dimension: int, size: int | None) -> nn.Module:
    if name in ("resnet29", "resnet29-narrow"):
        from twinface.training.backbones.resnet29 import NARROW, STAGES, ResNet29

        return ResNet29(dimension, NARROW, affine=False) if name == "resnet29-narrow" else ResNet29(dimension, STAGES)
    if name == "convolutions":
        from twinface.training.backbones.convolutions import SharedConvolutions

        return SharedConvolutions(dimension)
    if name == "mobilefacenet":
        from twinface.training.backbones.mobilefacenet import MobileFaceNet

        try:
            return MobileFaceNet(dimension) if size is None else MobileFaceNet(dimension, size)
        except ValueError as error:
            raise RecipeError(f"data.size: {error}") from error
    from twinface.training.backbones.resnet import ResNet

    return ResNet(int(name.removeprefix("resnet")), dimension)


def _either(names: list[str] | tuple[str, ...]) -> str:
    """Names as a sentence lists them: a, b or c."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
