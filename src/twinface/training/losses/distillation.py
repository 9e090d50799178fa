"""Distillation loss: the student's templates are to be the teacher's."""

from __future__ import annotations

from torch import Tensor

from twinface.errors import RecipeError
from twinface.training.losses.interface import Loss, LossInput


class DistillationLoss(Loss):
    """Squared Euclidean distance between the student's and the teacher's template of a picture, times the picture's
    factor, averaged over all pictures of the batch, those of factor 0 included. No gradient reaches the teacher.

    `last` is empty.
    """

    def compute(self, embeddings: Tensor, given: LossInput) -> tuple[Tensor, dict[str, Tensor]]:
        """See the class.

        Raises:
            RecipeError: there is no teacher, or its templates are of another dimension.
        """
        if given.targets is None:
            raise RecipeError("loss distillation: there is no teacher; name one as teacher.model or leave the loss out")
        if given.targets.shape != embeddings.shape:
            raise RecipeError(
                f"loss distillation: the teacher's templates have {given.targets.shape[1]} numbers, the student's "
                f"{embeddings.shape[1]}; make backbone.dimension {given.targets.shape[1]} or choose another teacher"
            )
        costs = (embeddings - given.targets.detach().to(embeddings.dtype)).square().sum(dim=1)
        if given.distil is not None:
            costs = costs * given.distil.to(costs.dtype)
        return costs.sum() / max(len(costs), 1), {}
