"""MobileFaceNet: an encoder for small devices, of less than 1.2 million weights."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Of each stage: expansion inside its blocks, channels, blocks, stride of the first block."""

STEM, LAST = 64, 512
"""Channels behind the first convolutions, and before the global one."""

SHRINKS = 16
"""How many times smaller, in height and width, the crop arrives at the global convolution."""

Activation = Literal["prelu", "relu"]
"""What stands behind a convolution.

PReLU is the paper's, which finds it slightly better for faces. ReLU is merged into the convolution by ONNX Runtime, in
int8 too; PReLU stays a step of its own there and makes the whole network several times slower.
"""


class Bottleneck(nn.Module):
    """Widen, filter each channel on its own, narrow without activation; with a shortcut where shapes allow.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        expansion: the block is so many times as wide inside as its input.
        stride: 2 halves height and width.
        activation: behind the first two convolutions.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, activation: Activation) -> None:
        super().__init__()
        width = inputs * expansion
        self.body = nn.Sequential(
            *_layers(inputs, width, 1, activation=activation),
            *_layers(width, width, 3, stride, groups=width, activation=activation),
            *_layers(width, outputs, 1),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        body: Tensor = self.body(features)
        return features + body if self.residual else body


def _layers(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: Activation | None = None
) -> list[nn.Module]:
    """A convolution, its batch normalisation and perhaps an activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(outputs)]
    if activation is not None:
        layers.append(nn.PReLU(outputs) if activation == "prelu" else nn.ReLU(inplace=True))
    return layers


class MobileFaceNet(nn.Module):
    """Inverted residuals, then one learned weight for every place of the last map, where other networks average.

    Source: S. Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
    CCBR 2018, table 1.

    Args:
        dimension: length of the embedding.
        size: side of the crops it takes, pixels; a multiple of 16.
        activation: behind all convolutions but the linear ones.

    Raises:
        ValueError: a size that is no multiple of 16.
    """

    def __init__(self, dimension: int, size: int = 112, activation: Activation = "relu") -> None:
        super().__init__()
        if size < SHRINKS or size % SHRINKS:
            raise ValueError(f"MobileFaceNet takes crops of a multiple of {SHRINKS} pixels, got {size}; choose 112")
        self.size = size
        self.stem = nn.Sequential(
            *_layers(3, STEM, 3, stride=2, activation=activation),
            *_layers(STEM, STEM, 3, groups=STEM, activation=activation),
        )
        channels, blocks = STEM, []
        for expansion, outputs, count, stride in STAGES:
            for number in range(count):
                blocks.append(Bottleneck(channels, outputs, expansion, stride if number == 0 else 1, activation))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            *_layers(channels, LAST, 1, activation=activation),
            nn.Conv2d(LAST, LAST, size // SHRINKS, groups=LAST, bias=False),
            nn.BatchNorm2d(LAST),
            *_layers(LAST, dimension, 1),
            nn.Flatten(),
        )

    def forward(self, crops: Tensor) -> Tensor:
        """Embeds crops.

        Args:
            crops: float32, shape (N, 3, size, size), RGB, normalised as the encoder's contract says.

        Returns:
            float32, shape (N, dimension), not of unit length.

        Raises:
            ValueError: crops of another size.
        """
        if tuple(crops.shape[1:]) != (3, self.size, self.size):
            raise ValueError(f"expected crops of shape (N, 3, {self.size}, {self.size}), got {tuple(crops.shape)}")
        embeddings: Tensor = self.head(self.blocks(self.stem(crops)))
        return embeddings
