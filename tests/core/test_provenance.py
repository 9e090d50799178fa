"""Whom a model was trained on."""

from __future__ import annotations

import unicodedata

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


@pytest.mark.parametrize(
    ("trained", "tested"),
    [
        ("Jos\u00e9 Aznar", "Jose\u0301_Aznar"),  # as macOS spells names of folders
        ("Jos\u00e9 Aznar", "Jose Aznar"),
        ("Jose_Aznar", "JOS\u00c9 AZNAR"),
        ("Colin Powell", "\uff23\uff4f\uff4c\uff49\uff4e \uff30\uff4f\uff57\uff45\uff4c\uff4c"),  # full-width letters
        ("Jos\u00e9 Aznar", "celeba/Jos\u00e9 Aznar"),
        ("celeba/Jos\u00e9 Aznar", "lfw/Jose_Aznar"),
        ("web\\2020\\Jose Aznar\\", "Jos\u00e9 Aznar"),
        ("Stra\u00dfe", "STRASSE"),
        ("\ufb01nn", "Finn"),
        ("\u0130pek", "ipek"),
        ("\u738b\u83f2", "\u738b \u83f2"),
        ("\u1f50\u03a3", "\u03c5\u03c2"),
    ],
)
def test_persons_meet_in_every_form_of_unicode_and_wherever_they_lie(trained: str, tested: str) -> None:
    assert shared_subjects([TrainingSet("A", frozenset({trained}))], [tested]) == {tested}
    assert shared_subjects([TrainingSet("A", frozenset({tested}))], [trained]) == {trained}


forms = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
spellings = st.sampled_from([str, str.casefold, lambda name: f"celeba/{name}", lambda name: name.replace(" ", "_")])


def is_plain_name(name: str) -> bool:
    """Whether it has letters and is no path."""
    signs = set(unicodedata.normalize("NFKD", name))
    return any(sign.isalpha() for sign in signs) and signs.isdisjoint("/\\")


@given(names.filter(is_plain_name), forms, spellings)
def test_no_form_and_no_folder_hides_a_person(name: str, form: str, spell) -> None:
    tested = unicodedata.normalize(form, spell(name))
    assert shared_subjects([TrainingSet("A", frozenset({name}))], [tested]) == {tested}
    assert shared_subjects([TrainingSet("A", frozenset({tested}))], [name]) == {name}


@given(st.text("abcdefgh", min_size=1), st.text("abcdefgh", min_size=1))
def test_other_letters_are_another_person(one: str, other: str) -> None:
    assert bool(shared_subjects([TrainingSet("A", frozenset({one}))], [other])) == (one == other)


def test_numbers_name_nobody_outside_their_data_set() -> None:
    sets = [TrainingSet("CelebA", frozenset({"celeba/17", "celeba/0018"}))]
    assert shared_subjects(sets, ["17", "web/17", "celeba/17", "0018"]) == {"celeba/17"}


def test_names_without_letters_meet_only_themselves() -> None:
    assert shared_subjects([TrainingSet("A", frozenset({"!!"}))], ["!!", "??"]) == {"!!"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"sets": 3}', '{"sets": [{"dataset": "LFW"}]}', '{"sets": [{"dataset": 3, "subjects": null}]}',
     '{"sets": [{"dataset": "LFW", "subjects": "all"}]}', '{"sets": [{"dataset": "LFW", "subjects": [1]}]}',
     '{"sets": [{"dataset": "", "subjects": null}]}'],
)  # fmt: skip
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ContractMismatch, match=r"^here: not a training record \(.*\); repair or remove it$") as caught:
        parse_training(text, "here")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "it lacks 'sets'"),
        ("[]", "it must be an object"),
        ('{"sets": [{"dataset": "LFW"}]}', "a set lacks 'subjects'"),
        ('{"sets": [{"dataset": "LFW", "subjects": [1]}]}', "a subject must be text, got 1"),
        ('{"sets": [{"dataset": "' + "x" * 10_000 + '\\n", "subjects": null}]}', "must be printable"),
    ],
)
def test_a_refusal_says_what_is_wrong_in_few_words(text: str, said: str) -> None:
    with pytest.raises(ContractMismatch, match=said) as caught:
        parse_training(text, "here")
    assert len(str(caught.value)) < 250
