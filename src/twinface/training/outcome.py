"""What came of a run: results.json, curves.png and the record of whom it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from twinface.core.files import write_atomically
from twinface.core.provenance import write_training
from twinface.training.ancestry import TRAINING, inherited, joined
from twinface.training.checkpoint import Checkpoint
from twinface.training.curves import draw_curves
from twinface.training.learner import fill
from twinface.training.materials import Materials
from twinface.training.preprocessing import preprocessing
from twinface.training.recipe import Recipe
from twinface.training.run_folder import RunFolder
from twinface.training.sources import training_sets
from twinface.training.start import EXPORT, starting_network
from twinface.training.twin import Twin
from twinface.training.validation import Judge, Judgement, embedder


def write_outcome(
    folder: RunFolder,
    recipe: Recipe,
    best: Checkpoint,
    judges: Mapping[str, Judge],
    device: torch.device,
    materials: Materials,
) -> None:
    """Judges the finished network and the one it started as, and writes what came out into the run's folder.

    Raises:
        ContractMismatch: the finished weights are another network's.
        OutputError: a file cannot be written.
    """
    network = starting_network("", *_shape(recipe))
    fill(network, {name.removeprefix(EXPORT): value for name, value in best.tensors.items()}, "best network")
    torch.manual_seed(recipe.seed)
    start = starting_network(recipe.backbone.start, *_shape(recipe))
    results = {
        "best_step": best.step,
        "best_epoch": round(best.epoch, 3),
        "finished": _judged(network, recipe, judges, device),
        "start": _judged(start, recipe, judges, device),
        "pictures": {"train": len(materials.train.rows), "validation": len(materials.validation.rows)},
        "persons": {
            "train": len(set(materials.train.persons.tolist())),
            "validation": len(set(materials.validation.persons.tolist())),
        },
        "skipped": len(materials.store.failures),
    }
    folder.write_results(results)
    kept = {shot.person for shot in materials.store.shots}
    record = write_training(joined([*training_sets(materials.sources, kept), *inherited(recipe)])).encode()
    write_atomically(folder.path / TRAINING, lambda file: file.write(record))
    draw_curves(folder.metrics, folder.curves, recipe.name, best.step)


def _shape(recipe: Recipe) -> tuple[str, int, int]:
    return recipe.backbone.name, recipe.backbone.dimension, preprocessing(recipe).size


def _judged(
    network: nn.Module, recipe: Recipe, judges: Mapping[str, Judge], device: torch.device
) -> dict[str, dict[str, Any]]:
    """Every judge's figures, with mirror images if the model is to be used so.

    The threshold is the recipe's or the best on the training pairs.
    """
    twin = Twin(network, recipe.backbone.unit).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    mirror = recipe.export.mirror and recipe.backbone.unit
    embed = embedder(twin, preprocessing(recipe).to(device), device, mirror)
    threshold = recipe.evaluation.threshold or None
    found: dict[str, dict[str, Any]] = {}
    for name in ("train", *(name for name in judges if name != "train")):
        one = judges[name](embed, threshold)
        threshold = one.threshold
        found[name] = _figures(one)
    return found


def _figures(one: Judgement) -> dict[str, Any]:
    counts = one.counts
    return {
        "loss": one.loss,
        "accuracy": one.accuracy,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "threshold": one.threshold,
        "pairs": asdict(counts),
        **one.more,
    }
