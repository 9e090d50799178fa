"""The student face detector: network, dense distillation loss and export wrapper.

A single-shot, anchor-free detector with heads at strides 8, 16 and 32. Each cell of a head yields one
score, one box and five landmarks. It learns from a teacher that labels every cell of every training
picture, so no hand-drawn box is needed (dense distillation; the teacher's cell layout is that of YuNet,
Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
"""Pixels of input per cell, for each head."""

VALUES = 15
"""Values a cell yields: 1 score logit, 4 box, 10 landmarks."""


def separable(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Depthwise convolution then pointwise, each with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Head(nn.Module):
    """Score, box and landmark maps from one level's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = separable(channels, channels)
        self.points = separable(channels, channels, kernel=5)
        self.score = nn.Conv2d(channels, 1, 1)
        self.box = nn.Conv2d(channels, 4, 1)
        self.landmarks = nn.Conv2d(channels, 10, 1)
        nn.init.constant_(self.score.bias, -4.0)  # type: ignore[arg-type]  # most cells hold no face

    def forward(self, features: Tensor) -> Tensor:
        shared = self.shared(features)
        points = self.points(shared)
        return torch.cat([self.score(shared), self.box(shared), self.landmarks(points)], dim=1)


class DetectorNet(nn.Module):
    """The student network.

    Input: RGB, float32 0..255, shape (N, 3, H, W), H and W multiples of 32.
    Output: one map per stride, shape (N, 15, H/stride, W/stride): score logit; box centre offset (cells)
    and log size (cells); five landmark offsets (cells), all from the cell's top left corner.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.down4 = separable(16, half, 2)
        self.level8 = nn.Sequential(separable(half, width, 2), separable(width, width), separable(width, width))
        self.level16 = nn.Sequential(separable(width, width, 2), separable(width, width), separable(width, width))
        self.level32 = nn.Sequential(separable(width, width, 2), separable(width, width), separable(width, width))
        self.lateral = nn.ModuleList([_pointwise(width, width) for _ in STRIDES])
        self.merge = nn.ModuleList([separable(width, width) for _ in STRIDES[:-1]])
        self.heads = nn.ModuleList([_Head(width) for _ in STRIDES])

    def forward(self, images: Tensor) -> list[Tensor]:
        """One map per stride; see the class."""
        features = self.down4(self.stem((images - 127.5) / 64.0))
        levels: list[Tensor] = []
        for stage in (self.level8, self.level16, self.level32):
            features = stage(features)
            levels.append(features)
        merged = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        for finer in (1, 0):
            coarse = F.interpolate(merged[finer + 1], scale_factor=2.0, mode="nearest")
            merged[finer] = self.merge[finer](merged[finer] + coarse)
        return [head(level) for head, level in zip(self.heads, merged, strict=True)]


class ExportedDetector(nn.Module):
    """The network as it is exported: per stride `score_s` (sigmoid), `box_s` and `landmarks_s`, channels last."""

    def __init__(self, network: DetectorNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Score, box and landmarks of every cell, for each stride in turn."""
        outputs: list[Tensor] = []
        for maps in self.network(images):
            cells = maps.permute(0, 2, 3, 1).flatten(1, 2)
            outputs += [torch.sigmoid(cells[..., :1]), cells[..., 1:5], cells[..., 5:]]
        return tuple(outputs)


@dataclass(frozen=True)
class LossWeights:
    """How much each part of the distillation loss counts."""

    positive: float = 8.0
    """Extra weight of a cell's score loss, times the teacher's score there."""
    box: float = 1.0
    landmarks: float = 4.0
    confident: float = 0.5
    """Teacher score from which a cell's box and landmarks are learnt."""


def distillation_loss(
    student: list[Tensor], teacher: list[Tensor], weights: LossWeights
) -> tuple[Tensor, dict[str, float]]:
    """Distance between the student's maps and the teacher's.

    Args:
        student: maps as `DetectorNet` yields them.
        teacher: maps of the same shapes; channel 0 is a probability in [0, 1], not a logit.
        weights: the parts' weights.

    Returns:
        The scalar loss, and its parts for the log: `score`, `box` (cells), `landmarks` (fraction of eye distance).
    """
    total = student[0].new_zeros(())
    parts = {"score": 0.0, "box": 0.0, "landmarks": 0.0}
    score_sum, box_sum, landmark_sum = total.clone(), total.clone(), total.clone()
    count = total.clone()
    for own, label in zip(student, teacher, strict=True):
        probability = label[:, 0]
        weight = 1.0 + weights.positive * probability
        entropy = F.binary_cross_entropy_with_logits(own[:, 0], probability, weight=weight, reduction="sum")
        score_sum = score_sum + entropy
        mask = probability > weights.confident
        if mask.any():
            chosen = own.permute(0, 2, 3, 1)[mask]
            wanted = label.permute(0, 2, 3, 1)[mask]
            trust = wanted[:, :1]
            size = wanted[:, 3:5].exp().mean(1, keepdim=True).clamp(min=0.5)
            centre = (chosen[:, 1:3] - wanted[:, 1:3]) / size
            box_sum = box_sum + (trust * (_smooth(centre, 0.05) + _smooth(chosen[:, 3:5] - wanted[:, 3:5], 0.05))).sum()
            eyes = (wanted[:, 5:7] - wanted[:, 7:9]).norm(dim=1, keepdim=True)
            scale = torch.maximum(eyes, 0.25 * size)
            landmark_sum = landmark_sum + (trust * _smooth((chosen[:, 5:] - wanted[:, 5:]) / scale, 0.04)).sum()
            count = count + mask.sum()
            with torch.no_grad():
                offset = ((chosen[:, 5:] - wanted[:, 5:]) / scale).view(-1, 5, 2).norm(dim=2)
                parts["landmarks"] += float(offset.mean(1).sum())
    images = float(student[0].shape[0])
    count = count.clamp(min=1)
    total = score_sum / images / 4.0 + weights.box * box_sum / count + weights.landmarks * landmark_sum / count
    parts["score"] = float(score_sum.detach()) / images
    parts["box"] = float((box_sum / count).detach())
    parts["landmarks"] /= float(count)
    return total, parts


def _smooth(difference: Tensor, knee: float) -> Tensor:
    """Huber-like: quadratic below `knee`, then linear with slope one; so small errors still count."""
    size = difference.abs()
    return torch.where(size < knee, 0.5 * size * size / knee, size - 0.5 * knee)
