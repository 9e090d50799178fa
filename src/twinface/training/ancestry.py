"""Whom a network was trained on, those its starting weights and its teacher were trained on included."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twinface.core.files import read_regular, shown
from twinface.core.provenance import TrainingSet, parse_training
from twinface.models.registry import find_encoder
from twinface.training.recipe import Recipe

TRAINING = "training.json"
"""File of a run that says whom the network was trained on."""

DLIB_RECORD = "resnet29"
"""Shipped encoder that has dlib's weights, and so its record."""

UNKNOWN = TrainingSet("data of weights without a record", None)


def inherited(recipe: Recipe) -> tuple[TrainingSet, ...]:
    """The training sets that come with the weights a run starts from and with its teacher.

    Raises:
        ModelError: a record cannot be read.
    """
    ancestors = dict.fromkeys(name for name in (recipe.backbone.start, recipe.teacher.model) if name)
    return tuple(one for name in ancestors for one in _record(name))


def joined(sets: Iterable[TrainingSet]) -> tuple[TrainingSet, ...]:
    """One set for each data set; where the persons of a part are not listed, those of the whole are not."""
    found: dict[str, frozenset[str] | None] = {}
    for one in sets:
        before = found.get(one.dataset, frozenset())
        found[one.dataset] = None if before is None or one.subjects is None else before | one.subjects
    return tuple(TrainingSet(name, subjects) for name, subjects in found.items())


def _record(name: str) -> tuple[TrainingSet, ...]:
    path = Path(name)
    if path.is_dir():
        record = path / TRAINING
        if not record.is_file():
            return (UNKNOWN,)
        return parse_training(read_regular(record).decode("utf-8-sig"), shown(record))
    if path.suffix == ".safetensors":
        return (UNKNOWN,)
    found = find_encoder(DLIB_RECORD if name == "dlib" else name)[0].training()
    return (UNKNOWN,) if found is None else found
