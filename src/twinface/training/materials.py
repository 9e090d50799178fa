"""What a run works with: crops, who is in them, the teacher's templates, the pairs to judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twinface.core.files import shown
from twinface.errors import DatasetMissing, RecipeError
from twinface.training.crops import CropStore, prepare
from twinface.training.mining import MemoryBank
from twinface.training.recipe import LossRecipe, Recipe
from twinface.training.roster import Roster, assemble
from twinface.training.sources import DEVTEST, Source, open_sources
from twinface.training.teacher import Teacher, clean_templates, open_teacher
from twinface.training.validation import Judge, draw_pairs

TELL = 1000
"""A line tells of so many crops."""


@dataclass(frozen=True, eq=False)
class Materials:
    """What a run works with.

    Attributes:
        sources: what the recipe names.
        store: its crops.
        train: who is trained on.
        validation: who is kept to watch the run by; empty if the recipe keeps nobody.
        test: the crops of LFW's DevTest; None if the recipe does not ask for them.
        targets: the teacher's unit templates of the training pictures, float32 (N, D); None without a teacher, or
            where it must see what the student sees.
        teacher: in that last case.
    """

    sources: tuple[Source, ...]
    store: CropStore
    train: Roster
    validation: Roster
    test: CropStore | None
    targets: NDArray[np.float32] | None
    teacher: Teacher | None


def gather(
    recipe: Recipe, crops: Path, device: torch.device, report: Callable[[str], None], *, cut: bool = False
) -> Materials:
    """Prepares all that the recipe names.

    Args:
        recipe: of the run.
        crops: folder in which crops and templates are kept.
        device: where a teacher computes.
        report: told what is done.
        cut: whether the crops have been cut, and told of, before.

    Raises:
        TwinFaceError: data are missing or damaged, or the teacher cannot be opened.
    """

    def tell(line: str) -> None:
        if not cut:
            report(line)

    sources, store = cut_crops(recipe, recipe.data.sources, crops, tell)
    test = cut_crops(recipe, (DEVTEST,), crops, tell)[1] if recipe.evaluation.lfw else None
    train, validation = assemble(store, recipe.data.validation, recipe.seed)
    if not len(train.rows):
        raise DatasetMissing("no picture is left to train on; add pictures or lower data.validation")
    targets, teacher = None, None
    if recipe.teacher.model:
        teacher = open_teacher(recipe.teacher.model)
        if recipe.teacher.view == "clean":
            report(f"the teacher's templates of {len(store.shots):,} crops ...")
            targets = clean_templates(teacher, store, recipe.data.size, crops, device=device)[train.rows]
            teacher = None
    return Materials(sources, store, train, validation, test, targets, teacher)


def cut_crops(
    recipe: Recipe, sources: tuple[str, ...], crops: Path, report: Callable[[str], None]
) -> tuple[tuple[Source, ...], CropStore]:
    """Some sources and their crops, cut now if they are not kept from before; says what is left out and why."""
    data = replace(recipe.data, sources=sources)
    opened = open_sources(data)
    for source in opened:
        for note in source.notes:
            report(f"{source.name}: {note}")
    total = sum(len(source.shots) for source in opened)
    report(f"crops of {total:,} pictures of {', '.join(sources)} ...")
    done = count(1)

    def advance() -> None:
        if (number := next(done)) % TELL == 0:
            report(f"{number:,} of {total:,} crops cut")

    store = prepare(opened, data, crops, advance=advance, workers=max(1, recipe.device.workers))
    if store.failures:
        first = store.failures[0]
        report(f"{len(store.failures):,} pictures gave no crop, such as {shown(first.path)} ({first.reason})")
    return opened, store


def memory(recipe: Recipe, materials: Materials) -> MemoryBank | None:
    """The memory bank, if a part of the batch draws neighbours from it.

    Raises:
        RecipeError: there are no templates to fill it with.
    """
    parts = [part for part in recipe.batch if part.kind == "neighbours"]
    if not parts:
        return None
    if materials.targets is None:
        raise RecipeError('teacher.view: neighbours need a teacher whose view is "clean", to fill the memory bank')
    train = materials.train
    groups = np.full(len(train.rows), -1, np.int64)
    together = train.groups.max() + 1  # those of unknown groups, all if none is known, are sought among one another
    for part in parts:
        places = train.within(part.sources, part.groups)
        groups[places] = np.where(train.groups[places] < 0, together, train.groups[places])
    margin = next(loss.margin for loss in recipe.loss if loss.kind == "contrastive")
    return MemoryBank(torch.from_numpy(materials.targets), groups, recipe.mining, margin, train.persons)


def judges(recipe: Recipe, materials: Materials) -> dict[str, Judge]:
    """Who judges the network: "train", "validation" where there is any, and "test" for LFW's DevTest.

    Where nobody is kept for validation, DevTest is the validation.

    Raises:
        DatasetMissing: the training pictures have no mated or no non-mated pair, so that no threshold can be found.
    """
    size, most, seed = recipe.data.size, recipe.evaluation.pairs, recipe.seed
    margins = [loss for loss in recipe.loss if loss.kind in ("contrastive", "triplet")]
    loss = margins[0] if margins else LossRecipe()
    store, validation = materials.store, materials.validation
    trained = draw_pairs(materials.train, most, seed)
    if not len(trained.mated):
        raise DatasetMissing(
            "the training pictures have no two of one person, or are all of one, so that nothing can be judged by "
            "them; add pictures"
        )
    found = {"train": Judge(store, size, trained, loss)}
    if len(validation.rows):
        pairs = draw_pairs(validation, most, seed)
        if len(pairs.mated):
            found["validation"] = Judge(store, size, pairs, loss, validation)
    if materials.test is not None:
        test = Judge(materials.test, size, draw_pairs(assemble(materials.test, 0.0, 0)[0], most, seed), loss)
        found["test" if "validation" in found else "validation"] = test
    return found
