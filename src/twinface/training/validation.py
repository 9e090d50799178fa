"""What a network in training can do: pairs judged by distance, groups compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from twinface.errors import RecipeError
from twinface.evaluation.verification import Confusion, best_threshold
from twinface.training.augmentation import centre
from twinface.training.crops import CropStore
from twinface.training.recipe import LossRecipe
from twinface.training.roster import Roster
from twinface.training.twin import Twin

BATCH = 64
JUDGE = 14
"""Names the random stream that draws validation pairs."""

FMR = 1e-3
"""Rate over all pairs at whose threshold groups are compared."""

LEAST_GROUP = 30
"""A group with fewer persons is not compared."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs to judge.

    Attributes:
        ends: rows of the crop store, (P, 2).
        mated: (P,).
    """

    ends: NDArray[np.int64]
    mated: NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """How a network judged pairs.

    Attributes:
        loss: contrastive loss, the mean over the pairs.
        accuracy: share judged rightly at the threshold.
        threshold: distance up to which a pair counted as mated.
        counts: what became of every pair.
        more: further figures by name.
    """

    loss: float
    accuracy: float
    threshold: float
    counts: Confusion
    more: dict[str, float] = field(default_factory=dict)


def draw_pairs(roster: Roster, most: int, seed: int) -> Pairs:
    """Half mated, half not, as many of each as there are of the rarer kind and at most `most` in all.

    The pairs a data set lists are taken as they are. The pictures of a non-mated pair are of one source: those of two
    are told apart by their origin.

    Args:
        roster: whose pictures.
        most: pairs.
        seed: of the run.
    """
    if roster.given is not None and roster.given:
        ends = np.array([pair[:2] for pair in roster.given], np.int64)
        return Pairs(roster.rows[ends], np.array([pair[2] for pair in roster.given], bool))
    random = np.random.default_rng([seed, JUDGE])
    albums = roster.albums(np.arange(len(roster.rows)), 2)
    count = min(most // 2, sum(len(album) * (len(album) - 1) // 2 for album in albums))
    mated = _mated(albums, count, random)
    other = _non_mated(roster, len(mated), random)
    mated = mated[: len(other)]
    return Pairs(roster.rows[np.concatenate([mated, other])], np.repeat([True, False], [len(mated), len(other)]))


def _mated(albums: list[NDArray[np.int64]], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    if not count:
        return np.empty((0, 2), np.int64)
    every = np.concatenate([np.stack([album[one] for one in np.triu_indices(len(album), 1)], 1) for album in albums])
    return np.sort(every[random.choice(len(every), count, replace=False)], 1)


def _non_mated(roster: Roster, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Pairs of two persons of one source that has several pictures of somebody; of any two if there is none such."""
    origins = np.array(roster.sources)
    albums = roster.albums(np.arange(len(roster.rows)), 2)
    names = sorted({origins[album[0]] for album in albums})
    crowds = [name for name in names if len(np.unique(roster.persons[origins == name])) > 1]
    places = roster.within(crowds or names)
    if len(np.unique(roster.persons[places])) < 2:
        return np.empty((0, 2), np.int64)
    found = np.empty((0, 2), np.int64)
    while len(found) < count:
        drawn = random.choice(places, (2 * count, 2))
        first, second = drawn.T
        other = roster.persons[first] != roster.persons[second]
        if crowds:
            other &= origins[first] == origins[second]
        found = np.concatenate([found, drawn[other]])[:count]
    return np.sort(found, 1)


