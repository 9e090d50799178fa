"""Whom a model was trained on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.provenance import TrainingSet, parse_training, shared_subjects, write_training
from twinface.errors import ContractMismatch

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.builds(TrainingSet, st.just("LFW"), st.none() | st.frozensets(names, max_size=5)), max_size=3))
def test_what_is_written_is_read(sets: list[TrainingSet]) -> None:
    assert parse_training(write_training(sets), "here") == tuple(sets)


def test_persons_meet_however_their_names_are_spelt() -> None:
    sets = [TrainingSet("A", frozenset({"Colin Powell", "Jos\u00e9-Mar\u00eda Aznar"})), TrainingSet("B", None)]
    tested = ["colin_powell", "Jos\u00e9 Mar\u00eda_Aznar", "Colin_Powel", "Ada_Lovelace"]
    assert shared_subjects(sets, tested) == {"colin_powell", "Jos\u00e9 Mar\u00eda_Aznar"}


def test_names_without_letters_meet_only_themselves() -> None:
    assert shared_subjects([TrainingSet("A", frozenset({"!!"}))], ["!!", "??"]) == {"!!"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"sets": 3}', '{"sets": [{"dataset": "LFW"}]}', '{"sets": [{"dataset": 3, "subjects": null}]}',
     '{"sets": [{"dataset": "LFW", "subjects": "all"}]}', '{"sets": [{"dataset": "LFW", "subjects": [1]}]}',
     '{"sets": [{"dataset": "", "subjects": null}]}'],
)  # fmt: skip
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ContractMismatch, match=r"^here: not a training record"):
        parse_training(text, "here")
