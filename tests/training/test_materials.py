"""What a run works with: who is trained on and who is kept apart, told templates, and pairs that can be judged."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")

from twinface.errors import DatasetMissing, RecipeError  # noqa: E402
from twinface.training.augmentation import centre  # noqa: E402
from twinface.training.materials import Materials, cut_crops, gather, judges, memory  # noqa: E402
from twinface.training.recipe import (  # noqa: E402
    BatchPart,
    EvaluationRecipe,
    LossRecipe,
    Recipe,
    ScheduleRecipe,
    TeacherRecipe,
)
from twinface.training.teacher import open_teacher  # noqa: E402

_spec = spec_from_file_location("tiny_runs", Path(__file__).with_name("tiny_runs.py"))
assert _spec is not None
assert _spec.loader is not None
tiny: Any = module_from_spec(_spec)
_spec.loader.exec_module(tiny)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tiny.write_faces(tmp_path_factory.mktemp("faces"))
    return found


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="module")
def teacher(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    recipe = tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=1))
    run: Path = tiny.finished(recipe, tmp_path_factory.mktemp("teacher")).path
    return run


def gathered(recipe: Recipe, crops: Path) -> Materials:
    return gather(recipe, crops, CPU, lambda line: None)


# --- who --------------------------------------------------------------------------------------------------------------


def test_nobody_is_on_both_sides_and_nobody_is_lost(root: Path, crops: Path) -> None:
    found = gathered(tiny.recipe_of(root), crops)
    train, validation = (
        {found.store.shots[row].person for row in roster.rows} for roster in (found.train, found.validation)
    )
    assert len(validation) == 2  # 0.3 of six
    assert not train & validation
    assert train | validation == {f"person{number:02d}" for number in range(6)}
    assert sorted([*found.train.rows, *found.validation.rows]) == list(range(24))
    assert found.targets is found.teacher is found.test is None


def test_another_seed_keeps_other_persons_apart(root: Path, crops: Path) -> None:
    apart = {tuple(gathered(tiny.recipe_of(root, seed=seed), crops).validation.rows) for seed in range(8)}
    assert len(apart) > 1


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_person_with_one_picture_and_a_picture_without_a_crop_are_told(tmp_path: Path) -> None:
    root = tiny.write_faces(tmp_path / "faces", 5, 3)
    for number in (1, 2):
        (root / "person03" / f"{number}.png").unlink()
    (root / "person00" / "2.png").write_bytes(b"no picture")
    recipe = tiny.recipe_of(root)
    told: list[str] = []
    _, store = cut_crops(
        replace(recipe, data=replace(recipe.data, corrupt=0.1)), ("folder",), tmp_path / "crops", told.append
    )
    assert [shot.path for shot in store.shots if shot.person == "person00"] == ["person00/0.png", "person00/1.png"]
    first, second, third = told
    assert "1 of 5 persons has one picture and cannot form mated pairs: person03" in first
    assert second == "crops of 13 pictures of folder ..."
    assert third.startswith("1 pictures gave no crop, such as person00/2.png (")


def test_cutting_many_crops_is_told_as_it_goes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinface.training.materials.TELL", 10)
    told: list[str] = []
    cut_crops(tiny.recipe_of(root), ("folder",), tmp_path / "crops", told.append)
    assert told[1:] == ["10 of 24 crops cut", "20 of 24 crops cut"]


def test_what_was_cut_and_told_before_is_not_told_again(root: Path, crops: Path, teacher: Path) -> None:
    recipe, told = tiny.mined(root, teacher), list[str]()
    gather(recipe, crops, CPU, told.append, cut=True)
    assert told == ["the teacher's templates of 24 crops ..."]


def test_without_anybody_to_train_on_there_is_no_run(root: Path, crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = gathered(tiny.recipe_of(root), crops)
    none = np.empty(0, np.int64)
    nobody = replace(found.train, rows=none, persons=none, groups=none, sources=())
    monkeypatch.setattr("twinface.training.materials.assemble", lambda *given: (nobody, found.validation))
    with pytest.raises(DatasetMissing, match="no picture is left to train on"):
        gather(tiny.recipe_of(root), crops, CPU, lambda line: None)


# --- the teacher ------------------------------------------------------------------------------------------------------


def test_a_teacher_of_clean_crops_has_looked_at_every_training_picture(root: Path, crops: Path, teacher: Path) -> None:
    found = gathered(tiny.mined(root, teacher), crops)
    assert found.teacher is None
    assert found.targets is not None
    assert found.targets.shape == (len(found.train.rows), 16)
    assert np.linalg.norm(found.targets, axis=1) == pytest.approx(1, abs=1e-5)
    for place in (0, len(found.train.rows) - 1):
        stored = torch.from_numpy(np.array(found.store.pixels[found.train.rows[[place]]]))
        wanted = open_teacher(str(teacher)).mirrored(centre(stored, tiny.SIDE))
        assert found.targets[place] == pytest.approx(wanted[0].numpy(), abs=1e-5)


def test_a_teacher_that_sees_what_the_student_sees_is_kept_for_it(root: Path, crops: Path, teacher: Path) -> None:
    recipe = tiny.recipe_of(root, loss=(LossRecipe("distillation"),), teacher=TeacherRecipe(str(teacher), view="same"))
    found = gathered(recipe, crops)
    assert found.targets is None
    assert found.teacher is not None


# --- the memory bank --------------------------------------------------------------------------------------------------


def test_only_neighbours_need_a_bank(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root)
    assert memory(recipe, gathered(recipe, crops)) is None


def test_a_bank_cannot_be_filled_without_templates(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root, batch=(BatchPart("neighbours", count=2, pictures=2),))
    with pytest.raises(RecipeError, match=r'^teacher\.view: neighbours need a teacher whose view is "clean"'):
        memory(recipe, gathered(recipe, crops))


@pytest.mark.parametrize(
    ("groups", "met"),
    [
        ([-1] * 4, [{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {0, 1, 2}]),  # nothing is known: all are sought among all
        ([0, 0, 1, 1], [{1}, {0}, {3}, {2}]),
        ([0, 0, -1, -1], [{1}, {0}, {3}, {2}]),  # the unknown among one another
        ([1, 0, 0, -1], [set(), {2}, {1}, set()]),
    ],
)
def test_neighbours_are_sought_within_groups(
    root: Path, crops: Path, teacher: Path, groups: list[int], met: list[set[int]]
) -> None:
    recipe = tiny.mined(root, teacher)
    found = gathered(recipe, crops)
    persons = found.train.persons
    bank = memory(recipe, replace(found, train=replace(found.train, groups=np.array(groups)[persons])))
    assert bank is not None
    bank.search()
    for person in range(4):
        near = bank.neighbours[persons == person]
        allowed = met[person]
        assert set(persons[near[near >= 0]].tolist()) <= allowed
        assert bool((near >= 0).any()) == bool(allowed)


def test_a_part_of_one_group_seeks_neighbours_for_that_group_alone(root: Path, crops: Path, teacher: Path) -> None:
    recipe = tiny.mined(root, teacher)
    found = gathered(recipe, crops)
    groups = np.array([0, 1, 0, 1])[found.train.persons]
    train = replace(found.train, groups=groups, names=("Asian", "White"))
    part = replace(recipe.batch[0], groups=("White",))
    bank = memory(replace(recipe, batch=(part,)), replace(found, train=train))
    assert bank is not None
    bank.search()
    assert ((bank.neighbours >= 0).any(axis=1) == (groups == 1)).all()


def test_pictures_of_other_sources_have_no_neighbours(root: Path, crops: Path, teacher: Path) -> None:
    recipe = tiny.mined(root, teacher)
    part = replace(recipe.batch[0], sources=("elsewhere",))
    bank = memory(replace(recipe, batch=(part,)), gathered(recipe, crops))
    assert bank is not None
    bank.search()
    assert (bank.neighbours == -1).all()


# --- judges -----------------------------------------------------------------------------------------------------------


class Seen:
    """An embedder that remembers which crops it was shown."""

    def __init__(self) -> None:
        self.crops: set[bytes] = set()

    def __call__(self, crops: Any) -> Any:
        self.crops |= {crop.to(torch.uint8).numpy().tobytes() for crop in crops}
        return crops.mean(dim=(2, 3))


def shown(found: Materials, rows: Any) -> set[bytes]:
    return {np.ascontiguousarray(found.store.pixels[row].transpose(2, 0, 1)).tobytes() for row in rows}


def test_training_and_validation_are_judged_by_their_own_pictures(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root)
    found = gathered(recipe, crops)
    for name, roster in (("train", found.train), ("validation", found.validation)):
        seen = Seen()
        judgement = judges(recipe, found)[name](seen)
        assert seen.crops
        assert seen.crops <= shown(found, roster.rows)
        counts = judgement.counts
        assert counts.true_matches + counts.false_non_matches == counts.true_non_matches + counts.false_matches > 0


def test_devtest_is_judged_last_or_is_the_validation(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root)
    found = replace(gathered(recipe, crops), test=gathered(recipe, crops).store)
    assert list(judges(recipe, found)) == ["train", "validation", "test"]
    whole = replace(recipe, data=replace(recipe.data, validation=0.0))
    alone = replace(gathered(whole, crops), test=found.store)
    assert list(judges(whole, alone)) == ["train", "validation"]
    assert list(judges(whole, replace(alone, test=None))) == ["train"]


def test_at_most_so_many_pairs_are_judged(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root, evaluation=EvaluationRecipe(pairs=6))
    counts = judges(recipe, gathered(recipe, crops))["train"](Seen()).counts
    assert counts.true_matches + counts.false_non_matches == 3
    assert counts.true_non_matches + counts.false_matches == 3


def test_the_loss_that_is_reported_is_the_recipes(root: Path, crops: Path) -> None:
    def loss(*losses: LossRecipe) -> float:
        recipe = tiny.recipe_of(root, loss=losses)
        return judges(recipe, gathered(recipe, crops))["train"](Seen()).loss

    one = loss(LossRecipe("contrastive", margin=1.0))
    assert loss(LossRecipe("cosface"), LossRecipe("contrastive", margin=300.0)) > 100 * one
    assert loss(LossRecipe("cosface")) == one  # the usual margin, where the recipe has none


@pytest.mark.parametrize(("persons", "pictures"), [(6, 1), (1, 6)])
def test_without_mated_and_non_mated_pairs_there_is_nothing_to_judge_by(
    tmp_path: Path, persons: int, pictures: int
) -> None:
    recipe = tiny.recipe_of(tiny.write_faces(tmp_path / "faces", persons, pictures))
    recipe = replace(recipe, data=replace(recipe.data, validation=0.0))
    with pytest.raises(DatasetMissing, match="nothing can be judged by them; add pictures"):
        judges(recipe, gathered(recipe, tmp_path / "crops"))
