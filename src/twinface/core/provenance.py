"""Whom a model was trained on, so that no figure comes from faces it has learnt."""

from __future__ import annotations

import json
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twinface.core.facts import field_of, object_of
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
            raise ValueError(
                f"training set: the name must be printable and not empty, got {reprlib.repr(self.dataset)}"
            )


def parse_training(text: str, origin: str) -> tuple[TrainingSet, ...]:
    """Reads a training record, the file `<model>.training.json` beside a model.

    Raises:
        ContractMismatch: not JSON, or a field missing or of the wrong kind.
    """
    try:
        sets = field_of(object_of(json.loads(text), "it"), "sets", "list", "it")
        return tuple(_training_set(object_of(one, "a set")) for one in sets)
    except (ValueError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: not a training record ({error}); repair or remove it") from error


def write_training(sets: Iterable[TrainingSet]) -> str:
    """The record as JSON text, readable by `parse_training`."""
    rows = [
        {"dataset": one.dataset, "subjects": None if one.subjects is None else sorted(one.subjects)} for one in sets
    ]
    return json.dumps({"sets": rows}, indent=1, ensure_ascii=False) + "\n"


def shared_subjects(sets: Iterable[TrainingSet], tested: Iterable[str]) -> frozenset[str]:
    """Those of the tested persons whom a model was trained on.

    Names meet when their letters and digits do, whatever the case, the accents and the form of Unicode, and whatever
    stands between: LFW's "Colin_Powell" is "Colin Powell" elsewhere, and "Jose" is "José". Of a name like a path,
    as "celeba/Colin Powell", the last part counts too, unless it is a number, which means something within its data set
    only. Rather a name too many than one too few.
    """
    known = {form for one in sets for name in one.subjects or () for form in _forms(name)}
    return frozenset(name for name in tested if not known.isdisjoint(_forms(name)))


def _forms(name: str) -> set[str]:
    """What a name is known by."""
    last = _plain(re.split(r"[/\\]", name.rstrip("/\\"))[-1])
    return {_plain(name)} | ({last} if any(sign.isalpha() for sign in last) else set())


def _plain(name: str) -> str:
    """Letters and digits without case, accents and presentation.

    Folded and decomposed twice, as the Unicode Standard, section 3.13, D146 has it: either may undo the other.
    """
    text = unicodedata.normalize("NFD", name)
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in text if sign.isalnum()) or name


def _training_set(facts: Mapping[str, Any]) -> TrainingSet:
    dataset = field_of(facts, "dataset", "str", "a set")
    if facts.get("subjects", "") is None:
        return TrainingSet(dataset, None)
    names = field_of(facts, "subjects", "list", "a set")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"a subject must be text, got {reprlib.repr(name)}")
    return TrainingSet(dataset, frozenset(names))
