"""Contrastive loss: draws mated pairs together and pushes non-mated pairs past a margin."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from twinface.training.losses.interface import Loss, LossInput
from twinface.training.twin import distances, pairwise_distances


class ContrastiveLoss(Loss):
    """Contrastive loss on Euclidean distance d (S. Chopra, R. Hadsell, Y. LeCun, "Learning a similarity metric
    discriminatively, with application to face verification", CVPR 2005; in the form with a margin of R. Hadsell, S.
    Chopra, Y. LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006, without its factor 1/2).

    A mated pair costs max(0, d - positive_margin)^2, a non-mated pair max(0, margin - d)^2. If the batch lists pairs,
    exactly those count; otherwise all pairs of pictures whose persons are known, less the non-mated pairs that
    `LossInput.apart` rules out.

    `reduce` "pairs" yields the mean over all pairs. "violations" yields the mean over mated pairs, plus what the
    non-mated pairs of a picture cost together, averaged over the B pictures: every pair counts for both its pictures,
    and the push on a violating pair does not fade as violations become rare.

    `last` holds "mated" and "non_mated", the two addends of the loss, and "violations": with how many others of the
    batch a picture makes a non-mated pair within the margin, on average.
    """

    def __init__(self, margin: float, positive_margin: float, reduce: Literal["pairs", "violations"]) -> None:
        super().__init__()
        self.margin, self.positive_margin, self.reduce = margin, positive_margin, reduce

    def compute(self, embeddings: Tensor, given: LossInput) -> tuple[Tensor, dict[str, Tensor]]:
        """See the class."""
        if given.pairs is None or given.mated is None:
            gaps = pairwise_distances(embeddings)
            mated, non_mated = _all_pairs(given)
        else:
            gaps = distances(embeddings[given.pairs[:, 0]], embeddings[given.pairs[:, 1]])
            mated, non_mated = given.mated, ~given.mated
        pull = (F.relu(gaps - self.positive_margin).square() * mated).sum()
        push = (F.relu(self.margin - gaps).square() * non_mated).sum()
        pictures = max(len(embeddings), 1)
        if self.reduce == "pairs":
            count = (mated.sum() + non_mated.sum()).clamp(min=1)
            pull, push = pull / count, push / count
        else:
            pull, push = pull / mated.sum().clamp(min=1), 2 * push / pictures
        violations = 2 * ((gaps < self.margin) & non_mated).sum() / pictures
        return pull + push, {"mated": pull, "non_mated": push, "violations": violations}


def _all_pairs(given: LossInput) -> tuple[Tensor, Tensor]:
    """Which pairs are mated and which non-mated, bool (B, B) each, every pair once, above the diagonal."""
    known = given.persons >= 0
    counted = torch.triu(known[:, None] & known[None, :], diagonal=1)
    same = given.persons[:, None] == given.persons[None, :]
    apart = ~same if given.apart is None else ~same & given.apart & given.apart.T
    return counted & same, counted & apart
