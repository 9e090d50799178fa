"""The plain twin of a first course on Siamese networks: a few convolutions, quickly trained on any computer."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (3, 16, 32, 64, 128)
"""Channels of the picture and behind each convolution."""

CELLS = 4
"""The last map is averaged down to so many rows and columns."""


class SharedConvolutions(nn.Module):
    """Four times convolution, ReLU and maximum over 2x2, then averages of 4x4 overlapping fields and one linear layer.

    Shaped like the first Siamese networks for faces (S. Chopra, R. Hadsell, Y. LeCun, "Learning a Similarity Metric
    Discriminatively, with Application to Face Verification", CVPR 2005), with ReLU. It has no normalisation, so that
    pictures of a batch do not influence one another.

    Args:
        dimension: length of the embedding.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(WIDTHS):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            # without normalisation the scale of the first weights decides whether a signal comes through
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has one
            layers += [conv, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(WIDTHS[-1] * CELLS * CELLS, dimension)

    def forward(self, crops: Tensor) -> Tensor:
        """Embeds crops.

        Args:
            crops: float32, shape (N, 3, S, S) with S of at least 64, RGB, normalised as the encoder's contract says.

        Returns:
            float32, shape (N, dimension), not of unit length.

        Raises:
            ValueError: crops that are too small.
        """
        features: Tensor = self.features(crops)
        rows, columns = features.shape[2:]
        if min(rows, columns) < CELLS:
            raise ValueError(f"expected crops of shape (N, 3, 64, 64) or larger, got {tuple(crops.shape)}")
        # what adaptive pooling does, with fields of equal size, which ONNX can express for maps of any size
        stride = (rows // CELLS, columns // CELLS)
        field = (rows - (CELLS - 1) * stride[0], columns - (CELLS - 1) * stride[1])
        embeddings: Tensor = self.head(F.avg_pool2d(features, field, stride).flatten(1))
        return embeddings
