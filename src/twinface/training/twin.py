"""The twin: one network, one set of weights, run on both faces of a pair."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Twin(nn.Module):
    """A Siamese network (S. Chopra, R. Hadsell, Y. LeCun, CVPR 2005).

    Its two towers are one network that is run on both faces; there are no weights but the backbone's.

    Args:
        backbone: crops (N, 3, S, S) to embeddings (N, D), see `backbones.build`.
        unit: whether embeddings are scaled to unit length.
    """

    def __init__(self, backbone: nn.Module, unit: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.unit = unit

    def forward(self, crops: Tensor) -> Tensor:
        """Embeds crops.

        Args:
            crops: float32, shape (N, 3, S, S).

        Returns:
            float32, whatever the precision the backbone computes in, shape (N, D); of unit length if the twin is so.
        """
        embeddings: Tensor = self.backbone(crops).float()
        return F.normalize(embeddings, dim=1) if self.unit else embeddings

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """How far the faces of pairs lie apart.

        Both sides go through the network in one batch, so that batch normalisation sees them together.

        Args:
            first: crops, float32, shape (N, 3, S, S).
            second: those they are compared with, one each, same shape.

        Returns:
            Euclidean distances, float32, shape (N,).

        Raises:
            ValueError: the shapes differ.
        """
        if first.shape != second.shape:
            raise ValueError(
                f"compare: expected crops of one shape, got {tuple(first.shape)} and {tuple(second.shape)}"
            )
        embeddings: Tensor = self(torch.cat([first, second]))
        return distances(embeddings[: len(first)], embeddings[len(first) :])


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distance of each row of one side to the same row of the other.

    Args:
        first: embeddings, float32, shape (N, D).
        second: same shape.

    Returns:
        float32, shape (N,). Where two rows are equal, their gradient is 0.
    """
    # unlike the root of a sum, a norm knows its gradient at 0
    gaps: Tensor = torch.linalg.vector_norm(first - second, dim=1)
    return gaps


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distance of every row to every row.

    Computed as a product of matrices in float64: in float32 the distance of near rows is lost in rounding (up to 5e-4
    between unit vectors that are equal), and differences of all pairs would need D times the memory.

    Args:
        embeddings: float32, shape (B, D).

    Returns:
        float32, shape (B, B), symmetric; exactly 0 on the diagonal and between rows that float32 can hardly tell apart
        (relative distance below 1.2e-7). Their gradient is 0.
    """
    rows = embeddings.double()
    products = rows @ rows.T
    squares = products.diagonal()
    sums = squares[:, None] + squares
    squared = sums - 2 * products
    apart = squared > sums * torch.finfo(torch.float32).eps ** 2
    # the root is taken of 1 where rows are equal, because its infinite slope at 0 would turn the gradient into NaN
    roots = torch.where(apart, squared, 1.0).sqrt()
    return torch.where(apart, roots, 0.0).float()
