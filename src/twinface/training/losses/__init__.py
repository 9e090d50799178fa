"""The terms of the loss, built from their recipes."""

from __future__ import annotations

import math

import numpy as np

from twinface.errors import RecipeError
from twinface.training.losses.classification import ClassificationLoss
from twinface.training.losses.contrastive import ContrastiveLoss
from twinface.training.losses.distillation import DistillationLoss
from twinface.training.losses.interface import Loss, LossInput
from twinface.training.losses.triplet import TripletLoss
from twinface.training.recipe import LossRecipe

__all__ = ["KINDS", "Loss", "LossInput", "build_loss"]

KINDS = ("contrastive", "triplet", "arcface", "cosface", "distillation")
"""What `LossRecipe.kind` may name."""


def build_loss(recipe: LossRecipe, *, persons: int, dimension: int, random: np.random.Generator | None = None) -> Loss:
    """Builds one term; its weight is left to the caller.

    Args:
        recipe: of the term.
        persons: how many persons there are to train on; only "arcface" and "cosface" ask.
        dimension: length of the embeddings; only "arcface" and "cosface" ask.
        random: draws the first centres of "arcface" and "cosface"; one of seed 0 if None.

    Raises:
        RecipeError: an unknown kind, a negative margin, no scale, or fewer than two persons to tell apart.
    """
    _check(recipe)
    if recipe.kind == "contrastive":
        return ContrastiveLoss(recipe.margin, recipe.positive_margin, recipe.reduce)
    if recipe.kind == "triplet":
        return TripletLoss(recipe.margin, recipe.mining)
    if recipe.kind == "distillation":
        return DistillationLoss()
    if persons < 2:
        raise RecipeError(f"loss {recipe.kind}: needs two persons or more, the training data have {persons}; add some")
    random = np.random.default_rng(0) if random is None else random
    return ClassificationLoss(recipe.kind, recipe.margin, recipe.scale, persons, dimension, random)


def _check(recipe: LossRecipe) -> None:
    """Refuses what no term can be built from, also where no recipe file was read."""
    choices = {
        "kind": KINDS,
        "mining": ("all", "semi-hard", "hard"),
        "reduce": ("pairs", "violations"),
    }
    for name, allowed in choices.items():
        if getattr(recipe, name) not in allowed:
            raise RecipeError(f"loss: {name} is {getattr(recipe, name)!r}; choose of {', '.join(allowed)}")
    for name in ("margin", "positive_margin"):
        value = getattr(recipe, name)
        if not 0.0 <= value < math.inf:
            raise RecipeError(f"loss {recipe.kind}: {name} is {value}; give a number from 0 up")
    if not 0.0 < recipe.scale < math.inf:
        raise RecipeError(f"loss {recipe.kind}: scale is {recipe.scale}; give a number above 0")
