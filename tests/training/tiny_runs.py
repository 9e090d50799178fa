"""Runs small enough for tests: persons whose faces are a few blots of colour, and recipes for them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twinface.training.augmentation import PLAIN
from twinface.training.learner import Learner
from twinface.training.loop import Hardware, Job, train
from twinface.training.recipe import (
    BackboneRecipe,
    BatchPart,
    DataRecipe,
    DeviceRecipe,
    EvaluationRecipe,
    ExportRecipe,
    LossRecipe,
    MiningRecipe,
    OptimiserRecipe,
    Recipe,
    ScheduleRecipe,
    TeacherRecipe,
)
from twinface.training.recipe_file import write_recipe
from twinface.training.run_folder import RunFolder

SIDE = 64
CPU = Hardware("cpu")


def write_faces(folder: Path, persons: int = 6, pictures: int = 4, *, lamp: float = 0.0, seed: int = 0) -> Path:
    """A folder for each person with PNGs.

    A person is a pattern of 3x3 blots; `lamp` lights each picture in a colour of its own, so strongly that without
    learning to look past it nobody is known again.
    """
    random = np.random.default_rng(seed)
    for person in range(persons):
        blots = random.uniform(-45, 45, (3, 3, 3)).astype(np.float32)
        layers = [Image.fromarray(blots[..., one]).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for one in range(3)]
        pattern = np.stack([np.asarray(layer) for layer in layers], 2)
        home = folder / f"person{person:02d}"
        home.mkdir(parents=True)
        for number in range(pictures):
            light = 128 + lamp * random.uniform(-1, 1, 3)
            pixels = np.clip(pattern + light + random.normal(0, 8, pattern.shape), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(home / f"{number}.png")
    return folder


def recipe_of(root: Path, **changes: Any) -> Recipe:
    """Twelve steps of eight pictures, looked at every five; `changes` replace parts of it."""
    plain = Recipe(
        name="tiny",
        data=DataRecipe(root=str(root), crop="whole", size=SIDE, margin=0, validation=0.3),
        backbone=BackboneRecipe("convolutions", 16, unit=True),
        batch=(BatchPart("per-class", count=4, pictures=2),),
        loss=(LossRecipe("contrastive", margin=1.0),),
        optimiser=OptimiserRecipe("adamw", 1e-3),
        schedule=ScheduleRecipe("constant", steps=12),
        augmentation=PLAIN,
        evaluation=EvaluationRecipe(every=5, pairs=200),
        export=ExportRecipe(mirror=False),
        device=DeviceRecipe(threads=1),
    )
    return replace(plain, **changes)


def mined(root: Path, teacher: Path, **changes: Any) -> Recipe:
    """All that a run can remember: a memory bank, a teacher, an average, a start to blend with.

    Args:
        root: of the pictures.
        teacher: a finished run with the same backbone, which is the start too.
        changes: as of `recipe_of`.
    """
    return recipe_of(
        root,
        backbone=BackboneRecipe("convolutions", 16, start=str(teacher), unit=True),
        batch=(
            BatchPart("neighbours", count=2, pictures=2, views=2, distil=0.5),
            BatchPart("per-class", count=2, pictures=2),
        ),
        loss=(LossRecipe("contrastive", margin=0.5, reduce="violations"), LossRecipe("distillation", weight=2.0)),
        mining=MiningRecipe(every=4, nearest=3, same=0.01),
        teacher=TeacherRecipe(str(teacher)),
        optimiser=OptimiserRecipe("adamw", 1e-3, average=0.9, blend=0.5),
        **changes,
    )


def begun(recipe: Recipe, parent: Path) -> Job:
    """A new run in a folder."""
    return Job(RunFolder.create(parent / "runs", recipe.name, write_recipe(recipe)).path, parent / "crops")


def finished(recipe: Recipe, parent: Path) -> RunFolder:
    """A run brought to its end in this process."""
    job = begun(recipe, parent)
    assert train(job, CPU, lambda line: None)
    return RunFolder.open(job.run)


def stop_after(steps: int, patch: pytest.MonkeyPatch, number: int = signal.SIGTERM) -> Callable[[], None]:
    """Has this process be sent a signal while it takes the step after so many; the answer takes that back."""
    learn, taken = Learner.learn, 0

    def counted(learner: Learner, loaded: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == steps:
            signal.raise_signal(number)
        return learn(learner, loaded)

    patch.setattr(Learner, "learn", counted)
    return lambda: patch.setattr(Learner, "learn", learn)
