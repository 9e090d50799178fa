"""The learner: steps as the recipe says, nothing spoilt when training diverges, and a state that goes on to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")

from torch.optim import SGD, Adam, AdamW  # noqa: E402

from twinface.errors import ContractMismatch, RecipeError, TrainingDiverged  # noqa: E402
from twinface.training.batches import BatchMaker  # noqa: E402
from twinface.training.learner import LEAST_RATE, Learner, build_optimiser, fill, rate_at  # noqa: E402
from twinface.training.loading import Loaded, PictureLoader, Requests  # noqa: E402
from twinface.training.losses import LossInput, build_loss  # noqa: E402
from twinface.training.materials import Materials, gather, memory  # noqa: E402
from twinface.training.recipe import (  # noqa: E402
    BackboneRecipe,
    BatchPart,
    LossRecipe,
    OptimiserRecipe,
    Recipe,
    ScheduleRecipe,
    TeacherRecipe,
)
from twinface.training.twin import Twin  # noqa: E402

_spec = spec_from_file_location("tiny_runs", Path(__file__).with_name("tiny_runs.py"))
assert _spec is not None
assert _spec.loader is not None
tiny: Any = module_from_spec(_spec)
_spec.loader.exec_module(tiny)

STEPS = 8


pytestmark = pytest.mark.usefixtures("one_thread")


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
    run: Path = tiny.finished(
        tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=1)), tmp_path_factory.mktemp("teacher")
    ).path
    return run


class Course:
    """A learner with its materials and its pictures, for some steps."""

    def __init__(self, recipe: Recipe, crops: Path) -> None:
        fabric = tiny.CPU.fabric(recipe.device.precision)
        self.recipe = recipe
        self.materials: Materials = gather(recipe, crops, fabric.device, lambda line: None)
        self.bank = memory(recipe, self.materials)
        roster = self.materials.train
        maker = BatchMaker(roster, recipe.batch, recipe.seed, self.bank)
        requests = Requests(maker, recipe.augmentation, roster.rows, recipe.seed)
        self._loader = PictureLoader(self.materials.store.pixels, requests, recipe)
        self.learner = Learner(fabric, recipe, self.materials, bank=self.bank, steps=STEPS)

    def loaded(self, step: int) -> Loaded:
        if self.bank is not None and step % self.recipe.mining.every == 0:
            self.bank.search()
        return next(iter(self._loader.steps(step, step + 1)))

    def learn(self, first: int, end: int) -> list[dict[str, float]]:
        return [self.learner.learn(self.loaded(step)) for step in range(first, end)]

    def tensors(self) -> dict[str, Any]:
        """A copy of all that the learner remembers."""
        return {name: value.detach().clone() for name, value in self.learner.state()[0].items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# --- rates and optimisers ---------------------------------------------------------------------------------------------


def test_the_rate_warms_up_and_falls_along_half_a_cosine() -> None:
    schedule = ScheduleRecipe("cosine", steps=110, warmup=10)
    assert [rate_at(schedule, step, 110) for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert rate_at(schedule, 60, 110) == pytest.approx((1 + LEAST_RATE) / 2)
    assert rate_at(schedule, 110, 110) == pytest.approx(LEAST_RATE)
    falling = [rate_at(schedule, step, 110) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_a_constant_rate_stays_after_its_warmup() -> None:
    schedule = ScheduleRecipe("constant", steps=9, warmup=2)
    assert [rate_at(schedule, step, 9) for step in (1, 2, 3, 9)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_the_optimiser_is_the_recipes(name: Any, kind: type) -> None:
    recipe = OptimiserRecipe(name, 0.25, weight_decay=0.5, momentum=0.75)
    built = build_optimiser(recipe, [torch.nn.Parameter(torch.ones(2))])
    assert type(built) is kind
    (group,) = built.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.5)
    assert group.get("momentum", 0.75) == 0.75


def test_a_steps_rate_is_the_schedules(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(
        root, optimiser=OptimiserRecipe("sgd", 0.1), schedule=ScheduleRecipe("cosine", steps=STEPS, warmup=2)
    )
    course = Course(recipe, crops)
    for step in range(3):
        course.learn(step, step + 1)
        (group,) = course.learner._optimiser.param_groups
        assert group["lr"] == 0.1 * rate_at(recipe.schedule, step + 1, STEPS)


# --- a step -----------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_sum_of_its_terms_on_the_batch(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(
        root, loss=(LossRecipe("contrastive", weight=0.5), LossRecipe("triplet", weight=3.0, margin=0.4))
    )
    course = Course(recipe, crops)
    loaded, (twin, prepare) = course.loaded(0), (course.learner.finished(), course.learner.preprocessing)
    with torch.no_grad():
        embeddings = twin(prepare(loaded.pictures))
    persons = torch.from_numpy(course.materials.train.persons[loaded.request.batch.places])
    zeros = torch.zeros(len(persons), dtype=torch.int64)
    given = LossInput(embeddings, persons, zeros, zeros)
    wanted = [float(build_loss(one, persons=9, dimension=16)(given)) for one in recipe.loss]

    found = course.learner.learn(loaded)

    assert course.learner.loss_names == ["contrastive_0", "triplet_1"]
    assert list(found) == ["loss", *course.learner.loss_names]
    assert [found[name] for name in course.learner.loss_names] == pytest.approx(wanted, rel=1e-4)
    assert found["loss"] == pytest.approx(0.5 * wanted[0] + 3.0 * wanted[1], rel=1e-4)


def test_a_step_of_plain_descent_is_the_rate_times_the_gradient(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root, optimiser=OptimiserRecipe("sgd", 0.5, weight_decay=0.0, momentum=0.0, clip=0.0))
    course = Course(recipe, crops)
    before = course.tensors()
    course.learn(0, 1)
    for name, value in course.learner._twin.named_parameters():
        step = before[f"network/{name}"] - value.detach()
        assert torch.allclose(step, 0.5 * value.grad, atol=1e-6), name
        assert step.abs().max() > 0, name


def test_gradients_are_clipped_to_the_recipes_norm(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root, optimiser=OptimiserRecipe("sgd", 1.0, weight_decay=0.0, momentum=0.0, clip=1e-3))
    course = Course(recipe, crops)
    before = course.tensors()
    course.learn(0, 1)
    moved = sum(float((before[name] - value).square().sum()) for name, value in course.tensors().items())
    assert math.sqrt(moved) == pytest.approx(1e-3, rel=1e-2)


def test_the_centres_of_a_classification_learn_too_and_are_kept(root: Path, crops: Path) -> None:
    course = Course(tiny.recipe_of(root, loss=(LossRecipe("arcface", margin=0.2, scale=8.0),)), crops)
    before = course.tensors()
    course.learn(0, 1)
    (name,) = (name for name in before if name.startswith("loss/"))
    assert not torch.equal(before[name], course.tensors()[name])


def test_the_average_follows_the_weights_and_is_what_counts(root: Path, crops: Path) -> None:
    course = Course(tiny.recipe_of(root, optimiser=OptimiserRecipe("adamw", 1e-3, average=0.15)), crops)
    name = "backbone.head.weight"
    wanted = course.tensors()[f"network/{name}"].double()
    for step in range(3):
        course.learn(step, step + 1)
        decay = min(0.15, (2 + step) / (11 + step))
        wanted = decay * wanted + (1 - decay) * course.tensors()[f"network/{name}"].double()
    found = course.learner.finished().state_dict()[name]
    assert torch.allclose(found.double(), wanted, atol=1e-7)
    assert not torch.equal(found, course.tensors()[f"network/{name}"])


def test_a_blend_lies_between_the_start_and_what_was_learnt(root: Path, crops: Path) -> None:
    course = Course(tiny.recipe_of(root, optimiser=OptimiserRecipe("adamw", 1e-2, blend=0.25)), crops)
    start = course.tensors()
    course.learn(0, 2)
    learnt, twin = course.tensors(), course.learner.finished()
    for name, value in twin.state_dict().items():
        first, last = start[f"network/{name}"], learnt[f"network/{name}"]
        assert torch.allclose(value, 0.75 * first + 0.25 * last, atol=1e-6), name
    assert same(learnt, course.tensors())


def test_teacher_and_student_see_the_same_blended_picture(root: Path, crops: Path, teacher: Path) -> None:
    # given a student that begins as its teacher
    recipe = tiny.recipe_of(
        root,
        backbone=BackboneRecipe("convolutions", 16, start=str(teacher), unit=True),
        loss=(LossRecipe("distillation"),),
        teacher=TeacherRecipe(str(teacher), view="same", mixup=1.0),
        optimiser=OptimiserRecipe("sgd", 1e-3),
    )
    course = Course(recipe, crops)
    seen: list[Any] = []
    course.learner._teacher.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[union-attr]
    loaded = course.loaded(0)

    assert course.learner.learn(loaded)["distillation_0"] < 1e-10
    assert (seen[0] - loaded.pictures).abs().amax(dim=(1, 2, 3)).max() > 1  # they were blended indeed


def test_pairs_the_teacher_finds_alike_are_no_strangers(root: Path, crops: Path, teacher: Path) -> None:
    # given a margin that all pictures lie within, and a teacher whose templates all lie within `same` or none
    recipe = replace(tiny.mined(root, teacher), loss=(LossRecipe("contrastive", margin=2.0, reduce="violations"),))
    apart = Course(replace(recipe, mining=replace(recipe.mining, same=0.0)), crops)
    alike = Course(replace(recipe, mining=replace(recipe.mining, same=2.1)), crops)
    loaded = apart.loaded(0)
    assert apart.learner.learn(loaded)["contrastive_0"] > 1
    assert alike.learner.learn(loaded)["contrastive_0"] < 0.1


def test_the_bank_remembers_what_the_network_makes_of_the_pictures(root: Path, crops: Path, teacher: Path) -> None:
    course = Course(tiny.mined(root, teacher), crops)
    loaded = course.loaded(0)
    before = course.bank.templates.clone()  # type: ignore[union-attr]
    course.learner.learn(loaded)
    changed = (course.bank.templates != before).any(dim=1).nonzero().ravel().tolist()  # type: ignore[union-attr]
    assert changed == sorted(set(loaded.request.batch.places.tolist()))


# --- training that diverges -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spoilt"), [("cosface", "loss"), ("cosface", "gradient"), ("contrastive", "gradient")], ids=str
)
def test_a_step_into_nowhere_is_refused_and_spoils_no_weight(root: Path, crops: Path, kind: Any, spoilt: str) -> None:
    recipe = tiny.recipe_of(
        root, loss=(LossRecipe(kind, margin=0.5),), optimiser=OptimiserRecipe("adamw", 1e-3, clip=0.0)
    )
    course = Course(recipe, crops)
    course.learn(0, 1)
    before = course.tensors()
    if (kind, spoilt) == ("cosface", "gradient"):
        weight: Any = course.learner._twin.backbone.head.weight
        weight.register_hook(lambda gradient: gradient * math.inf)
    else:  # embeddings that are no numbers; contrastive loss takes their distances for 0
        course.learner.preprocessing.mean.fill_(math.inf)

    with pytest.raises(TrainingDiverged, match=rf"{spoilt}.* became (nan|inf) at step 2; .* lower optimiser\.learning"):
        course.learn(1, 2)
    assert same(before, course.tensors())


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sgd", "adam", "everything", "normalised"])
def test_a_learner_that_takes_over_a_state_goes_on_to_the_bit(
    root: Path, crops: Path, teacher: Path, kind: str
) -> None:
    plain = tiny.recipe_of(root)
    recipe = {
        "sgd": replace(plain, optimiser=OptimiserRecipe("sgd", 0.1)),
        "adam": replace(plain, optimiser=OptimiserRecipe("adam", 1e-3), loss=(LossRecipe("cosface", margin=0.1),)),
        "everything": tiny.mined(root, teacher),
        "normalised": replace(
            plain,
            backbone=BackboneRecipe("mobilefacenet", 16),
            batch=(BatchPart("per-class", count=2, pictures=2),),
            optimiser=OptimiserRecipe("adamw", 1e-3, average=0.9),
        ),
    }[kind]
    course = Course(recipe, crops)
    course.learn(0, 3)
    tensors, facts = course.tensors(), course.learner.state()[1]
    again = Course(recipe, crops)
    again.learn(0, 1)  # nothing of a life before may be left
    again.learner.restore(tensors, facts)

    assert same(again.tensors(), tensors)
    assert course.learn(3, 6) == again.learn(3, 6)
    assert same(course.tensors(), again.tensors())


def test_weights_lie_in_memory_as_they_lay_before(root: Path, crops: Path) -> None:
    recipe = tiny.recipe_of(root, optimiser=OptimiserRecipe("adamw", 1e-3, average=0.9, blend=0.5))
    course = Course(recipe, crops)
    course.learn(0, 1)
    again = Course(recipe, crops)
    rows = {name: value.contiguous() for name, value in course.tensors().items()}  # as a checkpoint gives them back
    again.learner.restore(rows, course.learner.state()[1])

    learner = again.learner
    for network in (learner._twin, learner._average, learner._start, learner.finished()):
        weight: Any = network.state_dict()  # type: ignore[union-attr]
        weight = next(value for name, value in weight.items() if name.endswith("features.3.weight"))
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()


def test_a_state_of_another_network_is_told_in_one_line(root: Path, crops: Path) -> None:
    one = Course(tiny.recipe_of(root), crops)
    other = Course(tiny.recipe_of(root, backbone=BackboneRecipe("convolutions", 8, unit=True)), crops)
    with pytest.raises(ContractMismatch, match="checkpoint: the weights of its network are not the recipe's") as caught:
        other.learner.restore(*one.learner.state())
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("resume with the run's own recipe")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("start/", "its start are not"),
        ("average/", "its average are not"),
        ("bank/", "memory bank"),
    ],
)
def test_a_state_without_a_part_is_refused(root: Path, crops: Path, teacher: Path, part: str, said: str) -> None:
    course = Course(tiny.mined(root, teacher), crops)
    course.learn(0, 1)
    tensors, facts = course.learner.state()
    lacking = {name: value for name, value in tensors.items() if not name.startswith(part)}
    assert lacking.keys() != tensors.keys()
    with pytest.raises((ContractMismatch, RecipeError), match=said):
        course.learner.restore(lacking, facts)


def test_a_state_of_another_optimiser_is_refused(root: Path, crops: Path) -> None:
    one = Course(tiny.recipe_of(root), crops)
    other = Course(tiny.recipe_of(root, optimiser=OptimiserRecipe("sgd", 0.1)), crops)
    with pytest.raises(ContractMismatch, match="its optimiser is AdamW, the recipe's SGD"):
        other.learner.restore(*one.learner.state())
    with pytest.raises(ContractMismatch, match="its optimiser is None"):
        other.learner.restore(one.learner.state()[0], {})


def test_weights_fill_a_module_in_place() -> None:
    layer = torch.nn.Linear(2, 2)
    place = layer.weight.data_ptr()
    fill(layer, {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}, "layer")
    assert layer.weight.data_ptr() == place
    assert torch.equal(layer.weight, torch.ones(2, 2))


def test_what_is_finished_is_a_twin_of_the_recipes_kind(root: Path, crops: Path) -> None:
    for unit in (True, False):
        course = Course(tiny.recipe_of(root, backbone=BackboneRecipe("convolutions", 16, unit=unit)), crops)
        twin = course.learner.finished()
        assert isinstance(twin, Twin)
        assert twin.unit is unit
