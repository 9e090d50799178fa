"""Whether a recipe can be trained: every number in its range, and nothing that contradicts anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from twinface.core.files import shown
from twinface.errors import RecipeError
from twinface.training.backbones import NAMES, SMALLEST
from twinface.training.recipe import (
    SOURCES,
    BackboneRecipe,
    BatchPart,
    DataRecipe,
    DeviceRecipe,
    EvaluationRecipe,
    LossRecipe,
    MiningRecipe,
    OptimiserRecipe,
    Recipe,
    ScheduleRecipe,
    TeacherRecipe,
)

LONGEST_NAME = 100
"""Letters of a name at most; file systems allow 255 bytes, and endings are added."""

SMALLEST_CROP = 16
"""Pixels; a face on fewer is none."""


@dataclass(frozen=True)
class _Range:
    """Which numbers are allowed; None where there is no such bound."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {bound}" for word, bound in words.items() if bound is not None)


_AMOUNT, _COUNT, _POSITIVE = _Range(least=0), _Range(least=1), _Range(above=0)
_SHARE, _PART = _Range(least=0, most=1), _Range(least=0, below=1)

_RANGES: dict[type, dict[str, _Range]] = {
    Recipe: {"seed": _Range(least=0, most=2**32 - 1)},
    DataRecipe: {
        "size": _Range(least=SMALLEST_CROP), "margin": _AMOUNT,
        "validation": _PART, "held_out": _PART, "corrupt": _PART,
    },
    BackboneRecipe: {"dimension": _COUNT, "size": _AMOUNT},
    BatchPart: {"count": _COUNT, "pictures": _COUNT, "views": _AMOUNT, "distil": _AMOUNT},
    MiningRecipe: {"every": _COUNT, "nearest": _COUNT, "same": _AMOUNT, "slack": _AMOUNT, "momentum": _PART},
    LossRecipe: {"weight": _AMOUNT, "margin": _AMOUNT, "positive_margin": _AMOUNT, "scale": _POSITIVE},
    TeacherRecipe: {"mixup": _SHARE},
    OptimiserRecipe: {
        "learning_rate": _POSITIVE, "weight_decay": _AMOUNT, "momentum": _PART, "clip": _AMOUNT, "average": _PART,
        "blend": _Range(above=0, most=1),
    },
    ScheduleRecipe: {"epochs": _AMOUNT, "steps": _AMOUNT, "warmup": _AMOUNT},
    EvaluationRecipe: {"every": _AMOUNT, "threshold": _AMOUNT, "pairs": _Range(least=2)},
    DeviceRecipe: {"workers": _AMOUNT, "threads": _AMOUNT},
}  # fmt: skip
"""`AugmentationOptions` checks its numbers itself."""


def check_recipe(recipe: Recipe) -> None:
    """Refuses impossible values and combinations, so that no work is done for a run that cannot end well.

    Raises:
        RecipeError: the first problem, beginning with its key's path.
    """
    _check_ranges(recipe, "")
    _check_name("name", recipe.name)
    if recipe.export.name:
        _check_name("export.name", recipe.export.name)
    _check_data(recipe.data)
    _check_backbone(recipe)
    _require(bool(recipe.batch), "batch", "a batch needs a part; add [[batch]]")
    for number, part in enumerate(recipe.batch):
        _check_part(recipe, part, f"batch.{number}")
    _require(any(loss.weight > 0 for loss in recipe.loss), "loss", "no loss has weight; add [[loss]] or give it one")
    for number, loss in enumerate(recipe.loss):
        _check_loss(recipe, loss, f"loss.{number}")
    _check_teacher(recipe)
    _check_length(recipe.schedule)
    _require(
        recipe.optimiser.blend == 1.0 or bool(recipe.backbone.start),
        "optimiser.blend",
        "there is no start to blend with; set backbone.start, or blend to 1",
    )


def suggestion(found: str, names: Sequence[str]) -> str:
    """What to write in place of a name that does not exist, as a request: the nearest, else all there are."""
    for near in get_close_matches(found, names, n=1):
        return f"did you mean {shown(near)}?"
    return f"choose one of {shown(', '.join(names))}"


def _require(holds: bool, path: str, problem: str) -> None:
    if not holds:
        raise RecipeError(f"{path}: {problem}")


