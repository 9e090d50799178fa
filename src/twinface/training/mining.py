"""A memory bank of templates: which pictures of other persons in one's own group look most alike."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from twinface.errors import RecipeError
from twinface.training.recipe import MiningRecipe

BLOCK = 1 << 22
"""So many distances are held at once in a search, whatever the number of pictures: some 60 MB."""

FLOOR = 1e-3
"""Hardness an anchor has at least when anchors are drawn, as a share of the mean."""


class MemoryBank:
    """Remembers a template of every picture, the neighbours it had at the last search, and how hard these are.

    Before the first search, or `load`, no picture has neighbours.

    Args:
        templates: of the base, floating (N, D), brought to unit length; the bank lives on their device.
        groups: number of each picture's group, (N,); a picture of group -1 has no neighbours.
        recipe: how to mine.
        margin: distance that the loss pushes non-mated pairs past.
        persons: number of each picture's person, (N,), -1 for unknown; two pictures of one person are never
            neighbours. If None, every picture is a person of its own.

    Attributes:
        templates: as last remembered, unit length, float32 (N, D).
        base: those the bank began with.
        neighbours: rows of the nearest pictures, nearest first, padded with -1, (N, nearest).
        hardness: sum over a picture's neighbours of how far they are within margin + slack, (N,).

    Raises:
        ValueError: shapes do not match.
    """

    def __init__(
        self,
        templates: Tensor,
        groups: NDArray[np.int64],
        recipe: MiningRecipe,
        margin: float,
        persons: NDArray[np.int64] | None = None,
    ) -> None:
        if (
            templates.ndim != 2
            or groups.shape != (len(templates),)
            or (persons is not None and persons.shape != groups.shape)
        ):
            shapes = [tuple(one.shape) for one in (templates, groups, persons) if one is not None]
            raise ValueError(f"memory bank: templates must be (N, D), groups and persons (N,), got {shapes}")
        self._recipe, self._margin = recipe, margin
        self.base = F.normalize(templates.detach().float())
        self.templates = self.base.clone()
        self.neighbours = np.full((len(templates), recipe.nearest), -1, np.int64)
        self.hardness = np.zeros(len(templates))
        order = np.argsort(groups, kind="stable")
        named = order[groups[order] >= 0]
        ends = [0, *(np.flatnonzero(np.diff(groups[named])) + 1), len(named)]
        members = [named[start:end] for start, end in pairwise(ends)]
        self._groups = [torch.from_numpy(rows).to(templates.device) for rows in members if len(rows)]
        self._persons = None if persons is None else torch.from_numpy(persons).to(templates.device)

    @torch.no_grad()
    def update(self, rows: Tensor, templates: Tensor) -> None:
        """Mixes new templates into the old, `momentum` parts of these, and brings the mixture to unit length.

        Args:
            rows: whose they are, int64 (n,); of several for one row the mean counts.
            templates: unit length, (n, D).
        """
        places, which = torch.unique(rows.to(self.templates.device), return_inverse=True)
        # a product and no scattered addition: that would sum in any order on a GPU
        shares = (which == torch.arange(len(places), device=places.device)[:, None]).float()
        means = shares @ templates.detach().to(self.templates) / shares.sum(dim=1, keepdim=True)
        momentum = self._recipe.momentum
        self.templates[places] = F.normalize(momentum * self.templates[places] + (1 - momentum) * means)

    @torch.no_grad()
    def search(self) -> None:
        """Finds every picture's nearest neighbours among the other persons of its group, and its hardness.

        Pictures whose templates the base finds nearer than `same` may show one person and are no neighbours.
        """
        for members in self._groups:
            templates, base = self.templates[members], self.base[members]
            persons = None if self._persons is None else self._persons[members]
            everyone = torch.arange(len(members), device=members.device)
            rows_at_once = max(1, BLOCK // len(members))
            for start in range(0, len(members), rows_at_once):
                places = everyone[start : start + rows_at_once]
                allowed = (base[places] @ base.T).clamp_(max=1) <= 1 - self._recipe.same**2 / 2
                allowed[places - start, places] = False  # nobody is a neighbour of itself
                if persons is not None:
                    allowed &= (persons[places, None] != persons) | (persons < 0)
                likeness = (templates[places] @ templates.T).masked_fill_(~allowed, -torch.inf)
                found = likeness.topk(min(self._recipe.nearest, len(members)))
                self._remember(members[places], members[found.indices], found.values > -torch.inf)

    def _remember(self, rows: Tensor, neighbours: Tensor, real: Tensor) -> None:
        """Keeps the neighbours found for some rows, (n, k) of which some are real, with their hardness."""
        differences = self.templates[rows, None].double() - self.templates[neighbours].double()
        short = F.relu(self._margin + self._recipe.slack - differences.norm(dim=2)) * real
        places = rows.cpu().numpy()
        self.neighbours[places, : neighbours.shape[1]] = neighbours.where(real, -1).cpu().numpy()
        self.hardness[places] = short.sum(dim=1).cpu().numpy()

    def draw(
        self, anchors: int, neighbours: int, random: np.random.Generator, among: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Draws anchors, the harder the likelier, each followed by some of its neighbours.

        Args:
            anchors: how many; all pictures if there are fewer.
            neighbours: how many of its neighbours each brings; all if it has fewer.
            random: where chance comes from.
            among: rows of the pictures that may be anchors, none of them twice; None for all.

        Returns:
            Rows, none of them twice: at most anchors * (1 + neighbours).
        """
        among = np.arange(len(self.hardness)) if among is None else among
        hardness = self.hardness[among]
        weights = hardness + FLOOR * hardness.mean() + np.finfo(np.float64).tiny
        count = min(anchors, len(weights))
        chosen: list[int] = []
        for anchor in random.choice(among, count, replace=False, p=weights / weights.sum()):
            near = self.neighbours[anchor]
            near = near[near >= 0]
            chosen += [int(anchor), *random.choice(near, min(neighbours, len(near)), replace=False).tolist()]
        return np.array(list(dict.fromkeys(chosen)), np.int64)

    def state(self) -> dict[str, Tensor]:
        """A copy of all that a resumed run needs, on the CPU."""
        return {
            "base": self.base.to("cpu", copy=True),
            "templates": self.templates.to("cpu", copy=True),
            "neighbours": torch.tensor(self.neighbours),
            "hardness": torch.tensor(self.hardness),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` gave, to the bit.

        Raises:
            RecipeError: it is the state of another bank.
        """
        for name, own in self.state().items():
            kept = state.get(name)
            if kept is None or kept.shape != own.shape or kept.dtype != own.dtype:
                found = "nothing" if kept is None else f"{str(kept.dtype).removeprefix('torch.')} {tuple(kept.shape)}"
                raise RecipeError(
                    f"memory bank: its {name} should be {str(own.dtype).removeprefix('torch.')} {tuple(own.shape)}, "
                    f"the checkpoint has {found}; resume with the data and the recipe the run began with"
                )
        self.base, self.templates = (state[name].to(self.base.device, copy=True) for name in ("base", "templates"))
        self.neighbours, self.hardness = (state[name].cpu().numpy().copy() for name in ("neighbours", "hardness"))


def subjects_apart(base: Tensor, same: float) -> Tensor:
    """Which pairs may be taken for non-mated: those that the base does not find nearly identical.

    Args:
        base: the base's templates, floating (B, D).
        same: base distance below which two pictures may show one person.

    Returns:
        bool (B, B), False on the diagonal.
    """
    # the quick way over a product is off by 0.001 just where distances are small
    distances = torch.cdist(base.float(), base.float(), compute_mode="donot_use_mm_for_euclid_dist")
    return (distances >= same).fill_diagonal_(False)
