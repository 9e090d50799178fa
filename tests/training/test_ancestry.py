"""Records of training are handed down from weights and teachers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from twinface.core.provenance import TrainingSet, write_training
from twinface.errors import ContractMismatch, ModelNotFound
from twinface.models.registry import find_encoder
from twinface.training.ancestry import UNKNOWN, inherited, joined
from twinface.training.recipe import BackboneRecipe, Recipe, TeacherRecipe

OWN = TrainingSet("people", frozenset({"Ada", "Grace"}))


def recipe(start: str = "", teacher: str = "") -> Recipe:
    return Recipe("own", backbone=BackboneRecipe(start=start), teacher=TeacherRecipe(model=teacher))


def test_random_weights_without_a_teacher_bring_nothing():
    assert inherited(recipe()) == ()


@pytest.mark.parametrize("name", ["dlib", "resnet29"])
def test_the_base_brings_what_its_author_said(name):
    assert inherited(recipe(start=name)) == find_encoder("resnet29")[0].training()


def test_a_teacher_that_is_the_start_too_counts_once():
    assert inherited(recipe("dlib", "dlib")) == inherited(recipe("dlib"))


def test_a_run_brings_its_record(tmp_path):
    (tmp_path / "training.json").write_text(write_training([OWN]))
    assert inherited(recipe(teacher=str(tmp_path))) == (OWN,)


def test_weights_without_a_record_say_so(tmp_path):
    assert inherited(recipe(start=str(tmp_path))) == (UNKNOWN,)
    assert inherited(recipe(start="weights.safetensors")) == (UNKNOWN,)


def test_what_is_no_record_or_no_model_is_refused(tmp_path):
    (tmp_path / "training.json").write_text("[]")
    with pytest.raises(ContractMismatch, match=r"training\.json: not a training record"):
        inherited(recipe(start=str(tmp_path)))
    with pytest.raises(ModelNotFound, match="no model named 'oracle'"):
        inherited(recipe(teacher="oracle"))


def test_sets_of_one_name_become_one():
    more = TrainingSet("people", frozenset({"Mary"}))
    other = TrainingSet("others", None)
    assert joined([OWN, other, more]) == (TrainingSet("people", frozenset({"Ada", "Grace", "Mary"})), other)
    assert joined([OWN, TrainingSet("people", None), more]) == (TrainingSet("people", None),)