def _check_ranges(value: Any, path: str) -> None:
    """Every number of the tree, in the order of its fields."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            _check_ranges(item, f"{path}.{number}")
    if not is_dataclass(value):
        return
    ranges = _RANGES.get(type(value), {})
    for field in fields(value):
        key, inner = f"{path}.{field.name}".lstrip("."), getattr(value, field.name)
        if field.name in ranges:
            _require(inner in ranges[field.name], key, f"must be {ranges[field.name]}, got {inner}")
        _check_ranges(inner, key)


def _check_name(path: str, name: str) -> None:
    """Folders and models bear it, on any system."""
    _require(name.strip(" .") == name != "", path, "must not be empty, nor begin or end with a space or a dot")
    _require(
        name.isprintable() and not set(name) & set('/\\:*?"<>|'),
        path,
        f"{shown(name)} cannot name a folder; use letters, digits, '-' and '_'",
    )
    _require(
        len(name) <= LONGEST_NAME and len(name.encode()) <= 2 * LONGEST_NAME,
        path,
        f"must have at most {LONGEST_NAME} letters ({2 * LONGEST_NAME} bytes), has {len(name)}; shorten it",
    )


def _check_sources(path: str, found: tuple[str, ...], known: tuple[str, ...], those: str) -> None:
    for number, name in enumerate(found):
        where = f"{path}.{number}"
        _require(name in known, where, f'"{shown(name)}" is not among {those}; {suggestion(name, known)}')
        _require(name not in found[:number], where, f'"{name}" is named twice; leave one out')


def _check_data(data: DataRecipe) -> None:
    _require(bool(data.sources), "data.sources", f"there are none; {suggestion('', SOURCES)}")
    _check_sources("data.sources", data.sources, SOURCES, "the sources there are")
    _require(
        "folder" not in data.sources or len(data.sources) == 1,
        "data.sources",
        "folder goes with no other source, as data.root is its place; leave it or the others out",
    )
    _require(
        data.crop == "aligned" or data.margin == 0,
        "data.margin",
        f'pictures resized as a "whole" have none, got {data.margin}; set it to 0',
    )


def _check_backbone(recipe: Recipe) -> None:
    backbone, side = recipe.backbone, recipe.data.size
    _require(
        backbone.name in NAMES,
        "backbone.name",
        f'there is no backbone "{shown(backbone.name)}"; {suggestion(backbone.name, NAMES)}',
    )
    if backbone.start == "dlib":
        told = 'start = "dlib" is a resnet29 of dimension 128'
        _require(backbone.name == "resnet29", "backbone.name", f"{told}, got {backbone.name}")
        _require(backbone.dimension == 128, "backbone.dimension", f"{told}, got {backbone.dimension}")
    _require(
        backbone.size <= side, "backbone.size", f"must be at most data.size, {side}, got {backbone.size}; lower it"
    )
    size, path = (backbone.size, "backbone.size") if backbone.size else (side, "data.size")
    smallest = SMALLEST.get(backbone.name, SMALLEST_CROP)
    _require(size >= smallest, path, f"must be at least {smallest} for {backbone.name}, got {size}; raise it")
    _require(
        backbone.name != "mobilefacenet" or size % 16 == 0,
        path,
        f"must be a multiple of 16 for mobilefacenet, got {size}; take {size // 16 * 16}",
    )


def _check_part(recipe: Recipe, part: BatchPart, path: str) -> None:
    _check_sources(f"{path}.sources", part.sources, recipe.data.sources, "data.sources")
    if part.kind == "pairs":
        _require(
            len(recipe.batch) == 1,
            f"{path}.kind",
            f'"pairs" fill the whole batch, and it has {len(recipe.batch)} parts; leave the others out',
        )
        sources = part.sources or recipe.data.sources
        _require(
            part.pairing != "given" or sources == ("lfw-dev-train",),
            f"{path}.pairing",
            f'only lfw-dev-train gives pairs, this part draws from {", ".join(sources)}; choose "all" or "balanced", '
            "or set its sources",
        )
    if part.kind == "neighbours":
        _require(
            any(loss.kind == "contrastive" and loss.weight > 0 for loss in recipe.loss),
            f"{path}.kind",
            '"neighbours" are there to be pushed apart; add a contrastive loss',
        )
        _require(
            bool(recipe.teacher.model) and recipe.teacher.view == "clean",
            f"{path}.kind",
            '"neighbours" are first found by a teacher\'s templates; set teacher.model, and teacher.view = "clean"',
        )
        _require(
            part.pictures <= recipe.mining.nearest,
            f"{path}.pictures",
            f"an anchor brings {part.pictures} of the {recipe.mining.nearest} neighbours that mining.nearest "
            "remembers; lower it or raise that",
        )
        all_pictures = part.count * (1 + part.pictures)
        _require(
            part.views <= all_pictures,
            f"{path}.views",
            f"the part has {all_pictures} pictures, {part.views} cannot come again; lower it",
        )


def _check_loss(recipe: Recipe, loss: LossRecipe, path: str) -> None:
    if loss.kind == "contrastive":
        _require(
            loss.positive_margin < loss.margin,
            f"{path}.positive_margin",
            f"must be below the margin, {loss.margin}, got {loss.positive_margin}",
        )
    if loss.kind in ("contrastive", "triplet"):
        _require(
            loss.margin <= 2 or not recipe.backbone.unit,
            f"{path}.margin",
            f"distances of unit embeddings end at 2, got {loss.margin}; lower it or set backbone.unit = false",
        )
    if loss.kind in ("arcface", "cosface"):
        most, unit = (1.57, "radians") if loss.kind == "arcface" else (1.0, "a cosine")
        _require(loss.margin <= most, f"{path}.margin", f"must be at most {most} ({unit}), got {loss.margin}")
        _require(
            all(part.kind != "pairs" for part in recipe.batch),
            f"{path}.kind",
            f'{loss.kind} tells persons apart, not pairs; make the batch of kind "per-class" or "random"',
        )
    if loss.kind == "distillation":
        _require(bool(recipe.teacher.model), f"{path}.kind", "there is nobody to learn from; set teacher.model")


def _check_teacher(recipe: Recipe) -> None:
    teacher = recipe.teacher
    _require(
        not teacher.model
        or any(loss.kind == "distillation" for loss in recipe.loss)
        or any(part.kind == "neighbours" for part in recipe.batch),
        "teacher.model",
        'nothing is learnt from the teacher; add a loss of kind "distillation", or leave the teacher out',
    )
    _require(
        teacher.mixup == 0 or teacher.view == "same",
        "teacher.mixup",
        'the teacher must see the blended picture; set teacher.view = "same", or mixup to 0',
    )


def _check_length(schedule: ScheduleRecipe) -> None:
    _require(
        (schedule.epochs > 0) != (schedule.steps > 0),
        "schedule",
        f"either epochs or steps say how long, got {schedule.epochs} and {schedule.steps}; set one and leave the other",
    )
    _require(
        not schedule.steps or schedule.warmup < schedule.steps,
        "schedule.warmup",
        f"must be less than the {schedule.steps} steps of the run, got {schedule.warmup}",
    )
