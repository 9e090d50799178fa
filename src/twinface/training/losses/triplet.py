"""Triplet loss: an anchor must lie nearer to its own person than to another, by a margin."""

from __future__ import annotations

from typing import Literal

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer
from torch import Tensor

from twinface.training.losses.interface import Loss, LossInput


class TripletLoss(Loss):
    """Triplet loss max(0, d(anchor, mated) - d(anchor, non-mated) + margin) (F. Schroff, D. Kalenichenko, J. Philbin,
    "FaceNet: a unified embedding for face recognition and clustering", CVPR 2015), on Euclidean distance d, not its
    square.

    `mining` "all" takes every triplet that costs something; "semi-hard" those of them whose non-mated picture is still
    farther than the mated one (FaceNet, section 3.2); both yield the mean over these. "hard" takes the farthest mated
    and the nearest non-mated picture for each anchor and yields the mean over anchors (A. Hermans, L. Beyer, B. Leibe,
    "In defense of the triplet loss for person re-identification", 2017: batch hard).

    Triplets come from the persons of the whole batch; a list of pairs is not looked at. Pictures whose person is
    unknown take no part, and pairs that `LossInput.apart` rules out are never the non-mated ones.

    `last` holds "triplets", how many were taken.
    """

    def __init__(self, margin: float, mining: Literal["all", "semi-hard", "hard"]) -> None:
        super().__init__()
        self.margin, self.mining = margin, mining
        self.loss = TripletMarginLoss(
            margin=margin,
            distance=LpDistance(normalize_embeddings=False),
            reducer=MeanReducer() if mining == "hard" else AvgNonZeroReducer(),
        )

    def compute(self, embeddings: Tensor, given: LossInput) -> tuple[Tensor, dict[str, Tensor]]:
        """See the class."""
        known = given.persons >= 0
        embeddings, persons = embeddings[known], given.persons[known]
        if not len(persons):
            return embeddings.sum(), {"triplets": embeddings.new_zeros(())}
        barred = None
        if given.apart is not None:
            apart = (given.apart & given.apart.T)[known][:, known]
            barred = ~apart & (persons[:, None] != persons[None, :])
        anchors, mated, non_mated = self._miner(barred)(embeddings, persons)
        if barred is not None:  # "hard" takes a barred picture for an anchor that has no other
            kept = ~barred[anchors, non_mated]
            anchors, mated, non_mated = anchors[kept], mated[kept], non_mated[kept]
        loss: Tensor = self.loss(embeddings, persons, (anchors, mated, non_mated))
        return loss, {"triplets": embeddings.new_tensor(len(anchors))}

    def _miner(self, barred: Tensor | None) -> BatchHardMiner | TripletMarginMiner:
        distance = _BarredDistance(barred)
        if self.mining == "hard":
            return BatchHardMiner(distance=distance)
        kind = "semihard" if self.mining == "semi-hard" else "all"
        return TripletMarginMiner(margin=self.margin, type_of_triplets=kind, distance=distance)


class _BarredDistance(LpDistance):  # type: ignore[misc]  # the library has no types
    """Euclidean distance for miners, very large where a pair is barred, bool (B, B)."""

    def __init__(self, barred: Tensor | None) -> None:
        super().__init__(normalize_embeddings=False)
        self.barred = barred

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        distances: Tensor = super().compute_mat(query_emb, ref_emb)
        if self.barred is None:
            return distances
        # below the largest number, with which the miner marks mated pictures when it looks for the nearest other
        return distances.masked_fill(self.barred, torch.finfo(distances.dtype).max / 2)
