"""From crops to a network's input, in training as in use: both take it from the same contract."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twinface.core.contract import EncoderContract
from twinface.models.registry import DEFAULT_ENCODER, find_encoder
from twinface.training.cutting import template_points
from twinface.training.recipe import Recipe

WHOLE = ((0.4153, 0.4528), (0.5875, 0.4489), (0.5035, 0.5505), (0.4313, 0.6300), (0.5811, 0.6269))
"""Where the five landmarks lie in a deep-funneled LFW picture, as shares of its side: medians of 662 pictures. A
network trained on whole pictures is served crops that show a face so."""

DLIB = ((122.782, 117.001, 104.298), 1 / 256)
"""Mean and scale of the ResNet-29s, as the first one's training had them."""

SYMMETRIC = ((127.5, 127.5, 127.5), 1 / 127.5)
"""Mean and scale of the others: grey levels to [-1, 1]."""


def input_size(recipe: Recipe) -> int:
    """Side of the network's input, pixels."""
    return recipe.backbone.size or recipe.data.size


def _normalisation(recipe: Recipe) -> tuple[tuple[float, float, float], float]:
    return DLIB if recipe.backbone.name.startswith("resnet29") else SYMMETRIC


def contract_of(recipe: Recipe, *, file: str, sha256: str) -> EncoderContract:
    """What the recipe's network expects and yields.

    Args:
        recipe: of the run.
        file: name of the ONNX file.
        sha256: its digest.

    Raises:
        ContractMismatch: a field is out of range.
    """
    size = input_size(recipe)
    if recipe.data.crop == "whole":
        points = tuple((x * size, y * size) for x, y in WHOLE)
    else:
        points = template_points(find_encoder(DEFAULT_ENCODER)[1], size)
    mean, scale = _normalisation(recipe)
    return EncoderContract(
        name=recipe.export.name or recipe.name,
        file=file,
        sha256=sha256,
        size=size,
        channels="RGB",
        mean=mean,
        scale=scale,
        points=points,
        dimension=recipe.backbone.dimension,
        mirror=recipe.export.mirror,
        licence=recipe.export.licence or "unknown",
        source=recipe.export.source or f"trained with the recipe {recipe.name}",
    )


class Preprocessing(nn.Module):
    """Crops in grey levels to the network's input.

    Args:
        size: side of the network's input, pixels.
        mean: subtracted from each channel.
        scale: then multiplied by this.
    """

    mean: Tensor

    def __init__(self, size: int, mean: Sequence[float], scale: float) -> None:
        super().__init__()
        self.size, self._scale = size, scale
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Float32 (N, 3, T, T), 0 to 255, to (N, 3, size, size), in channels-last memory."""
        if crops.shape[-1] != self.size:
            crops = F.interpolate(
                crops, size=(self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )
        return ((crops - self.mean) * self._scale).contiguous(memory_format=torch.channels_last)


def preprocessing(recipe: Recipe) -> Preprocessing:
    """What the recipe's network needs."""
    mean, scale = _normalisation(recipe)
    return Preprocessing(input_size(recipe), mean, scale)
