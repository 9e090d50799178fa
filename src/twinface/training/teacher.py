"""The network that a distillation loss follows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from twinface.core.files import write_atomically
from twinface.models.registry import find_encoder
from twinface.training.augmentation import centre
from twinface.training.crops import CropStore
from twinface.training.export import fuse
from twinface.training.preprocessing import Preprocessing, preprocessing
from twinface.training.recipe import BackboneRecipe, Recipe
from twinface.training.recipe_file import read_recipe
from twinface.training.start import starting_network

BATCH = 64
UNIT = 1e-3
"""Templates that are kept are no further from unit length, or they were damaged."""


class Teacher(nn.Module):
    """A finished encoder, which does not learn.

    Args:
        network: its backbone.
        preprocessing: of its input.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network, self.preprocessing = network.eval().requires_grad_(False), preprocessing

    @torch.no_grad()
    def forward(self, crops: Tensor) -> Tensor:
        """Crops in grey levels, float32 (N, 3, S, S), to unit templates (N, D)."""
        return F.normalize(self.network(self.preprocessing(crops)).float())

    def mirrored(self, crops: Tensor) -> Tensor:
        """Unit templates of crops and their mirror images together."""
        return F.normalize(self(crops) + self(crops.flip(3)))

    def fused(self) -> Teacher:
        """One that answers the same but for rounding, and sooner: see `export.fuse`."""
        return Teacher(fuse(self.network).to(memory_format=torch.channels_last), self.preprocessing)  # type: ignore[call-overload]

    def digest(self) -> str:
        """SHA-256 over the weights."""
        found = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def open_teacher(model: str) -> Teacher:
    """A teacher by a shipped encoder's name, "dlib", a contract's path or a run's folder.

    Raises:
        ModelError: it cannot be found.
        RecipeError: it is no network of ours.
    """
    backbone = BackboneRecipe("resnet29", 128, start=model)
    if model == "dlib":
        prepare = preprocessing(Recipe(name="teacher", backbone=backbone))
    elif Path(model).is_dir():
        recipe = read_recipe(Path(model) / "recipe.toml")
        backbone, prepare = replace(recipe.backbone, start=model), preprocessing(recipe)
    else:
        contract = find_encoder(model)[1]
        backbone = replace(backbone, dimension=contract.dimension)
        prepare = Preprocessing(contract.size, contract.mean, contract.scale)
    network = starting_network(backbone.start, backbone.name, backbone.dimension, prepare.size)
    return Teacher(network.to(memory_format=torch.channels_last), prepare)  # type: ignore[call-overload]


def clean_templates(
    teacher: Teacher,
    store: CropStore,
    size: int,
    cache: Path,
    *,
    device: torch.device | str = "cpu",
) -> NDArray[np.float32]:
    """The teacher's templates of every stored crop and its mirror image, computed once and kept.

    Args:
        teacher: whose templates.
        store: the crops.
        size: their side without margin, pixels.
        cache: folder to keep the templates in.
        device: where to compute.

    Returns:
        Unit length, float32, (N, D).

    Raises:
        OutputError: they cannot be kept.
    """
    path = cache / f"{store.path.stem[:32]}-{teacher.digest()[:32]}.npy"
    kept = _recall(path, len(store.shots))
    if kept is not None:
        return kept
    teacher = teacher.to(device)
    parts = []
    for start in range(0, len(store.shots), BATCH):
        stored = torch.from_numpy(np.array(store.pixels[start : start + BATCH])).to(device)
        parts.append(teacher.mirrored(centre(stored, size)).cpu().numpy())
    templates = np.concatenate(parts).astype(np.float32)
    write_atomically(path, lambda file: np.save(file, templates, allow_pickle=False))
    return templates


def _recall(path: Path, count: int) -> NDArray[np.float32] | None:
    """The templates kept in a file; None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            found = npy.read_array(file, allow_pickle=False)
    except (OSError, ValueError, TokenError):
        return None
    if found.dtype != np.float32 or found.ndim != 2 or len(found) != count:
        return None
    whole = np.abs(np.linalg.norm(found, axis=1) - 1.0).max() <= UNIT
    return found if whole else None
