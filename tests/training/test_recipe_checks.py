from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from twinface.errors import RecipeError
from twinface.training.recipe import BatchPart, LossRecipe, Recipe, ScheduleRecipe
from twinface.training.recipe_checks import check_recipe, suggestion

PLAIN = Recipe(name="plain", schedule=ScheduleRecipe(epochs=1))
LARGEST_SEED = 2**32 - 1


def recipe(**fields: Any) -> Recipe:
    """The plain recipe with some fields changed; a dictionary changes fields of a part."""
    changed = {
        name: replace(getattr(PLAIN, name), **value) if isinstance(value, dict) else value
        for name, value in fields.items()
    }
    return replace(PLAIN, **changed)


def mined(pictures: int = 4, views: int = 0, **fields: Any) -> Recipe:
    """A recipe whose batch has neighbours, with all that they need."""
    part = BatchPart(kind="neighbours", count=2, pictures=pictures, views=views)
    taught = {"teacher": {"model": "resnet29"}, "loss": (LossRecipe(), LossRecipe(kind="distillation"))}
    return recipe(**{"batch": (part,), **taught, **fields})


def lost(kind: Any, *, unit: bool = True, **fields: Any) -> Recipe:
    """A recipe with one loss, on whole classes."""
    return recipe(
        batch=(BatchPart(kind="per-class"),), loss=(LossRecipe(kind=kind, **fields),), backbone={"unit": unit}
    )


def batch(*parts: BatchPart, sources: tuple[str, ...] = ("utkface", "celeba")) -> Recipe:
    return recipe(batch=parts, data={"sources": sources})


PAIRS, CLASSES = BatchPart(), BatchPart(kind="per-class")
DISTILLED = (LossRecipe(kind="distillation"),)
CONTRASTED = (LossRecipe(),)
TAUGHT = {"model": "resnet29"}

NUMBERS = [  # field, just outside, just inside
    ("seed", -1, 0),
    ("seed", LARGEST_SEED + 1, LARGEST_SEED),
    ("data.size", 102, 103),
    ("data.margin", -1, 0),
    ("data.validation", -0.1, 0.0),
    ("data.validation", 1.0, 0.99),
    ("data.held_out", -0.1, 0.0),
    ("data.held_out", 1.0, 0.99),
    ("data.corrupt", -0.1, 0.0),
    ("data.corrupt", 1.0, 0.99),
    ("backbone.dimension", 0, 1),
    ("backbone.size", -1, 0),
    ("mining.every", 0, 1),
    ("mining.nearest", 0, 1),
    ("mining.same", -0.1, 0.0),
    ("mining.slack", -0.1, 0.0),
    ("mining.momentum", -0.1, 0.0),
    ("mining.momentum", 1.0, 0.9),
    ("optimiser.learning_rate", 0.0, 1e-9),
    ("optimiser.learning_rate", float("nan"), 1.0),
    ("optimiser.learning_rate", float("inf"), 1.0),
    ("optimiser.weight_decay", -0.1, 0.0),
    ("optimiser.momentum", -0.1, 0.0),
    ("optimiser.momentum", 1.0, 0.99),
    ("optimiser.clip", -0.1, 0.0),
    ("optimiser.average", -0.1, 0.0),
    ("optimiser.average", 1.0, 0.999),
    ("schedule.epochs", -1, 1),
    ("schedule.warmup", -1, 0),
    ("evaluation.every", -1, 0),
    ("evaluation.threshold", -0.1, 0.0),
    ("evaluation.pairs", 1, 2),
    ("device.workers", -1, 0),
    ("device.threads", -1, 0),
]


