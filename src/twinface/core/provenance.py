"""Whom a model was trained on, so that no figure comes from faces it has learnt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from twinface.errors import ContractMismatch


@dataclass(frozen=True)
class TrainingSet:
    """One source of a model's training pictures.

    Attributes:
        dataset: its name.
        subjects: names of the persons used, as the data set spells them; None where nobody has listed them.
    """

    dataset: str
    subjects: frozenset[str] | None

    def __post_init__(self) -> None:
        if not self.dataset or not self.dataset.isprintable():
            raise ValueError(f"training set: the name must be printable and not empty, got {self.dataset!r}")


def parse_training(text: str, origin: str) -> tuple[TrainingSet, ...]:
    """Reads a training record, the file `<model>.training.json` beside a model.

    Raises:
        ContractMismatch: not JSON, or a field missing or of the wrong kind.
    """
    try:
        return tuple(TrainingSet(_text(one["dataset"]), _names(one["subjects"])) for one in json.loads(text)["sets"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: not a training record ({error})") from error


def write_training(sets: Iterable[TrainingSet]) -> str:
    """The record as JSON text, readable by `parse_training`."""
    rows = [
        {"dataset": one.dataset, "subjects": None if one.subjects is None else sorted(one.subjects)} for one in sets
    ]
    return json.dumps({"sets": rows}, indent=1, ensure_ascii=False) + "\n"


def shared_subjects(sets: Iterable[TrainingSet], tested: Iterable[str]) -> frozenset[str]:
    """Those of the tested persons whom a model was trained on.

    Names meet when their letters and digits do, whatever the case and whatever stands between: LFW's "Colin_Powell"
    is "Colin Powell" elsewhere.
    """
    known = {_plain(name) for one in sets for name in one.subjects or ()}
    return frozenset(name for name in tested if _plain(name) in known)


def _plain(name: str) -> str:
    letters = "".join(sign for sign in name.casefold() if sign.isalnum())
    return letters or name


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a name must be text, got {value!r}")
    return value


def _names(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError(f"subjects must be a list of names or null, got {value!r}")
    return frozenset(_text(name) for name in value)
