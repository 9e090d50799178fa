"""Residual networks of 18 to 152 layers, and how torchvision's weights for them are named here."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twinface.core.files import shown
from twinface.errors import ContractMismatch

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of each of the four stages, by depth; from 50 layers on they are bottlenecks."""

WIDTHS = (64, 128, 256, 512)
"""Channels inside the blocks of each stage."""

EXPANSION = 4
"""A bottleneck puts out so many times the channels it has inside."""

OUTER = {"stem.0": "conv1", "stem.1": "bn1", "head": "fc"}
"""What torchvision calls the layers outside the blocks."""

INNER = {
    "body.0": "conv1",
    "body.1": "bn1",
    "body.3": "conv2",
    "body.4": "bn2",
    "body.6": "conv3",
    "body.7": "bn3",
    "shortcut.0": "downsample.0",
    "shortcut.1": "downsample.1",
}
"""What torchvision calls the layers inside a block."""


class Block(nn.Module):
    """Convolutions around which the input is led by a shortcut.

    A basic block has two of 3x3; a bottleneck has 1x1, 3x3 and 1x1, the last four times as wide. The stride is that of
    the (first) 3x3. Where shape changes, the shortcut is a 1x1 convolution.

    Args:
        inputs: channels that come in.
        width: channels inside; a basic block puts out as many, a bottleneck `EXPANSION` times as many.
        stride: 2 halves height and width.
        bottleneck: which of the two kinds.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1, bottleneck: bool = False) -> None:
        super().__init__()
        outputs = width * EXPANSION if bottleneck else width
        if bottleneck:
            layers = [*_normed(inputs, width, 1), nn.ReLU(inplace=True), *_normed(width, width, 3, stride)]
            layers += [nn.ReLU(inplace=True), *_normed(width, outputs, 1)]
        else:
            layers = [*_normed(inputs, width, 3, stride), nn.ReLU(inplace=True), *_normed(width, outputs, 3)]
        self.body = nn.Sequential(*layers)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(*_normed(inputs, outputs, 1, stride))

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        return F.relu(self.body(features) + self.shortcut(features))


def _normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return [conv, nn.BatchNorm2d(outputs)]


class ResNet(nn.Module):
    """The residual networks made for ImageNet, with an embedding in the place of the classes.

    Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; bottlenecks have their
    stride in the 3x3 convolution, as torchvision's do, whose weights fit (`from_torchvision`).

    Args:
        depth: 18, 34, 50, 101 or 152.
        dimension: length of the embedding.

    Raises:
        ValueError: another depth.
    """

    def __init__(self, depth: int, dimension: int) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"ResNet: depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        bottleneck = depth >= 50
        channels = WIDTHS[0]
        self.stem = nn.Sequential(
            *_normed(3, channels, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.Sequential()
        for place, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            stage = nn.Sequential()
            for number in range(count):
                stage.append(Block(channels, width, 2 if place > 0 and number == 0 else 1, bottleneck))
                channels = width * EXPANSION if bottleneck else width
            self.stages.append(stage)
        self.head = nn.Linear(channels, dimension)

    def forward(self, crops: Tensor) -> Tensor:
        """Embeds crops.

        Args:
            crops: float32, shape (N, 3, S, S), RGB, normalised as the encoder's contract says.

        Returns:
            float32, shape (N, dimension), not of unit length.
        """
        features: Tensor = self.stages(self.stem(crops))
        embeddings: Tensor = self.head(features.mean(dim=(2, 3)))
        return embeddings


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names the weights of torchvision's ResNet, of any depth, as `ResNet` names them.

    Args:
        state: a state dict; all its names may begin alike, as with `module.` or `resnet.`.

    Returns:
        The same tensors in the same order. Whether they are complete and of the right shape shows when a `ResNet` of
        that depth and dimension loads them.

    Raises:
        ContractMismatch: a name that torchvision's ResNet does not have; the first such is said.
    """
    stem = "conv1.weight"
    prefix = min((name.removesuffix(stem) for name in state if f".{name}".endswith(f".{stem}")), key=len, default="")
    ours = _ours()
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        found = ours.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if found is None:
            raise ContractMismatch(
                f"{shown(name)}: torchvision's ResNet has no such weights; expected names like {shown(prefix)}{stem}"
            )
        renamed[found] = value
    return renamed


def _ours() -> dict[str, str]:
    """Our name for every name of torchvision's; the deepest network has all that the others have."""
    with torch.device("meta"):
        names = list(ResNet(max(BLOCKS), 1).state_dict())
    return {_theirs(name): name for name in names}


def _theirs(name: str) -> str:
    layer, _, part = name.rpartition(".")
    if layer in OUTER:
        return f"{OUTER[layer]}.{part}"
    _, stage, block, place = layer.split(".", 3)
    return f"layer{int(stage) + 1}.{block}.{INNER[place]}.{part}"