class TestRanges:
    @pytest.mark.parametrize(("path", "outside", "inside"), NUMBERS)
    def test_numbers_are_held_to_their_range(self, path: str, outside: float, inside: float) -> None:
        section, _, name = path.rpartition(".")

        def having(number: float) -> Recipe:
            return recipe(**({section: {name: number}} if section else {name: number}))

        check_recipe(having(inside))
        with pytest.raises(RecipeError, match=rf"^{path}: must be .*got {outside}"):
            check_recipe(having(outside))

    @pytest.mark.parametrize(
        ("name", "outside", "inside"),
        [("count", 0, 1), ("pictures", 0, 1), ("views", -1, 0), ("distil", -0.1, 0.0)],
    )
    def test_numbers_of_a_part_are_named_with_its_place(self, name: str, outside: float, inside: float) -> None:
        check_recipe(recipe(batch=(CLASSES, replace(CLASSES, **{name: inside}))))
        with pytest.raises(RecipeError, match=rf"^batch\.1\.{name}: must be at least [01], got {outside}$"):
            check_recipe(recipe(batch=(CLASSES, replace(CLASSES, **{name: outside}))))

    @pytest.mark.parametrize(
        ("name", "outside", "inside"),
        [("weight", -0.1, 0.0), ("margin", -0.1, 0.1), ("positive_margin", -0.1, 0.0), ("scale", 0.0, 0.1)],
    )
    def test_numbers_of_a_loss_are_named_with_its_place(self, name: str, outside: float, inside: float) -> None:
        check_recipe(recipe(loss=(LossRecipe(), replace(LossRecipe(), **{name: inside}))))
        with pytest.raises(RecipeError, match=rf"^loss\.1\.{name}: must be (at least|above) 0, got {outside}$"):
            check_recipe(recipe(loss=(LossRecipe(), replace(LossRecipe(), **{name: outside}))))

    def test_a_range_is_told_in_words(self) -> None:
        with pytest.raises(RecipeError, match=r"^data\.corrupt: must be at least 0 and below 1, got 2\.0$"):
            check_recipe(recipe(data={"corrupt": 2.0}))


