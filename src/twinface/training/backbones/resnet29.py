"""Networks that turn a face crop into an embedding: the twin that fine-tuning starts from."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((32, 3), (64, 3), (128, 2), (256, 2), (256, 0))
"""Width of each stage and its plain blocks; every stage but the first begins with a block that halves the picture."""

NARROW = ((16, 3), (32, 3), (64, 2), (112, 2), (112, 0))
"""The same with half the channels and fewer at the end: 1,158,816 weights, about a quarter of the arithmetic."""


class ChannelAffine(nn.Module):
    """Scales and shifts every channel by learned values: what batch normalisation is once its statistics are fixed.

    Args:
        channels: of the input (N, channels, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the input."""
        return features * self.scale[:, None, None] + self.shift[:, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is led by a shortcut.

    A block that shrinks has stride 2 and no padding in its first convolution and a 2x2 average pool as shortcut.
    Where the two branches differ in channels, height or width, the smaller is padded with zeros at the end.

    Args:
        inputs: channels that come in.
        outputs: channels that go out; differing numbers are allowed where the block shrinks.
        shrink: whether height and width are halved.
        affine: whether a `ChannelAffine` follows each convolution.

    Attributes:
        shrinks: as given.
    """

    def __init__(self, inputs: int, outputs: int, shrink: bool = False, affine: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2 if shrink else 1, padding=0 if shrink else 1),
            _affine(outputs, affine),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            _affine(outputs, affine),
        )
        self.shortcut = nn.AvgPool2d(2) if shrink else nn.Identity()
        self.shrinks = shrink

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H', W')."""
        body, shortcut = self.body(features), self.shortcut(features)
        shape = [max(sizes) for sizes in zip(body.shape[1:], shortcut.shape[1:], strict=True)]
        return F.relu(_pad_end(body, shape) + _pad_end(shortcut, shape))


def _affine(channels: int, wanted: bool) -> nn.Module:
    return ChannelAffine(channels) if wanted else nn.Identity()


def _pad_end(features: Tensor, shape: list[int]) -> Tensor:
    """Zeros after the last channel, row and column until the shape is (N, *shape)."""
    missing = [wanted - size for wanted, size in zip(shape, features.shape[1:], strict=True)]
    if not any(missing):
        return features
    channels, rows, columns = missing
    return F.pad(features, (0, columns, 0, rows, 0, channels))


class ResNet29(nn.Module):
    """dlib's face recognition network: 29 convolutions, 5,614,592 weights.

    Source: D. King, dlib `dnn_face_recognition_ex.cpp` and its published weights (public domain); a narrow form of
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. `dlib_weights` reads the weights.

    Args:
        dimension: length of the embedding.
        stages: width and plain blocks of each stage; dlib's unless given.
        affine: whether a `ChannelAffine` follows each convolution, as in dlib's. A convolution with a bias can do its
            work, at less cost.
    """

    def __init__(self, dimension: int = 128, stages: tuple[tuple[int, int], ...] = STAGES, affine: bool = True) -> None:
        super().__init__()
        first = stages[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 7, stride=2), _affine(first, affine), nn.ReLU(), nn.MaxPool2d(3, stride=2)
        )
        blocks = [ResidualBlock(first, first, affine=affine) for _ in range(stages[0][1])]
        for (inputs, _), (outputs, plain) in pairwise(stages):
            blocks.append(ResidualBlock(inputs, outputs, shrink=True, affine=affine))
            blocks.extend(ResidualBlock(outputs, outputs, affine=affine) for _ in range(plain))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(stages[-1][0], dimension, bias=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Embeds aligned crops.

        Args:
            crops: float32, shape (N, 3, 150, 150), RGB, normalised as the encoder's contract says.

        Returns:
            float32, shape (N, dimension), not of unit length.
        """
        features: Tensor = self.blocks(self.stem(crops))
        embeddings: Tensor = self.head(features.mean(dim=(2, 3)))
        return embeddings