class Judge:
    """Judges one set of pairs, and groups where they are known, as often as it is asked.

    Args:
        store: the crops.
        size: their side without margin, pixels.
        pairs: to judge.
        loss: margin and positive margin of the loss that is reported.
        roster: whose groups are compared; None for none.

    Raises:
        RecipeError: there are no pairs.
    """

    def __init__(
        self, store: CropStore, size: int, pairs: Pairs, loss: LossRecipe, roster: Roster | None = None
    ) -> None:
        if not len(pairs.mated):
            raise RecipeError(
                "evaluation: there is no mated or no non-mated pair to judge by; add a second picture of some persons, "
                "or a second person"
            )
        self._store, self._size, self._pairs, self._loss = store, size, pairs, loss
        self._grouped = None if roster is None or (roster.groups >= 0).sum() < LEAST_GROUP else roster
        rows = [pairs.ends.ravel()]
        if self._grouped is not None:
            rows.append(self._grouped.rows[self._grouped.groups >= 0])
        self._rows = np.unique(np.concatenate(rows))

    def __call__(self, embed: Callable[[Tensor], Tensor], threshold: float | None = None) -> Judgement:
        """Judges.

        Args:
            embed: crops in grey levels (N, 3, S, S) to embeddings (N, D).
            threshold: None for the best on these pairs.
        """
        found = self._embed(embed)
        embeddings = np.zeros((len(self._store.shots), found.shape[1]), np.float32)
        embeddings[self._rows] = found
        ends, mated = self._pairs.ends, self._pairs.mated
        distances = np.sqrt(((embeddings[ends[:, 0]] - embeddings[ends[:, 1]]).astype(np.float64) ** 2).sum(1))
        limit = best_threshold(distances, mated) if threshold is None else threshold
        near = np.maximum(0.0, distances - self._loss.positive_margin) ** 2
        far = np.maximum(0.0, self._loss.margin - distances) ** 2
        counts = _counts(distances, mated, limit)
        return Judgement(
            float(np.where(mated, near, far).mean()), float(counts.accuracy or 0.0), limit, counts,
            self._groups(embeddings),
        )  # fmt: skip

    @torch.no_grad()
    def _embed(self, embed: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(self._rows), BATCH):
            stored = torch.from_numpy(self._store.pixels[self._rows[start : start + BATCH]])
            parts.append(embed(centre(stored, self._size)).float().cpu().numpy())
        return np.concatenate(parts)

    def _groups(self, embeddings: NDArray[np.float32]) -> dict[str, float]:
        """Highest false match rate within a group over the lowest, at the threshold for FMR over all."""
        if self._grouped is None:
            return {}
        chosen = self._grouped.groups >= 0
        templates = embeddings[self._grouped.rows[chosen]]
        groups, persons = self._grouped.groups[chosen], self._grouped.persons[chosen]
        squares = (templates**2).sum(1)
        alike = 2.0 * templates @ templates.T - squares[:, None] - squares  # the squared distance, negated
        first, second = np.triu_indices(len(templates), 1)
        other = persons[first] != persons[second]
        first, second = first[other], second[other]
        scores = alike[first, second]
        limit = np.quantile(scores, 1.0 - FMR)
        rates = []
        for group in np.unique(groups):
            within = (groups[first] == group) & (groups[second] == group)
            if len(np.unique(persons[groups == group])) >= LEAST_GROUP:
                rates.append(float((scores[within] >= limit).mean()))
        if len(rates) < 2 or min(rates) == 0.0:
            return {}
        return {"group_ratio": max(rates) / min(rates), "group_worst": max(rates)}


def _counts(distances: NDArray[np.float64], mated: NDArray[np.bool_], limit: float) -> Confusion:
    near = distances <= limit
    return Confusion(
        int((near & mated).sum()), int((near & ~mated).sum()), int((~near & ~mated).sum()), int((~near & mated).sum())
    )


def embedder(
    twin: Twin, preprocessing: nn.Module, device: torch.device, mirror: bool = False
) -> Callable[[Tensor], Tensor]:
    """A twin as it is used: in eval mode, left in the mode it was found in.

    Args:
        twin: the network.
        preprocessing: of its input.
        device: where both are.
        mirror: whether the mirror image's embedding is added, and the sum scaled to unit length.
    """

    def embed(crops: Tensor) -> Tensor:
        learning = twin.training
        twin.eval()
        try:
            ready: Tensor = preprocessing(crops.to(device))
            found: Tensor = twin(ready)
            return F.normalize(found + twin(ready.flip(3))) if mirror else found
        finally:
            twin.train(learning)

    return embed