CHOSEN = [  # path, what the message must say, refused, accepted
    ("data.size", "at least 16, got 15", recipe(data={"size": 15}, backbone={"name": "resnet18"}),
     recipe(data={"size": 16}, backbone={"name": "resnet18"})),
    ("data.size", "at least 64 for convolutions, got 63", recipe(data={"size": 63}, backbone={"name": "convolutions"}),
     recipe(data={"size": 64}, backbone={"name": "convolutions"})),
    ("data.size", "multiple of 16 for mobilefacenet, got 113; take 112",
     recipe(data={"size": 113}, backbone={"name": "mobilefacenet"}),
     recipe(data={"size": 112}, backbone={"name": "mobilefacenet"})),
    ("backbone.size", "multiple of 16", recipe(backbone={"name": "mobilefacenet", "size": 111}),
     recipe(backbone={"name": "mobilefacenet", "size": 112})),
    ("backbone.size", "at least 103 for resnet29, got 64", recipe(backbone={"size": 64}),
     recipe(backbone={"size": 103})),
    ("backbone.size", "at least 16", recipe(backbone={"name": "resnet18", "size": 8}),
     recipe(backbone={"name": "resnet18", "size": 16})),
    ("backbone.size", "at most data.size, 150, got 151", recipe(backbone={"size": 151}),
     recipe(backbone={"size": 150})),
    ("data.sources", "there are none; choose one of folder", recipe(data={"sources": ()}),
     recipe(data={"sources": ("utkface",)})),
    ("data.sources.1", "did you mean celeba?", recipe(data={"sources": ("utkface", "celebA")}),
     recipe(data={"sources": ("utkface", "celeba")})),
    ("data.sources.1", "named twice", recipe(data={"sources": ("celeba", "celeba")}),
     recipe(data={"sources": ("celeba",)})),
    ("data.sources", "no other source", recipe(data={"sources": ("folder", "celeba")}),
     recipe(data={"sources": ("folder",)})),
    ("data.margin", "set it to 0", recipe(data={"crop": "whole"}), recipe(data={"crop": "whole", "margin": 0})),
    ("backbone.name", "did you mean resnet29?", recipe(backbone={"name": "resent29"}),
     recipe(backbone={"name": "resnet29"})),
    ("backbone.name", "got resnet18", recipe(backbone={"start": "dlib", "name": "resnet18"}),
     recipe(backbone={"start": "dlib", "name": "resnet29"})),
    ("backbone.dimension", "got 64", recipe(backbone={"start": "dlib", "dimension": 64}),
     recipe(backbone={"start": "runs/one", "dimension": 64})),
    ("batch", "needs a part", recipe(batch=()), recipe(batch=(PAIRS,))),
    ("batch.0.sources.0", '"utkfaces" is not among data.sources; did you mean utkface?',
     batch(BatchPart(sources=("utkfaces",))), batch(BatchPart(sources=("utkface",)))),
    ("batch.0.sources.0", "choose one of utkface", batch(BatchPart(sources=("celeba",)), sources=("utkface",)),
     batch(BatchPart(sources=("celeba",)))),
    ("batch.0.kind", "leave the others out", batch(PAIRS, CLASSES), batch(CLASSES, CLASSES)),
    ("batch.0.kind", "it has 2 parts", batch(PAIRS, PAIRS), batch(PAIRS)),
    ("batch.0.pairing", "only lfw-dev-train", batch(BatchPart(pairing="given")),
     batch(BatchPart(pairing="given"), sources=("lfw-dev-train",))),
    ("batch.0.pairing", "draws from lfw-dev-train, celeba",
     batch(BatchPart(pairing="given"), sources=("lfw-dev-train", "celeba")),
     batch(BatchPart(pairing="given", sources=("lfw-dev-train",)), sources=("lfw-dev-train", "celeba"))),
    ("batch.0.kind", "add a contrastive loss", mined(loss=DISTILLED), mined()),
    ("batch.0.kind", "add a contrastive loss", mined(loss=(LossRecipe(weight=0.0), *DISTILLED)),
     mined(loss=(LossRecipe(weight=0.1), *DISTILLED))),
    ("batch.0.kind", "set teacher.model", mined(teacher={}, loss=CONTRASTED), mined(loss=CONTRASTED)),
    ("batch.0.kind", 'teacher.view = "clean"', mined(teacher={**TAUGHT, "view": "same"}), mined()),
    ("batch.0.pictures", "brings 13 of the 12", mined(pictures=13), mined(pictures=12)),
    ("batch.0.views", "has 10 pictures, 11", mined(views=11), mined(views=10)),
    ("loss", "no loss has weight", recipe(loss=()), recipe(loss=CONTRASTED)),
    ("loss", "no loss has weight", recipe(loss=(LossRecipe(weight=0.0),)),
     recipe(loss=(LossRecipe(weight=0.0), LossRecipe(kind="triplet")))),
    ("loss.0.positive_margin", "below the margin, 0.4", lost("contrastive", margin=0.4, positive_margin=0.4),
     lost("contrastive", margin=0.4, positive_margin=0.3)),
    ("loss.0.margin", "end at 2", lost("contrastive", margin=2.1), lost("contrastive", margin=2.1, unit=False)),
    ("loss.0.margin", "end at 2", lost("triplet", margin=2.1), lost("triplet", margin=2.0)),
    ("loss.0.margin", "radians", lost("arcface", margin=28.6), lost("arcface", margin=0.5)),
    ("loss.0.margin", "cosine", lost("cosface", margin=1.1), lost("cosface", margin=0.35)),
    ("loss.0.kind", "arcface tells persons apart", recipe(loss=(LossRecipe(kind="arcface"),)), lost("arcface")),
    ("loss.0.kind", "cosface tells persons apart", recipe(loss=(LossRecipe(kind="cosface"),)), lost("cosface")),
    ("loss.0.kind", "set teacher.model", recipe(loss=DISTILLED), recipe(loss=DISTILLED, teacher=TAUGHT)),
    ("teacher.model", "nothing is learnt", recipe(teacher=TAUGHT), recipe(teacher=TAUGHT, loss=DISTILLED)),
    ("teacher.mixup", 'teacher.view = "same"', recipe(loss=DISTILLED, teacher={**TAUGHT, "mixup": 0.5}),
     recipe(loss=DISTILLED, teacher={**TAUGHT, "mixup": 0.5, "view": "same"})),
    ("teacher.mixup", "at most 1", recipe(loss=DISTILLED, teacher={**TAUGHT, "mixup": 1.1, "view": "same"}),
     recipe(loss=DISTILLED, teacher={**TAUGHT, "mixup": 1.0, "view": "same"})),
    ("optimiser.blend", "no start", recipe(optimiser={"blend": 0.5}),
     recipe(optimiser={"blend": 0.5}, backbone={"start": "dlib"})),
    ("optimiser.blend", "above 0", recipe(optimiser={"blend": 0.0}), recipe(optimiser={"blend": 1.0})),
    ("optimiser.blend", "at most 1", recipe(optimiser={"blend": 1.5}, backbone={"start": "dlib"}),
     recipe(optimiser={"blend": 1.0}, backbone={"start": "dlib"})),
    ("schedule", "got 0 and 0", recipe(schedule={"epochs": 0}), recipe(schedule={"epochs": 0, "steps": 9})),
    ("schedule", "got 1 and 9", recipe(schedule={"steps": 9}), recipe(schedule={"steps": 0})),
    ("schedule.steps", "at least 0", recipe(schedule={"steps": -1}), recipe(schedule={"steps": 0})),
    ("schedule.warmup", "less than the 9 steps", recipe(schedule={"epochs": 0, "steps": 9, "warmup": 9}),
     recipe(schedule={"epochs": 0, "steps": 9, "warmup": 8})),
    ("name", "must not be empty", recipe(name=""), recipe(name="a")),
    ("name", "begin or end", recipe(name=" a"), recipe(name="a a")),
    ("name", "begin or end", recipe(name=".."), recipe(name="a..b")),
    ("name", "cannot name a folder", recipe(name="a/b"), recipe(name="a-b")),
    ("name", "cannot name a folder", recipe(name="a\\b"), recipe(name="a_b")),
    ("name", "cannot name a folder", recipe(name="a\nb"), recipe(name="ä")),
    ("name", "at most 100 letters", recipe(name="a" * 101), recipe(name="a" * 100)),
    ("name", r"200 bytes", recipe(name="\N{SNOWMAN}" * 67), recipe(name="\N{SNOWMAN}" * 66)),
    ("export.name", "cannot name a folder", recipe(export={"name": "a/b"}), recipe(export={"name": ""})),
]  # fmt: skip


class TestCombinations:
    @pytest.mark.parametrize(
        ("path", "said", "refused", "accepted"), CHOSEN, ids=[f"{number}-{row[0]}" for number, row in enumerate(CHOSEN)]
    )
    def test_what_contradicts_is_refused_and_what_does_not_is_not(
        self, path: str, said: str, refused: Recipe, accepted: Recipe
    ) -> None:
        check_recipe(accepted)
        with pytest.raises(RecipeError) as error:
            check_recipe(refused)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert said in message
        assert message.isprintable()

    def test_a_teacher_may_serve_the_memory_bank_alone(self) -> None:
        check_recipe(mined(loss=CONTRASTED))

    def test_warmup_is_not_compared_with_steps_that_are_not_known_yet(self) -> None:
        check_recipe(recipe(schedule={"warmup": 10_000}))


class TestSuggestion:
    def test_the_nearest_name_comes_first(self) -> None:
        assert suggestion("margn", ["weight", "margin"]) == "did you mean margin?"

    def test_without_a_near_one_all_are_listed(self) -> None:
        assert suggestion("x", ["weight", "margin"]) == "choose one of weight, margin"
