"""ArcFace and CosFace: every person has a centre on the sphere, and pictures are told to which they belong."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor

from twinface.training.losses.interface import Loss, LossInput

COSINE_LIMIT = 1.0 - 1e-6
"""Largest cosine an angle is taken of: nearer to 1 the angle's gradient has no bound."""


class ClassificationLoss(Loss):
    """Cross entropy over the cosines between embedding and person centres, times `scale`, once the own person's was
    made harder: cos(angle + margin) for "arcface" (J. Deng et al., "ArcFace: additive angular margin loss for deep face
    recognition", CVPR 2019, eq. 3), cos(angle) - margin for "cosface" (H. Wang et al., "CosFace: large margin cosine
    loss for deep face recognition", CVPR 2018, eq. 4). The mean over the pictures whose person is known.

    The centres are trained with the network and are the only weights a loss has. Where adding the margin would carry
    an angle past 180 degrees, "arcface" takes cos(angle) - margin * sin(margin), so that the cost keeps rising.

    `last` is empty.

    Args:
        kind: "arcface" or "cosface".
        margin: radians for "arcface", cosine for "cosface".
        scale: inverse temperature.
        persons: how many persons there are, numbered from 0.
        dimension: length of the embeddings; their norm does not matter.
        random: draws the first centres.
    """

    def __init__(
        self,
        kind: Literal["arcface", "cosface"],
        margin: float,
        scale: float,
        persons: int,
        dimension: int,
        random: np.random.Generator,
    ) -> None:
        super().__init__()
        self.persons = persons

        @torch.no_grad()
        def draw(centres: Tensor) -> None:
            centres.copy_(torch.from_numpy(random.standard_normal(centres.shape, np.float32)))

        if kind == "arcface":  # the library wants degrees
            self.loss = _ArcFace(persons, dimension, margin=math.degrees(margin), scale=scale, weight_init_func=draw)
        else:
            self.loss = CosFaceLoss(persons, dimension, margin=margin, scale=scale, weight_init_func=draw)

    def compute(self, embeddings: Tensor, given: LossInput) -> tuple[Tensor, dict[str, Tensor]]:
        """See the class.

        Raises:
            ValueError: a person's number is too large.
        """
        centres: Tensor = self.loss.W
        known = given.persons >= 0
        embeddings, persons = embeddings[known].to(centres.dtype), given.persons[known]
        if not len(persons):
            return embeddings.sum() + 0 * centres.sum(), {}
        if int(persons.max()) >= self.persons:
            raise ValueError(f"persons must lie below {self.persons}, got {int(persons.max())}")
        loss: Tensor = self.loss(embeddings, persons)
        return loss, {}


class _ArcFace(ArcFaceLoss):  # type: ignore[misc]  # the library has no types
    """The library's loss with a finite gradient where an embedding points exactly at a centre or away from it."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        return cosine_of_target_classes.clamp(-COSINE_LIMIT, COSINE_LIMIT).acos()
